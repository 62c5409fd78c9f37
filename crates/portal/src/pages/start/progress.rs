//! The first deploy as it happens: from the push to the address that answers.

use api::PageQuery;
use api::access::ServicePath;
use api::catalog::{EnvironmentStatus, GetStatus, Health};
use api::deliver::{Build, BuildPath, BuildState, GetRollout, ListBuilds, Rollout, RolloutPath, RolloutState};
use askama::Template;
use axum::extract::Path;
use axum::response::Response;

use super::PushView;
use crate::components::{Badge, Text, When, exactly};
use crate::fault::Fault;
use crate::pages::Outcome;
use crate::pages::build::tail;
use crate::shell::{Section, Shell, html};
use crate::spans::{self, Flame};
use crate::visit::Visit;

/// A stage on the way.
struct Stage {
    word: &'static str,
    look: &'static str,
    text: Text,
    took: Option<String>,
}

/// What there is of a first deploy.
struct Seen<'a> {
    build: Option<&'a Build>,
    rollout: Option<&'a Rollout>,
    place: Option<&'a EnvironmentStatus>,
}

const fn look(done: bool, failed: bool, begun: bool) -> &'static str {
    match (failed, done, begun) {
        (true, _, _) => "bad",
        (_, true, _) => "good",
        (_, _, true) => "busy",
        _ => "ahead",
    }
}

/// Pushed, built, rolled out, answering.
fn stages(seen: &Seen<'_>, now: base::Time) -> Vec<Stage> {
    let Seen { build, rollout, place } = seen;
    let built = build.is_some_and(|build| build.state == BuildState::Succeeded);
    let build_failed = build.is_some_and(|build| matches!(build.state, BuildState::Failed | BuildState::Cancelled));
    let rolled = rollout.is_some_and(|rollout| rollout.state == RolloutState::Succeeded);
    let ended = rollout.is_some_and(|rollout| spans::is_final(rollout.state));
    let answers = place.is_some_and(|place| place.health == Health::Healthy);
    let took = |from: base::Time, to: Option<base::Time>| Some(exactly(to.unwrap_or(now).since(from)));
    vec![
        Stage {
            word: "source",
            look: look(build.is_some(), false, true),
            text: Text::from(build.map_or("waits for your push".to_owned(), |build| {
                build.message.clone().unwrap_or_else(|| "received".to_owned())
            })),
            took: None,
        },
        Stage {
            word: "build",
            look: look(built, build_failed, build.is_some()),
            text: Text::from(build.map_or("made into a release".to_owned(), |build| build.reason.clone())),
            took: build.and_then(|build| took(build.created, build.ended)),
        },
        Stage {
            word: "rollout",
            look: look(rolled, ended && !rolled, rollout.is_some()),
            text: Text::from(rollout.map_or("instances start, traffic moves, it is watched".to_owned(), |rollout| {
                format!("{}: {}", spans::state_word(rollout.state), rollout.reason)
            })),
            took: rollout.and_then(|rollout| took(rollout.created, rollout.ended)),
        },
        Stage {
            word: "answers",
            look: look(rolled && answers, false, rolled),
            text: Text::from(place.map_or("its address answers".to_owned(), |place| place.reason.clone())),
            took: None,
        },
    ]
}

#[derive(Template)]
#[template(path = "start_follow.html")]
struct FollowPage {
    shell: Shell,
    /// What to type, on the page that answers the form.
    push: Option<PushView>,
    service: String,
    stages: Vec<Stage>,
    url: Option<String>,
    failed: bool,
    waits: bool,
    since: Option<When>,
    evidence: Vec<Text>,
    flame: Flame,
    build: Option<(String, Badge)>,
    rollout: Option<String>,
    lines: Vec<String>,
    tail: Option<String>,
}

