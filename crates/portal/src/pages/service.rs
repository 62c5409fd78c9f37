//! One service: what it is, what runs where, who gets the traffic, what it needs; its releases, who can do
//! what, what happened.

use std::collections::BTreeMap;

use api::access::{AccessReport, GetAccess, ListActivity, Me, ServicePath};
use api::catalog::{EnvironmentStatus, GetImpact, GetService, GetStatus, Service};
use api::deliver::{GetRelease, ListEnvironments, ListReleases, Release, ReleasePath};
use api::observe::{ListMetrics, OverviewQuery};
use api::route::ListRoutes;
use api::run::ListInstances;
use api::{Action, Nothing, PageQuery};
use askama::Template;
use axum::Router;
use axum::extract::{Path, Query};
use axum::routing::get;
use base::{EnvironmentName, ServiceName};
use serde::Deserialize;

use super::Outcome;
use super::metrics::{Figure, figures, lately as lately_of};
use super::rollout::{path_to, way_back};
use super::telling::Told;
use crate::client::Also;
use crate::components::chart::Picture;
use crate::components::{Badge, Empty, Offer, Tab, Text, When, say_actor};
use crate::shell::{Section, Shell, html};
use crate::site::Site;
use crate::visit::Visit;
use crate::{links, rights};

/// Releases and facts on one page.
const PAGE: u32 = 50;

pub(crate) fn routes() -> Router<Site> {
    Router::new()
        .route("/services/{service}", get(overview))
        .route("/services/{service}/releases", get(releases))
        .route("/services/{service}/access", get(access))
        .route("/services/{service}/activity", get(activity))
}

/// What stands above every page of one service. Templates include `service_head.html`.
pub(crate) struct Head {
    pub service: Service,
    pub about: Text,
    pub removed: Option<When>,
    pub version: Option<i64>,
    pub tabs: Vec<Tab>,
    me: Me,
}

/// The tabs of a service. A page that is not built yet has no line here.
const TABS: &[(&str, &str)] = &[
    ("Overview", ""),
    ("Releases", "/releases"),
    ("Rollouts", "/rollouts"),
    ("Runs", "/runs"),
    ("Logs", "/logs"),
    ("Metrics", "/metrics"),
    ("Settings", "/settings"),
    ("Access", "/access"),
    ("Activity", "/activity"),
];

impl Head {
    /// Reads what is above the page; `tab` is the word of the tab that it is.
    pub(crate) async fn of(visit: &Visit, name: &ServiceName, tab: &str) -> base::Result<Self> {
        let path = ServicePath { service: name.clone() };
        let none = api::Nothing {};
        let service = visit.api.call::<GetService>(&path, &none, &none, Also::default()).await?;
        let tabs =
            TABS.iter().map(|(word, end)| Tab { word, path: format!("/services/{name}{end}"), current: *word == tab });
        Ok(Self {
            about: Text(service.value.description.clone()),
            removed: service.value.removed.map(|at| When::new(at, visit.now)),
            version: service.version,
            service: service.value,
            me: visit.me.clone(),
            tabs: tabs.collect(),
        })
    }

    /// The surroundings of a page of this service.
    pub(crate) fn shell(&self, visit: &Visit, title: &str) -> Shell {
        let name = &self.service.service;
        let shell = visit
            .shell(Section::Services, if title.is_empty() { name.to_string() } else { format!("{title} · {name}") });
        let shell = shell.crumb("Services", "/services").live(name.to_string());
        match title {
            "" => shell,
            _ => shell.crumb(name.to_string(), format!("/services/{name}")),
        }
    }

    /// Why the reader may not do this; `None`: they may.
    pub(crate) fn denied(&self, action: Action) -> Option<String> {
        rights::Rights::of(&self.me).why_not(action, &self.service.team, Some(&self.service.service))
    }

