//! Every service that the reader may see, and what they look for among them again and again.

mod own;

use std::collections::BTreeMap;
use std::time::Duration;

use api::access::{ListTeams, ListViews};
use api::catalog::{CountStatus, EnvironmentStatus, Health, ListStatus, ServiceStatus, StatusOrder, StatusQuery};
use api::observe::{ListMetrics, OverviewQuery, PlaceMetrics};
use api::{Nothing, PageQuery};
use askama::Template;
use axum::Router;
use axum::extract::Query;
use axum::routing::{get, post};
use base::{Span, Time};
use serde::Deserialize;

use super::Outcome;
use super::metrics::rate;
use crate::components::chart::{Svg, sparkline};
use crate::components::{Badge, Empty, Text, When};
use crate::links;
use crate::shell::{Section, Shell, html};
use crate::site::Site;
use crate::visit::Visit;

/// Services on one page.
const PAGE: u32 = 100;
/// How far back the small pictures go.
const LATELY: Duration = Duration::from_secs(3600);

pub(crate) fn routes() -> Router<Site> {
    Router::new()
        .route("/services", get(list))
        .route("/services/views", post(own::save))
        .route("/services/views/{view}/forget", post(own::forget))
}

/// A service as a line of a table.
pub(crate) struct Line {
    pub service: String,
    pub team: String,
    pub description: Text,
    pub kind: String,
    pub places: Vec<Place>,
    /// Why the one that needs somebody most is as it is.
    pub reason: Text,
    pub since: Option<When>,
    /// Requests of the last hour in all its places; none where nobody looked.
    pub traffic: Option<Traffic>,
}

/// Requests of the last hour.
pub(crate) struct Traffic {
    pub picture: Svg,
    pub number: String,
}

impl Traffic {
    /// Of a service in all its places together.
    fn of(places: &[&PlaceMetrics]) -> Option<Self> {
        let observed = places.iter().map(|place| place.observed_ms).max().filter(|ms| *ms > 0)?;
        let len = places.iter().map(|place| place.recent.len()).max().unwrap_or(0);
        let at = |step: usize| {
            let seen = places.iter().filter_map(|place| place.recent.get(step).copied().flatten());
            seen.fold(None, |sum: Option<u64>, n| Some(sum.unwrap_or(0).saturating_add(n)))
        };
        let points: Vec<Option<f64>> = (0..len).map(|step| at(step).map(|n| n as f64)).collect();
        let all: u64 = places.iter().map(|place| place.total.requests).sum();
        let each = places.iter().map(|place| format!("{} in {}", place.total.requests, place.environment));
        let told = format!("requests in the last hour: {}", each.collect::<Vec<_>>().join(", "));
        Some(Self { picture: sparkline(&points, &told), number: rate(all, observed) })
    }
}

/// A service in one environment.
pub(crate) struct Place {
    pub environment: String,
    pub badge: Badge,
    pub release: Option<i64>,
    pub ready: u32,
    pub wanted: u32,
    pub url: Option<String>,
}

impl Line {
    pub(crate) fn of(status: ServiceStatus, now: Time) -> Self {
        let worst = status.environments.iter().min_by_key(|place| Badge::health(place.health).tone);
        Self {
            service: status.service.to_string(),
            team: status.team.to_string(),
            description: Text(status.description),
            kind: status.kind.unwrap_or_default(),
            reason: Text(worst.map_or_else(|| "never deployed".to_owned(), |place| place.reason.clone())),
            since: worst.and_then(|place| place.since).map(|at| When::new(at, now)),
            places: status.environments.into_iter().map(Place::of).collect(),
            traffic: None,
        }
    }
}

/// What the lines that are shown have to do. A list without it is better than none.
async fn with_traffic(visit: &Visit, mut lines: Vec<Line>) -> Vec<Line> {
    if lines.is_empty() {
        return lines;
    }
    let names: Vec<&str> = lines.iter().map(|line| line.service.as_str()).collect();
    let query =
        OverviewQuery { services: Some(names.join(",")), window: Some(Span(LATELY)), ..OverviewQuery::default() };
    let Ok(page) = visit.api.ask::<ListMetrics>(&Nothing {}, &query).await else { return lines };
    let mut by_service: BTreeMap<&str, Vec<&PlaceMetrics>> = BTreeMap::new();
    for place in &page.items {
        by_service.entry(place.service.as_str()).or_default().push(place);
    }
    for line in &mut lines {
        line.traffic = by_service.get(line.service.as_str()).and_then(|places| Traffic::of(places));
    }
    lines
}

impl Place {
    fn of(place: EnvironmentStatus) -> Self {
        Self {
            environment: place.environment.to_string(),
            badge: Badge::health(place.health),
            release: place.release,
            ready: place.ready,
            wanted: place.wanted,
            // Only what a browser opens as a page.
            url: place.url.filter(|url| url.starts_with("http://") || url.starts_with("https://")),
        }
    }
}

/// What the reader asked for, as it stands in the address.
#[derive(Debug, Deserialize, Default, Clone, PartialEq, Eq)]
#[serde(default)]
pub(crate) struct Asked {
    q: String,
    team: String,
    health: String,
    kind: String,
    /// `yes`: only those of which something crashes again and again.
    crash: String,
    sort: String,
    after: String,
}