pub(super) async fn page(visit: Visit, path: ServicePath, push: Option<PushView>) -> Outcome {
    let newest = PageQuery { limit: Some(1), after: None };
    let (builds, status) =
        tokio::try_join!(visit.api.ask::<ListBuilds>(&path, &newest), visit.api.get::<GetStatus>(&path))?;
    let build = builds.items.first();
    let rollout = match build.and_then(|build| build.rollout) {
        Some(rollout) => {
            Some(visit.api.get::<GetRollout>(&RolloutPath { service: path.service.clone(), rollout }).await?)
        }
        None => None,
    };
    let place = build.and_then(|build| status.environments.iter().find(|place| place.environment == build.environment));
    let stages = stages(&Seen { build, rollout: rollout.as_ref(), place }, visit.now);
    let lines = match build {
        Some(build) => {
            let path = BuildPath { service: path.service.clone(), build: build.build };
            tail::past_build(&visit, &path, tail::LINES_MAX).await
        }
        None => Vec::new(),
    };
    let mut pieces = build.map(|build| spans::of_build(build, visit.now)).unwrap_or_default();
    pieces.extend(rollout.as_ref().map(|rollout| spans::of_rollout(rollout, visit.now)).unwrap_or_default());
    let failed = stages.iter().any(|stage| stage.look == "bad");
    let done = stages.iter().all(|stage| stage.look == "good");
    let service = path.service.to_string();
    let evidence = rollout
        .as_ref()
        .map(|rollout| &rollout.evidence)
        .filter(|_| failed)
        .or(build.map(|b| &b.evidence).filter(|_| failed));
    let shell = visit
        .shell(Section::Services, format!("{service} begins"))
        .crumb("Begin", "/start")
        .crumb(&service, format!("/services/{service}"))
        .live(&service)
        .at(format!("/start/{service}"));
    html(&FollowPage {
        shell,
        push,
        url: place.and_then(|place| place.url.clone()).filter(|_| done),
        failed,
        waits: build.is_none(),
        since: build.map(|build| When::new(build.created, visit.now)),
        evidence: evidence.into_iter().flatten().cloned().map(Text::from).collect(),
        flame: Flame::new(pieces),
        build: build.map(|build| (crate::pages::build::path_of(build), Badge::build(build.state))),
        rollout: rollout.as_ref().map(crate::pages::rollout::path_of),
        tail: build.filter(|build| build.ended.is_none()).map(|_| format!("/start/{service}/log")),
        lines,
        stages,
        service,
    })
}

/// The log of the newest build, as it comes.
pub(super) async fn log(visit: Visit, Path(path): Path<ServicePath>) -> Result<Response, Fault> {
    let newest = PageQuery { limit: Some(1), after: None };
    let builds = visit.api.ask::<ListBuilds>(&path, &newest).await?;
    let build = builds.items.first().ok_or_else(|| {
        Fault(base::Problem::not_found("build-not-found", format!("{} was never built", path.service)))
    })?;
    tail::follow_build(&visit, &BuildPath { service: path.service.clone(), build: build.build }).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::samples::{at, build, rollout};

    fn check(build: Option<&Build>, rollout: Option<&Rollout>, healthy: bool, expect: [&str; 4]) {
        let place = EnvironmentStatus {
            environment: "dev".parse().unwrap(),
            health: if healthy { Health::Healthy } else { Health::Changing },
            reason: "as seen".into(),
            since: None,
            evidence: Vec::new(),
            next: None,
            deadline: None,
            url: None,
            release: None,
            ready: 0,
            wanted: 0,
            rollout: None,
            crash_loop: None,
        };
        let seen = Seen { build, rollout, place: Some(&place) };
        let looks: Vec<&str> = stages(&seen, at(99)).iter().map(|stage| stage.look).collect();
        assert_eq!(looks, expect);
    }

    #[test]
    fn the_way_from_a_push_to_an_answer() {
        check(None, None, false, ["busy", "ahead", "ahead", "ahead"]);
        check(Some(&build(BuildState::Running)), None, false, ["good", "busy", "ahead", "ahead"]);
        check(Some(&build(BuildState::Failed)), None, false, ["good", "bad", "ahead", "ahead"]);
        let done = build(BuildState::Succeeded);
        check(Some(&done), Some(&rollout(&[("starting", 31)])), false, ["good", "good", "busy", "ahead"]);
        check(Some(&done), Some(&rollout(&[("failed", 31)])), false, ["good", "good", "bad", "ahead"]);
        check(Some(&done), Some(&rollout(&[("succeeded", 31)])), false, ["good", "good", "good", "busy"]);
        check(Some(&done), Some(&rollout(&[("succeeded", 31)])), true, ["good", "good", "good", "good"]);
    }
}
