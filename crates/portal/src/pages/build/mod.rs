//! One build: its steps, where the time went, and its log as it comes.

pub(crate) mod tail;

use api::access::ServicePath;
use api::catalog::GetService;
use api::deliver::{Build, BuildPath, CancelBuild, GetBuild};
use api::{Action, Nothing};
use askama::Template;
use axum::Router;
use axum::extract::Path;
use axum::response::Response;
use axum::routing::{get, post};
use serde::Deserialize;

use super::Outcome;
use crate::client::Also;
use crate::components::{Badge, Text, When, say_actor};
use crate::fault::Fault;
use crate::form::{Done, Filled};
use crate::rights::Rights;
use crate::shell::{Section, Shell, html};
use crate::site::Site;
use crate::spans::{self, Flame};
use crate::visit::Visit;

pub(crate) fn routes() -> Router<Site> {
    Router::new()
        .route("/services/{service}/builds/{build}", get(show))
        .route("/services/{service}/builds/{build}/log", get(log))
        .route("/services/{service}/builds/{build}/cancel", post(cancel))
}

/// The page of a build.
pub(crate) fn path_of(build: &Build) -> String {
    format!("/services/{}/builds/{}", build.service, build.build)
}

#[derive(Template)]
#[template(path = "build.html")]
struct BuildPage {
    shell: Shell,
    service: String,
    id: String,
    environment: String,
    badge: Badge,
    reason: Text,
    ended: bool,
    begun: When,
    by: String,
    commit: Option<Text>,
    message: Text,
    recipe: Option<Text>,
    evidence: Vec<Text>,
    release: Option<i64>,
    rollout: Option<String>,
    artifact: Option<String>,
    flame: Flame,
    lines: Vec<String>,
    log: String,
    cancel: String,
    denied: Option<String>,
}

async fn show(visit: Visit, Path(path): Path<BuildPath>) -> Outcome {
    let build = visit.api.get::<GetBuild>(&path).await?;
    let service = visit.api.get::<GetService>(&ServicePath { service: path.service.clone() }).await?;
    let lines = tail::past_build(&visit, &path, tail::LINES_MAX).await;
    let base = path_of(&build);
    let shell = visit
        .shell(Section::Runs, format!("Build of {}", build.service))
        .crumb("Services", "/services")
        .crumb(build.service.as_str(), format!("/services/{}", build.service))
        .crumb("Runs", format!("/services/{}/runs", build.service))
        .live(build.service.as_str());
    html(&BuildPage {
        shell,
        id: build.build.to_string(),
        environment: build.environment.to_string(),
        badge: Badge::build(build.state),
        reason: Text::from(build.reason.clone()),
        ended: build.ended.is_some(),
        begun: When::new(build.created, visit.now),
        by: say_actor(&build.actor),
        commit: build.commit.as_ref().map(|commit| Text(commit.chars().take(12).collect())),
        message: Text::from(build.message.clone().unwrap_or_default()),
        recipe: build.recipe.clone().map(Text::from),
        evidence: build.evidence.iter().cloned().map(Text::from).collect(),
        release: build.release,
        rollout: build.rollout.map(|id| format!("/services/{}/rollouts/{id}", build.service)),
        artifact: build.artifact.map(|digest| digest.to_string()),
        flame: Flame::new(spans::of_build(&build, visit.now)),
        lines,
        log: format!("{base}/log"),
        cancel: format!("{base}/cancel"),
        denied: Rights::of(&visit.me).why_not(Action::Deploy, &service.team, Some(&service.service)),
        service: build.service.to_string(),
    })
}

/// The log as it comes.
async fn log(visit: Visit, Path(path): Path<BuildPath>) -> Result<Response, Fault> {
    tail::follow_build(&visit, &path).await
}

#[derive(Deserialize)]
struct NoFields {}

async fn cancel(Path(path): Path<BuildPath>, filled: Filled<NoFields>) -> Outcome {
    let Filled { visit, key, .. } = filled;
    let also = Also { key: Some(&key), ..Also::default() };
    let build = visit.api.call::<CancelBuild>(&path, &Nothing {}, &Nothing {}, also).await?.value;
    Ok(Done::to(path_of(&build), "It is being stopped.").see(visit.headers()))
}