    /// Out of use, or back into it.
    fn last_offer(&self) -> Offer {
        let name = &self.service.service;
        match self.removed {
            Some(_) => self.offer("Bring back…", Action::Manage, format!("/services/{name}/do/restore")),
            None => self.offer("Take out of use…", Action::Manage, format!("/services/{name}/do/remove")),
        }
    }

    /// Something to do with this service, where the reader may.
    pub(crate) fn offer(&self, word: &str, action: Action, path: String) -> Offer {
        Offer { word: word.to_owned(), path, denied: self.denied(action), danger: action == Action::Manage }
    }
}

struct PlaceView {
    environment: String,
    badge: Badge,
    reason: Text,
    since: Option<When>,
    evidence: Vec<Text>,
    next: Option<Text>,
    deadline: Option<When>,
    url: Option<String>,
    release: Option<i64>,
    ready: u32,
    wanted: u32,
    rollout: Option<String>,
    shares: Vec<ShareView>,
    problem: Text,
    /// What the gateway counted in the last minutes; none where nobody looked.
    figures: Vec<Figure>,
    /// Requests of the last hour.
    picture: Option<Picture>,
    instances: Vec<InstanceView>,
    offers: Vec<Offer>,
}

struct ShareView {
    release: String,
    percent: u32,
    instances: u32,
    probe: Text,
}

struct InstanceView {
    id: String,
    name: String,
    process: String,
    release: Option<i64>,
    badge: Badge,
    evidence: Text,
    since: When,
    memory: String,
}

struct NeedView {
    name: String,
    what: Text,
    path: Option<String>,
}

#[derive(Template)]
#[template(path = "service.html")]
struct OverviewPage {
    shell: Shell,
    head: Head,
    places: Vec<PlaceView>,
    needs: Vec<NeedView>,
    /// Services that need this one directly.
    needed_by: Vec<String>,
    latest: Option<ReleaseView>,
    created: When,
    offers: Vec<Offer>,
    /// Why the reader may not change what runs.
    denied: Option<String>,
    empty: Option<Empty>,
}

async fn overview(visit: Visit, Path(path): Path<ServicePath>) -> Outcome {
    let head = Head::of(&visit, &path.service, "Overview").await?;
    let status = visit.api.get::<GetStatus>(&path).await?;
    let routes = visit.api.get::<ListRoutes>(&path).await?.items;
    let instances = visit.api.get::<ListInstances>(&path).await?.items;
    let lately = OverviewQuery { services: Some(path.service.to_string()), ..OverviewQuery::default() };
    // A page without them is better than none.
    let lately = visit.api.ask::<ListMetrics>(&Nothing {}, &lately).await.map(|page| page.items).unwrap_or_default();
    let dependents = visit.api.get::<GetImpact>(&path).await?.dependents;
    let needed_by = dependents.iter().filter(|one| one.distance == 1).map(|one| one.service.to_string()).collect();
    let query = PageQuery { limit: Some(PAGE), after: None };
    let releases = visit.api.ask::<ListReleases>(&path, &query).await?.items;
    let numbers: BTreeMap<String, i64> = releases.iter().map(|r| (r.release.to_string(), r.number)).collect();
    let now = visit.now;
    let mut back = BTreeMap::new();
    if head.removed.is_none() && head.denied(Action::Deploy).is_none() {
        for place in status.environments.iter().filter(|place| place.release.is_some()) {
            back.insert(place.environment.clone(), way_back(&visit, &path, &place.environment).await);
        }
    }
    let known = visit.api.get::<ListEnvironments>(&Nothing {}).await?.items;
    let order: Vec<EnvironmentName> = known.into_iter().map(|one| one.environment).collect();
    let onward = onward(&order, &status.environments);
    let pictures = lately_of(&visit, &path.service).await;
    let around = Around { head: &head, routes, instances, numbers, lately, pictures, back, onward, now };
    let places: Vec<PlaceView> = status.environments.into_iter().map(|place| around.place(place)).collect();
    let empty = places.is_empty().then(nothing_yet);
    let latest = releases.first().map(|release| ReleaseView::of(release, &head, now));
    let needs = match releases.iter().find(|release| !release.current_in.is_empty()).or(releases.first()) {
        Some(release) => {
            let path = ReleasePath { service: path.service.clone(), number: release.number };
            needs(&visit.api.get::<GetRelease>(&path).await?)
        }
        None => Vec::new(),
    };
    let offers = vec![head.last_offer()];
    let denied = head.denied(Action::Deploy);
    let created = When::new(head.service.created, now);
    html(&OverviewPage {
        shell: head.shell(&visit, ""),
        head,
        places,
        needs,
        needed_by,
        latest,
        created,
        denied,
        offers,
        empty,
    })
}