impl Asked {
    fn query(&self) -> StatusQuery {
        let word = |text: &str| serde_json::Value::from(text);
        let given = |text: &String| Some(text.clone()).filter(|t| !t.is_empty());
        StatusQuery {
            limit: Some(PAGE),
            after: given(&self.after),
            team: self.team.parse().ok(),
            health: serde_json::from_value::<Health>(word(&self.health)).ok(),
            kind: given(&self.kind),
            crash_loop: (self.crash == "yes").then_some(true),
            search: given(&self.q),
            sort: serde_json::from_value::<StatusOrder>(word(&self.sort)).ok(),
        }
    }

    fn path(&self, sort: &str, after: &str) -> String {
        let Self { q, team, health, kind, crash, .. } = self;
        let given = [
            ("q", q.as_str()),
            ("team", team),
            ("health", health),
            ("kind", kind),
            ("crash", crash),
            ("sort", sort),
            ("after", after),
        ];
        links::query("/services", &given)
    }

    fn is_filtered(&self) -> bool {
        [&self.q, &self.team, &self.health, &self.kind, &self.crash].iter().any(|text| !text.is_empty())
    }

    /// What is worth a name.
    fn is_own(&self) -> bool {
        self.is_filtered() || !self.sort.is_empty()
    }

    /// As it is kept: without a place in the list.
    fn kept(&self) -> StatusQuery {
        StatusQuery { limit: None, after: None, ..self.query() }
    }

    fn of(query: StatusQuery) -> Self {
        let word = |value: Option<serde_json::Value>| {
            value.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
        };
        Self {
            q: query.search.unwrap_or_default(),
            team: query.team.map(|team| team.to_string()).unwrap_or_default(),
            health: query.health.map(|health| health.word().to_owned()).unwrap_or_default(),
            kind: query.kind.unwrap_or_default(),
            crash: if query.crash_loop == Some(true) { "yes".to_owned() } else { String::new() },
            sort: word(query.sort.and_then(|sort| serde_json::to_value(sort).ok())),
            after: String::new(),
        }
    }
}

/// A heading by which the list can be sorted.
struct Heading {
    word: &'static str,
    path: String,
    current: bool,
}

/// A filter that many want, with how much it finds.
struct View {
    word: String,
    path: String,
    current: bool,
}

#[derive(Template)]
#[template(path = "services.html")]
struct ServicesPage {
    shell: Shell,
    asked: Asked,
    total: u32,
    teams: Vec<String>,
    healths: [&'static str; 6],
    kinds: [&'static str; 3],
    views: Vec<View>,
    /// The reader's own.
    own: Vec<View>,
    /// The name of the one that is shown.
    chosen: Option<String>,
    headings: Vec<Heading>,
    lines: Vec<Line>,
    next: Option<String>,
    empty: Option<Empty>,
}

const HEALTHS: [&str; 6] = ["down", "degraded", "changing", "unknown", "healthy", "empty"];

async fn list(visit: Visit, Query(asked): Query<Asked>) -> Outcome {
    let page = visit.api.ask::<ListStatus>(&Nothing {}, &asked.query()).await?;
    let counts = visit.api.get::<CountStatus>(&Nothing {}).await?;
    let teams = visit.api.ask::<ListTeams>(&Nothing {}, &PageQuery { limit: Some(200), after: None }).await?;
    let views = visit.api.ask::<ListViews>(&Nothing {}, &PageQuery { limit: Some(50), after: None }).await?;
    let next = page.next.map(|after| asked.path(&asked.sort, &after));
    let lines: Vec<Line> = page.items.into_iter().map(|one| Line::of(one, visit.now)).collect();
    let lines = with_traffic(&visit, lines).await;
    let own = own::views(views.items, &asked);
    let empty = lines.is_empty().then(|| match asked.is_filtered() {
        true => Empty::new("Nothing like that", "No service that you may see fits what is asked for."),
        false => Empty::new("No services yet", "A push to a free name makes one.")
            .command("orlop new web hello && cd hello && orlop deploy"),
    });
    let heading = |word, sort: &str| Heading { word, path: asked.path(sort, ""), current: asked.sort == sort };
    html(&ServicesPage {
        shell: visit.shell(Section::Services, "Services").live("*"),
        total: counts.services,
        teams: teams.items.into_iter().map(|team| team.team.to_string()).collect(),
        healths: HEALTHS,
        kinds: ["web", "worker", "site"],
        views: self::views(&asked, &counts.places),
        chosen: own.iter().find(|view| view.current).map(|view| view.word.clone()),
        own,
        headings: vec![
            heading("Service", ""),
            heading("Team", "team"),
            heading("State", "health"),
            heading("Since", "change"),
        ],
        lines,
        next,
        empty,
        asked,
    })
}

fn views(asked: &Asked, counts: &BTreeMap<String, u32>) -> Vec<View> {
    let all = View { word: "All".to_owned(), path: "/services".to_owned(), current: !asked.is_filtered() };
    let by_health = HEALTHS.iter().filter_map(|health| {
        let count = counts.get(*health)?;
        Some(View {
            word: format!("{health} {count}"),
            path: format!("/services?health={health}"),
            current: asked.health == *health,
        })
    });
    std::iter::once(all).chain(by_health).collect()
}
