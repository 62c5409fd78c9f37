//! Values for the tests of views.

use std::time::Duration;

use api::deliver::{Build, BuildState, BuildStep, Rollout, RolloutState, RolloutStep};
use api::route::{Route, Share};
use base::{Actor, BuildId, ReleaseId, RolloutId, SourceId, Time};

/// So many seconds behind the beginning.
pub(crate) fn at(s: u64) -> Time {
    Time::from_micros(1_790_000_000_000_000).plus(Duration::from_secs(s))
}

pub(crate) fn build(state: BuildState) -> Build {
    let step =
        |name: &str, begin: Time, ms: u64| BuildStep { name: name.to_owned(), at: Some(begin), took_ms: Some(ms) };
    let strip = at(25).plus(Duration::from_millis(300));
    Build {
        build: BuildId::new(at(10), [1; 10]),
        service: "shop".parse().unwrap(),
        environment: "dev".parse().unwrap(),
        source: SourceId::new(at(10), [2; 10]),
        pushed: Some(at(10)),
        commit: Some("0123456789abcdef".to_owned()),
        message: Some("Raise the limit".to_owned()),
        state,
        reason: "made an artifact".to_owned(),
        recipe: Some("rust".to_owned()),
        evidence: vec!["Cargo.toml".to_owned()],
        artifact: None,
        release: Some(42),
        rollout: None,
        steps: vec![step("cargo build", at(13), 12_300), step("strip", strip, 700)],
        created: at(10),
        ended: Some(at(30)),
        actor: Actor::Anonymous,
    }
}

/// A rollout that was in these states since so many seconds; the last one is where it is.
pub(crate) fn rollout(states: &[(&str, u64)]) -> Rollout {
    let state = |word: &str| -> RolloutState { serde_json::from_value(word.into()).unwrap() };
    let history: Vec<RolloutStep> = states
        .iter()
        .map(|(word, s)| RolloutStep { state: state(word), reason: format!("because of {word}"), at: at(*s) })
        .collect();
    let last = history.last().unwrap().clone();
    let ended = crate::spans::is_final(last.state).then_some(last.at);
    Rollout {
        rollout: RolloutId::new(at(1), [3; 10]),
        service: "shop".parse().unwrap(),
        environment: "dev".parse().unwrap(),
        release: ReleaseId::new(at(0), [4; 10]),
        number: 42,
        cause: "deploy".to_owned(),
        state: last.state,
        reason: last.reason.clone(),
        evidence: vec!["GET / answered 200".to_owned()],
        since: last.at,
        next: if ended.is_some() { String::new() } else { "traffic moves".to_owned() },
        deadline: if ended.is_some() { None } else { Some(last.at.plus(Duration::from_secs(60))) },
        history,
        settings: Default::default(),
        created: at(1),
        ended,
        actor: Actor::Anonymous,
    }
}

/// The route of a rollout's place, with shares of its own release and of an older one.
pub(crate) fn route(rollout: &Rollout, shares: &[(bool, u32)]) -> Route {
    let share = |(new, percent): &(bool, u32)| Share {
        release: if *new { rollout.release } else { ReleaseId::new(at(0), [9; 10]) },
        percent: *percent,
        instances: 1,
        probe: "GET / answered 200".to_owned(),
    };
    Route {
        service: rollout.service.clone(),
        environment: rollout.environment.clone(),
        url: "http://shop-dev.localhost".to_owned(),
        hosts: Vec::new(),
        shares: shares.iter().map(share).collect(),
        problem: String::new(),
        since: at(1),
    }
}