/// What is known about the places of a service.
struct Around<'a> {
    head: &'a Head,
    routes: Vec<api::route::Route>,
    instances: Vec<api::run::Instance>,
    /// Numbers of releases by their ids.
    numbers: BTreeMap<String, i64>,
    lately: Vec<api::observe::PlaceMetrics>,
    pictures: BTreeMap<EnvironmentName, Picture>,
    /// The way back in each place, or why there is none.
    back: BTreeMap<EnvironmentName, Result<String, String>>,
    /// The environment behind each, where another release runs.
    onward: BTreeMap<EnvironmentName, EnvironmentName>,
    now: base::Time,
}

impl Around<'_> {
    fn place(&self, place: EnvironmentStatus) -> PlaceView {
        let environment = place.environment.to_string();
        let mine = self.routes.iter().find(|route| route.environment == place.environment);
        let shares = mine.iter().flat_map(|route| &route.shares).map(|share| ShareView {
            release: self
                .numbers
                .get(&share.release.to_string())
                .map_or_else(|| share.release.short(), |n| format!("r{n}")),
            percent: share.percent.min(100),
            instances: share.instances,
            probe: Text(share.probe.clone()),
        });
        let act = |verb: &str| {
            links::query(
                &format!("/services/{}/do/{verb}", self.head.service.service),
                &[("environment", &environment)],
            )
        };
        let running = place.release.is_some();
        let plan = |parameters: &[(&str, &str)]| path_to(&self.head.service.service, parameters);
        let mut offers = Vec::new();
        // Why a reader may do nothing of it stands once on the page.
        if running && self.head.removed.is_none() && self.head.denied(Action::Deploy).is_none() {
            if let Some(next) = self.onward.get(&place.environment) {
                let path = plan(&[("environment", next.as_str()), ("from", &environment)]);
                offers.push(self.head.offer(&format!("Promote to {next}…"), Action::Deploy, path));
            }
            let back = self.back.get(&place.environment);
            let path = plan(&[("environment", &environment), ("rollback", "true")]);
            let offer = self.head.offer("Roll back…", Action::Deploy, path);
            offers.push(Offer { denied: offer.denied.clone().or_else(|| back?.as_ref().err().cloned()), ..offer });
            let path = plan(&[("environment", &environment), ("restart", "true")]);
            offers.push(self.head.offer("Restart…", Action::Deploy, path));
            offers.push(self.head.offer("Scale…", Action::Operate, act("scale")));
        }
        PlaceView {
            badge: Badge::health(place.health),
            reason: Text(place.reason),
            since: place.since.map(|at| When::new(at, self.now)),
            evidence: place.evidence.into_iter().map(Text).collect(),
            next: place.next.map(Text),
            deadline: place.deadline.map(|at| When::new(at, self.now)),
            url: place.url.filter(|url| url.starts_with("http://") || url.starts_with("https://")),
            release: place.release,
            ready: place.ready,
            wanted: place.wanted,
            rollout: place.rollout.map(|id| id.to_string()),
            shares: shares.collect(),
            figures: self
                .lately
                .iter()
                .find(|one| one.environment == place.environment && one.observed_ms > 0)
                .map_or_else(Vec::new, |one| figures(&one.total, one.observed_ms)),
            picture: self.pictures.get(&place.environment).cloned(),
            problem: Text(mine.map(|route| route.problem.clone()).unwrap_or_default()),
            instances: self
                .instances
                .iter()
                .filter(|i| i.environment == place.environment && i.state != "exited")
                .map(|i| instance(i, &self.numbers, self.now))
                .collect(),
            offers,
            environment,
        }
    }
}

