//! Rollouts: all of a service, one as it happens, and what one would do before it is started.

mod plan;
pub(crate) mod view;

use api::access::ServicePath;
use api::catalog::GetService;
use api::deliver::{
    Build, BuildPath, CancelRollout, Environment, GetRelease, GetRollout, ListBuilds, ListEnvironments, ListReleases,
    ListRollouts, ReleasePath, Rollout, RolloutPath, RolloutQuery, RolloutState,
};
use api::route::ListRoutes;
use api::{Action, Nothing, PageQuery};
use askama::Template;
use axum::Router;
use axum::extract::{Path, Query};
use axum::response::Response;
use axum::routing::{get, post};
use base::EnvironmentName;
use serde::Deserialize;

use super::build::tail;
use super::{Head, Outcome};
pub(crate) use plan::{Difference, Side, differences, path_to, way_back};

use crate::client::Also;
use crate::components::{Badge, Empty, Text, When, exactly, say_actor};
use crate::form::{Done, Filled};
use crate::rights::Rights;
use crate::shell::{Section, Shell, html};
use crate::site::Site;
use crate::spans::{self, Flame};
use crate::visit::Visit;

/// Lines of a build beside its rollout; its own page has all.
const BUILD_LINES: usize = 300;
/// Releases whose number can be told.
const RELEASES_KNOWN: u32 = 50;
/// Builds that are looked through for the one that began a rollout.
const BUILDS_LOOKED_THROUGH: u32 = 50;

