//! Builds and release commands, of all services or of one, with where the time went.

use api::Nothing;
use api::access::ServicePath;
use api::deliver::{ListRuns, Run, RunKind, RunQuery};
use askama::Template;
use axum::Router;
use axum::extract::{Path, Query};
use axum::routing::get;
use serde::Deserialize;

use super::{Head, Outcome};
use crate::components::{Badge, Empty, Text, When, exactly, say_actor};
use crate::links;
use crate::shell::{Section, Shell, html};
use crate::site::Site;
use crate::spans::{Flame, of_steps};
use crate::visit::Visit;

/// Runs on one page.
const RUNS: u32 = 50;

pub(crate) fn routes() -> Router<Site> {
    Router::new().route("/runs", get(all)).route("/services/{service}/runs", get(of_service))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Asked {
    kind: String,
    after: String,
}

struct Line {
    key: String,
    path: String,
    service: String,
    environment: String,
    what: &'static str,
    badge: Badge,
    reason: Text,
    release: Option<i64>,
    begun: When,
    took: String,
    by: String,
    flame: Flame,
}

impl Line {
    fn of(run: &Run, now: base::Time) -> Self {
        let (key, path) = match (run.kind, run.build, run.rollout) {
            (RunKind::Build, Some(build), _) => {
                (build.to_string(), format!("/services/{}/builds/{build}", run.service))
            }
            (_, _, Some(rollout)) => (rollout.to_string(), format!("/services/{}/rollouts/{rollout}", run.service)),
            _ => (run.created.to_string(), format!("/services/{}", run.service)),
        };
        Self {
            key,
            path,
            service: run.service.to_string(),
            environment: run.environment.to_string(),
            what: match run.kind {
                RunKind::Build => "build",
                RunKind::Release => "release command",
            },
            badge: Badge::build(run.state),
            reason: Text::from(run.reason.clone()),
            release: run.release,
            begun: When::new(run.created, now),
            took: exactly(run.ended.unwrap_or(now).since(run.created)),
            by: say_actor(&run.actor),
            flame: Flame::new(of_steps(&run.steps, run.ended, now)),
        }
    }
}

#[derive(Template)]
#[template(path = "runs.html")]
struct RunsPage {
    shell: Shell,
    /// The service that it is about; nothing: all of them.
    head: Option<Head>,
    base: String,
    service: Option<String>,
    kind: String,
    lines: Vec<Line>,
    next: Option<String>,
    empty: Option<Empty>,
}

async fn all(visit: Visit, Query(asked): Query<Asked>) -> Outcome {
    let shell = visit.shell(Section::Runs, "Runs").live("*");
    page(visit, shell, asked, None).await
}

async fn of_service(visit: Visit, Path(path): Path<ServicePath>, Query(asked): Query<Asked>) -> Outcome {
    let head = Head::of(&visit, &path.service, "Runs").await?;
    let shell = head.shell(&visit, "Runs");
    page(visit, shell, asked, Some(head)).await
}

async fn page(visit: Visit, shell: Shell, asked: Asked, only: Option<Head>) -> Outcome {
    let query = RunQuery {
        limit: Some(RUNS),
        after: Some(asked.after).filter(|after| !after.is_empty()),
        service: only.as_ref().map(|head| head.service.service.clone()),
        kind: match asked.kind.as_str() {
            "build" => Some(RunKind::Build),
            "release" => Some(RunKind::Release),
            _ => None,
        },
    };
    let page = visit.api.ask::<ListRuns>(&Nothing {}, &query).await?;
    let lines: Vec<Line> = page.items.iter().map(|run| Line::of(run, visit.now)).collect();
    let service = only.as_ref().map(|head| head.service.service.to_string());
    let base = service.as_ref().map_or_else(|| "/runs".to_owned(), |service| format!("/services/{service}/runs"));
    let next = page.next.map(|next| links::query(&base, &[("kind", &asked.kind), ("after", &next)]));
    let empty =
        lines.is_empty().then(|| Empty::new("Nothing has run yet", "A deploy builds first.").command("orlop deploy"));
    html(&RunsPage { shell, head: only, base, service, kind: asked.kind, lines, next, empty })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::samples::{at, build};

    #[test]
    fn a_run_leads_to_what_made_it() {
        let build = build(api::deliver::BuildState::Failed);
        let run = Run {
            kind: RunKind::Build,
            service: build.service.clone(),
            environment: build.environment.clone(),
            build: Some(build.build),
            rollout: None,
            state: build.state,
            reason: "<i>".into(),
            release: None,
            steps: build.steps.clone(),
            created: build.created,
            ended: build.ended,
            actor: build.actor.clone(),
        };
        let line = Line::of(&run, at(50));
        assert_eq!(line.path, format!("/services/shop/builds/{}", build.build));
        assert_eq!((line.took.as_str(), line.reason.to_string().as_str()), ("20.000 s", "<bdi>&lt;i&gt;</bdi>"));
        assert_eq!(line.flame.spans.len(), 2);
    }
}