/// From where to where a promotion would bring something: to the environment behind each, where another
/// release runs, or none.
fn onward(order: &[EnvironmentName], places: &[EnvironmentStatus]) -> BTreeMap<EnvironmentName, EnvironmentName> {
    let release = |wanted: &EnvironmentName| places.iter().find(|place| place.environment == *wanted)?.release;
    let pairs = order.iter().zip(order.iter().skip(1));
    let worth = pairs.filter(|(from, to)| release(from).is_some() && release(from) != release(to));
    worth.map(|(from, to)| (from.clone(), to.clone())).collect()
}

fn nothing_yet() -> Empty {
    Empty::new("Nothing was deployed yet", "Push to its repository, or deploy a folder.").command("orlop deploy")
}

fn instance(one: &api::run::Instance, numbers: &BTreeMap<String, i64>, now: base::Time) -> InstanceView {
    InstanceView {
        id: one.instance.to_string(),
        name: one.instance.short(),
        process: one.process.to_string(),
        release: one.number.or_else(|| numbers.get(&one.release.to_string()).copied()),
        badge: Badge::instance(&one.state),
        evidence: Text(one.evidence.clone()),
        since: When::new(one.since, now),
        memory: one.memory.map_or_else(String::new, |memory| memory.to_string()),
    }
}

/// What a release declares in `needs`.
fn needs(release: &Release) -> Vec<NeedView> {
    let declared = release.manifest.get("needs").and_then(serde_json::Value::as_object).cloned().unwrap_or_default();
    let of = |(name, need): (String, serde_json::Value)| {
        // `{"service": "stock"}`, or the kind beside its parts.
        let text = |key: &str| need.get(key).and_then(serde_json::Value::as_str).map(str::to_owned);
        let service = text("service").filter(|s| s.parse::<ServiceName>().is_ok());
        let what =
            service.clone().or_else(|| text("external")).or_else(|| text("url")).unwrap_or_else(|| need.to_string());
        NeedView { name, what: Text(what), path: service.map(|s| format!("/services/{s}")) }
    };
    declared.into_iter().map(of).collect()
}

pub(crate) struct ReleaseView {
    pub number: i64,
    pub message: Text,
    pub commit: String,
    pub author: Text,
    pub recipe: String,
    pub made: When,
    pub by: String,
    pub current_in: Vec<String>,
    pub artifact: String,
    pub offer: Option<Offer>,
}

