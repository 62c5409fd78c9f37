//! What must hold of the facts, as pure functions. The simulation asks after every round, and the
//! control plane asks its own ledger (`kernel.promises`).

use std::fmt;
use std::time::Duration;

use base::{Generation, Time};
use serde::Serialize;

use crate::{InstanceSet, Replicas, RolloutSeen, RouteSeen, ServiceKind, place};

/// So long after a deadline something must have followed.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// A promise that is broken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Violation {
    /// Which promise.
    pub promise: &'static str,
    /// What was found.
    pub found: String,
}

impl Violation {
    /// This was found, against this promise.
    pub fn of(promise: &'static str, found: impl Into<String>) -> Self {
        Self { promise, found: found.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.promise, self.found)
    }
}

/// A rollout that is not final says why it is where it is, since when, what follows and by when; and
/// that moment is not long past, counted from when nothing interfered any more.
pub fn explains_itself(seen: &RolloutSeen, now: Time, calm_since: Time) -> Vec<Violation> {
    const PROMISE: &str = "an open rollout has reason, since, next step and a deadline that holds";
    if seen.state.is_final() {
        return Vec::new();
    }
    let lacks = [
        ("reason", seen.reason.is_empty()),
        ("since", seen.since.micros() == 0),
        ("next", seen.next.is_empty()),
        ("deadline", seen.deadline.is_none()),
    ];
    let missing = lacks.into_iter().filter(|(_, missing)| *missing);
    let missing = missing.map(|(what, _)| format!("{} in {:?} has no {what}", seen.rollout, seen.state));
    let late = seen.deadline.filter(|deadline| now.since((*deadline).max(calm_since)) > PATIENCE).map(|deadline| {
        let late = now.since(deadline).as_secs();
        format!("{} in {:?} is {late} s past its deadline", seen.rollout, seen.state)
    });
    missing.chain(late).map(|found| Violation::of(PROMISE, found)).collect()
}

/// A success is true when one of the facts before it says that a request through the gateway to this
/// rollout, while it had traffic, was answered well.
pub fn was_observed<'a>(success: &RolloutSeen, before: impl IntoIterator<Item = &'a RouteSeen>) -> bool {
    let mut shares = before.into_iter().flat_map(|route| &route.shares);
    shares.any(|share| share.rollout == success.rollout && share.weight > 0 && share.probe_ok)
}

/// What a success is that was not observed.
pub fn unobserved(success: &RolloutSeen, what: &str) -> Violation {
    let here = place(&success.service, &success.environment);
    Violation::of("success is observed on the route", format!("{} of {here}: {what}", success.rollout))
}

/// Whether anybody was there to answer: not in a worker, and not where no instance was wanted.
pub fn can_answer(set: &InstanceSet, replicas: &[Replicas]) -> bool {
    let mut serving = set.processes.iter().filter(|process| process.kind != ServiceKind::Worker);
    serving.any(|process| process.instances_min > 0) && !wanted_none(replicas)
}

/// Whether somebody has wanted no instance of some process.
pub fn wanted_none(replicas: &[Replicas]) -> bool {
    replicas.iter().any(|wish| wish.processes.values().any(|count| *count == 0))
}

/// The generations of wishes of one kind about one subject never go back.
pub fn rises(kind: &str, subject: &str, before: Generation, after: Generation) -> Option<Violation> {
    (after < before)
        .then(|| Violation::of("generations never go back", format!("{kind} {subject} went from {before} to {after}")))
}