pub(crate) fn routes() -> Router<Site> {
    Router::new()
        .route("/services/{service}/rollouts", get(list).post(plan::start))
        .route("/services/{service}/rollouts/plan", get(plan::show))
        .route("/services/{service}/rollouts/{rollout}", get(show))
        .route("/services/{service}/rollouts/{rollout}/cancel", post(cancel))
        .route("/services/{service}/rollouts/{rollout}/output", get(output))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Asked {
    environment: String,
    after: String,
}

struct Line {
    path: String,
    id: String,
    environment: String,
    number: i64,
    cause: Text,
    badge: Badge,
    reason: Text,
    begun: When,
    took: String,
    by: String,
}

impl Line {
    fn of(rollout: &Rollout, visit: &Visit) -> Self {
        Self {
            path: path_of(rollout),
            id: rollout.rollout.short(),
            environment: rollout.environment.to_string(),
            number: rollout.number,
            cause: Text::from(rollout.cause.clone()),
            badge: Badge::rollout(rollout.state),
            reason: Text::from(rollout.reason.clone()),
            begun: When::new(rollout.created, visit.now),
            took: exactly(rollout.ended.unwrap_or(visit.now).since(rollout.created)),
            by: say_actor(&rollout.actor),
        }
    }
}

/// The page of a rollout.
pub(crate) fn path_of(rollout: &Rollout) -> String {
    format!("/services/{}/rollouts/{}", rollout.service, rollout.rollout)
}

#[derive(Template)]
#[template(path = "rollouts.html")]
struct RolloutsPage {
    shell: Shell,
    head: Head,
    service: String,
    environment: String,
    environments: Vec<String>,
    lines: Vec<Line>,
    next: Option<String>,
    empty: Option<Empty>,
}

async fn list(visit: Visit, Path(path): Path<ServicePath>, Query(asked): Query<Asked>) -> Outcome {
    let environments = visit.api.get::<ListEnvironments>(&Nothing {}).await?;
    let query = RolloutQuery {
        limit: Some(50),
        after: Some(asked.after).filter(|after| !after.is_empty()),
        environment: asked.environment.parse().ok(),
    };
    let page = visit.api.ask::<ListRollouts>(&path, &query).await?;
    let lines: Vec<Line> = page.items.iter().map(|rollout| Line::of(rollout, &visit)).collect();
    let empty = lines.is_empty().then(|| Empty::new("No rollouts", "A deploy begins one.").command("orlop deploy"));
    let service = path.service.to_string();
    let base = format!("/services/{service}/rollouts");
    let next =
        page.next.map(|next| crate::links::query(&base, &[("environment", &asked.environment), ("after", &next)]));
    let head = Head::of(&visit, &path.service, "Rollouts").await?;
    let shell = head.shell(&visit, "Rollouts");
    let environments = environments.items.iter().map(|one| one.environment.to_string()).collect();
    html(&RolloutsPage { shell, head, service, environment: asked.environment, environments, lines, next, empty })
}

#[derive(Template)]
#[template(path = "rollout.html")]
struct RolloutPage {
    shell: Shell,
    service: String,
    environment: String,
    number: i64,
    id: String,
    cause: Text,
    by: String,
    begun: When,
    head: view::Head,
    evidence: Vec<Text>,
    steps: Vec<view::Step>,
    parts: Vec<view::Part>,
    undo: Vec<String>,
    /// Why it may not be stopped, where it may not.
    denied: Option<String>,
    cancel: String,
    /// Where the way back is shown before it is taken, or why there is none; nothing where this is not what runs.
    back: Option<Result<String, String>>,
    /// The environment behind this one, and where a promotion to it is shown before it is begun.
    onward: Option<(String, String)>,
    settings: Vec<(String, i64)>,
    commit: Option<Text>,
    message: Text,
    flame: Flame,
    build: Option<(String, Badge)>,
    logs: Vec<Log>,
}

/// Lines of output beside a rollout.
struct Log {
    title: &'static str,
    lines: Vec<String>,
    /// Where the next ones come from.
    tail: Option<String>,
    /// Where all of it is.
    whole: Option<String>,
}

async fn show(visit: Visit, Path(path): Path<RolloutPath>) -> Outcome {
    let rollout = visit.api.get::<GetRollout>(&path).await?;
    let here = ServicePath { service: path.service.clone() };
    let number = ReleasePath { service: path.service.clone(), number: rollout.number };
    let newest = PageQuery { limit: Some(RELEASES_KNOWN), after: None };
    let (release, routes, releases, builds, service, environments) = tokio::try_join!(
        visit.api.get::<GetRelease>(&number),
        visit.api.get::<ListRoutes>(&here),
        visit.api.ask::<ListReleases>(&here, &newest),
        builds_of(&visit, &here),
        visit.api.get::<GetService>(&here),
        visit.api.get::<ListEnvironments>(&Nothing {}),
    )?;
    let shape = view::Shape::of(&release.manifest);
    let parts = view::traffic(&rollout, &routes.items, &releases.items);
    let build = builds.iter().find(|build| build.rollout == Some(rollout.rollout));
    let undo = view::undo(&rollout, &parts);
    let denied = Rights::of(&visit.me).why_not(Action::Deploy, &service.team, Some(&service.service));
    let base = path_of(&rollout);
    let logs = logs(&visit, &rollout, build, &here).await;
    let back = match brought(&rollout, &release.current_in) && denied.is_none() {
        true => Some(way_back(&visit, &here, &rollout.environment).await),
        false => None,
    };
    let mut pieces = build.map(|build| spans::of_build(build, visit.now)).unwrap_or_default();
    pieces.extend(spans::of_rollout(&rollout, visit.now));
    let shell = visit
        .shell(Section::Services, format!("Release {} in {}", rollout.number, rollout.environment))
        .crumb("Services", "/services")
        .crumb(path.service.as_str(), format!("/services/{}", path.service))
        .crumb("Rollouts", format!("/services/{}/rollouts", path.service))
        .live(path.service.as_str());
    html(&RolloutPage {
        shell,
        service: path.service.to_string(),
        environment: rollout.environment.to_string(),
        number: rollout.number,
        id: rollout.rollout.to_string(),
        cause: Text::from(rollout.cause.clone()),
        by: say_actor(&rollout.actor),
        begun: When::new(rollout.created, visit.now),
        head: view::Head::of(&rollout, visit.now),
        evidence: rollout.evidence.iter().cloned().map(Text::from).collect(),
        steps: view::steps(&rollout, shape, visit.now),
        parts,
        undo,
        denied,
        cancel: format!("{base}/cancel"),
        back,
        onward: onward(&rollout, &release.current_in, &environments.items),
        settings: rollout.settings.iter().map(|(name, version)| (name.clone(), *version)).collect(),
        commit: release.commit.as_ref().map(|commit| Text(commit.chars().take(12).collect())),
        message: Text::from(release.message),
        flame: Flame::new(pieces),
        build: build.map(|build| (super::build::path_of(build), Badge::build(build.state))),
        logs,
    })
}

/// What the build said that made the release, and what its release command says.
async fn logs(visit: &Visit, rollout: &Rollout, build: Option<&Build>, here: &ServicePath) -> Vec<Log> {
    let mut logs = Vec::new();
    if let Some(build) = build {
        let path = BuildPath { service: build.service.clone(), build: build.build };
        let page = super::build::path_of(build);
        logs.push(Log {
            title: "Build",
            lines: tail::past_build(visit, &path, BUILD_LINES).await,
            tail: build.ended.is_none().then(|| format!("{page}/log")),
            whole: Some(page),
        });
    }
    if let Some(command) = tail::Command::of(rollout) {
        logs.push(Log {
            title: "Release command",
            lines: command.past(visit, here).await,
            tail: rollout.ended.is_none().then(|| format!("{}/output", path_of(rollout))),
            whole: None,
        });
    }
    logs
}

async fn builds_of(visit: &Visit, here: &ServicePath) -> base::Result<Vec<Build>> {
    let query = PageQuery { limit: Some(BUILDS_LOOKED_THROUGH), after: None };
    Ok(visit.api.ask::<ListBuilds>(here, &query).await?.items)
}

/// Whether a rollout's release is what runs because of it.
fn brought(rollout: &Rollout, current_in: &[EnvironmentName]) -> bool {
    rollout.state == RolloutState::Succeeded && current_in.contains(&rollout.environment)
}

/// What a rollout brought can be promoted to the environment behind its own, where it is not there yet.
fn onward(rollout: &Rollout, current_in: &[EnvironmentName], known: &[Environment]) -> Option<(String, String)> {
    let mut behind = known.iter().skip_while(|one| one.environment != rollout.environment).skip(1);
    let next = behind.next().map(|one| &one.environment).filter(|next| !current_in.contains(next))?;
    let parameters = [("environment", next.as_str()), ("from", rollout.environment.as_str())];
    let plan = path_to(&rollout.service, &parameters);
    brought(rollout, current_in).then(|| (next.to_string(), plan))
}

#[derive(Deserialize)]
struct NoFields {}

async fn cancel(Path(path): Path<RolloutPath>, filled: Filled<NoFields>) -> Outcome {
    let Filled { visit, key, .. } = filled;
    let also = Also { key: Some(&key), ..Also::default() };
    let rollout = visit.api.call::<CancelRollout>(&path, &Nothing {}, &Nothing {}, also).await?.value;
    Ok(Done::to(path_of(&rollout), "It is being stopped.").see(visit.headers()))
}

/// The output of the release command, as it comes.
async fn output(visit: Visit, Path(path): Path<RolloutPath>) -> Result<Response, crate::fault::Fault> {
    let rollout = visit.api.get::<GetRollout>(&path).await?;
    let command = tail::Command::of(&rollout).ok_or_else(|| {
        base::Problem::not_found("no-release-command", "this rollout has run no release command")
            .hint("`run: { release: [...] }` in the service file names one")
    })?;
    command.follow(&visit, &ServicePath { service: path.service }).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::samples::rollout;

    #[test]
    fn what_was_brought_goes_on() {
        let known: Vec<Environment> = ["dev", "staging", "prod"]
            .into_iter()
            .zip(1..)
            .map(|(name, order)| Environment { environment: name.parse().unwrap(), order })
            .collect();
        let dev: EnvironmentName = "dev".parse().unwrap();
        let staging: EnvironmentName = "staging".parse().unwrap();
        let done = rollout(&[("succeeded", 1)]);
        let current = std::slice::from_ref(&dev);
        let (next, plan) = onward(&done, current, &known).unwrap();
        assert_eq!(
            (next.as_str(), plan.as_str()),
            ("staging", "/services/shop/rollouts/plan?environment=staging&from=dev")
        );
        assert_eq!(onward(&done, &[dev.clone(), staging], &known), None, "it is there already");
        assert_eq!(onward(&done, &[], &known), None, "something newer runs");
        assert_eq!(onward(&rollout(&[("failed", 1)]), current, &known), None);
        assert_eq!(onward(&done, current, &known[..1]), None, "nothing comes behind it");
    }
}