impl ReleaseView {
    fn of(release: &Release, head: &Head, now: base::Time) -> Self {
        let service = &head.service.service;
        let path = path_to(service, &[("release", &release.number.to_string())]);
        Self {
            number: release.number,
            message: Text(release.message.clone()),
            commit: release.commit.as_deref().unwrap_or_default().chars().take(10).collect(),
            author: Text(release.author.clone()),
            recipe: release.recipe.clone(),
            made: When::new(release.created, now),
            by: say_actor(&release.actor),
            current_in: release.current_in.iter().map(ToString::to_string).collect(),
            artifact: release.artifact.to_string(),
            // The reason why not stands once, above the list.
            offer: (head.removed.is_none() && head.denied(Action::Deploy).is_none())
                .then(|| head.offer("Roll out…", Action::Deploy, path)),
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Further {
    after: String,
}

impl Further {
    fn query(&self) -> PageQuery {
        PageQuery { limit: Some(PAGE), after: Some(self.after.clone()).filter(|a| !a.is_empty()) }
    }
}

#[derive(Template)]
#[template(path = "releases.html")]
struct ReleasesPage {
    shell: Shell,
    head: Head,
    releases: Vec<ReleaseView>,
    denied: Option<String>,
    next: Option<String>,
    empty: Option<Empty>,
}

async fn releases(visit: Visit, Path(path): Path<ServicePath>, Query(further): Query<Further>) -> Outcome {
    let head = Head::of(&visit, &path.service, "Releases").await?;
    let page = visit.api.ask::<ListReleases>(&path, &further.query()).await?;
    let releases: Vec<ReleaseView> = page.items.iter().map(|one| ReleaseView::of(one, &head, visit.now)).collect();
    let next =
        page.next.map(|after| links::query(&format!("/services/{}/releases", path.service), &[("after", &after)]));
    let empty = releases
        .is_empty()
        .then(|| Empty::new("No releases yet", "The first deploy makes one.").command("orlop deploy"));
    let denied = head.denied(Action::Deploy);
    html(&ReleasesPage { shell: head.shell(&visit, "Releases"), head, releases, denied, next, empty })
}

/// A line of the matrix: who, why, and yes or no for each action.
pub(crate) struct PersonLine {
    pub person: String,
    pub why: String,
    pub cells: Vec<bool>,
}

/// What the reader can, and why.
pub(crate) struct RightLine {
    pub action: &'static str,
    pub means: &'static str,
    pub allowed: bool,
    pub why: Text,
    pub hint: Text,
}

/// Who can do what, for a service or a team.
pub(crate) struct Rights {
    pub mine: Vec<RightLine>,
    pub actions: Vec<&'static str>,
    pub people: Vec<PersonLine>,
}

impl Rights {
    pub(crate) fn of(report: &AccessReport) -> Self {
        let mine = report.mine.iter().map(|right| RightLine {
            action: right.action.word(),
            means: means(right.action),
            allowed: right.allowed,
            why: Text(right.why.clone()),
            hint: Text(right.hint.clone().unwrap_or_default()),
        });
        let people = report.people.iter().map(|one| PersonLine {
            person: one.person.to_string(),
            why: one.why.clone(),
            cells: api::ACTIONS.iter().map(|action| one.actions.contains(action)).collect(),
        });
        Self {
            mine: mine.collect(),
            actions: api::ACTIONS.iter().map(|a| a.word()).collect(),
            people: people.collect(),
        }
    }
}

const fn means(action: Action) -> &'static str {
    match action {
        Action::Read => "see services, releases, logs, names of settings",
        Action::Deploy => "push, deploy, promote, roll back",
        Action::Operate => "scale",
        Action::Configure => "change settings and secrets",
        Action::Manage => "change members and ownership, take services out of use",
        Action::Admin => "everything about the installation",
    }
}

#[derive(Template)]
#[template(path = "access.html")]
struct AccessPage {
    shell: Shell,
    head: Head,
    rights: Rights,
}

async fn access(visit: Visit, Path(path): Path<ServicePath>) -> Outcome {
    let head = Head::of(&visit, &path.service, "Access").await?;
    let rights = Rights::of(&visit.api.get::<GetAccess>(&path).await?);
    html(&AccessPage { shell: head.shell(&visit, "Access"), head, rights })
}

#[derive(Template)]
#[template(path = "activity.html")]
struct ActivityPage {
    shell: Shell,
    head: Head,
    facts: Vec<Told>,
    next: Option<String>,
}

async fn activity(visit: Visit, Path(path): Path<ServicePath>, Query(further): Query<Further>) -> Outcome {
    let head = Head::of(&visit, &path.service, "Activity").await?;
    let page = visit.api.ask::<ListActivity>(&path, &further.query()).await?;
    let facts = page.items.into_iter().map(|record| Told::of(record, visit.now)).collect();
    let next =
        page.next.map(|after| links::query(&format!("/services/{}/activity", path.service), &[("after", &after)]));
    html(&ActivityPage { shell: head.shell(&visit, "Activity"), head, facts, next })
}
