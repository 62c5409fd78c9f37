//! Promises about rollouts.

use std::collections::BTreeSet;
use std::time::Duration;

use facts::{ReleaseMade, Replicas, RolloutSeen, RolloutState, RouteSeen, ServiceKind, place};

use super::{Violation, broken};
use crate::Sight;

/// So long after a deadline something must have followed, in calm.
const PATIENCE: Duration = Duration::from_secs(40);

/// A rollout that succeeded was observed healthy on its route before: the ledger says so, and the
/// gateway really carried such a request to an instance.
pub fn success_was_seen(sight: &Sight) -> Vec<Violation> {
    let kinds = sight.all::<ReleaseMade>();
    let routes = sight.all::<RouteSeen>();
    let replicas = sight.all::<Replicas>();
    let succeeded = sight.all::<RolloutSeen>().into_iter().filter(|(_, seen)| seen.state == RolloutState::Succeeded);
    let mut found = Vec::new();
    for (fact, seen) in succeeded {
        let worker = kinds.iter().any(|(_, r)| r.release == seen.release && r.kind == ServiceKind::Worker);
        let here = place(&seen.service, &seen.environment);
        let mut scaled = replicas.iter().filter(|(_, r)| place(&r.service, &r.environment) == here);
        let none_wanted = scaled.any(|(_, r)| r.processes.values().any(|count| *count == 0));
        if worker || none_wanted {
            continue;
        }
        let said = routes.iter().any(|(route, view)| {
            let healthy =
                |share: &facts::ServedShare| share.rollout == seen.rollout && share.weight > 0 && share.probe_ok;
            route.seq < fact.seq && view.shares.iter().any(healthy)
        });
        let answered = sight
            .probes
            .iter()
            .any(|probe| probe.rollout == seen.rollout && probe.answered && probe.at <= fact.at && probe.status < 500);
        if !said || !answered {
            let what = if said { "no instance answered through the gateway" } else { "the ledger holds no evidence" };
            found.push(broken("success is observed on the route", format!("{} of {here}: {what}", seen.rollout)));
        }
    }
    found
}

/// Every rollout that is not final says why it is where it is, since when, what follows and by
/// when; and that moment is not long past while nothing interferes.
pub fn rollouts_explain_themselves(sight: &Sight) -> Vec<Violation> {
    const PROMISE: &str = "an open rollout has reason, since, next step and a deadline that holds";
    let mut found = Vec::new();
    for seen in sight.open_rollouts() {
        let lacks = [
            ("reason", seen.reason.is_empty()),
            ("since", seen.since.micros() == 0),
            ("next", seen.next.is_empty()),
            ("deadline", seen.deadline.is_none()),
        ];
        for (what, _) in lacks.iter().filter(|(_, missing)| *missing) {
            found.push(broken(PROMISE, format!("{} in {:?} has no {what}", seen.rollout, seen.state)));
        }
        if let Some(deadline) = seen.deadline {
            let from = deadline.max(sight.calm_since);
            if sight.now.since(from) > PATIENCE {
                let late = sight.now.since(deadline).as_secs();
                found.push(broken(
                    PROMISE,
                    format!("{} in {:?} is {late} s past its deadline", seen.rollout, seen.state),
                ));
            }
        }
    }
    found
}

/// A place has one current rollout at most, and it is one that had all traffic, confirmed.
pub fn currents_are_good(sight: &Sight) -> Vec<Violation> {
    const PROMISE: &str = "one current release per place, and one that was confirmed";
    let mut places = BTreeSet::new();
    let history = sight.all::<RolloutSeen>();
    let mut found = Vec::new();
    for (service, environment, rollout) in &sight.current {
        let here = place(service, environment);
        if !places.insert(here.clone()) {
            found.push(broken(PROMISE, format!("{here} has two")));
        }
        let confirmed =
            |state| matches!(state, RolloutState::Verifying | RolloutState::Draining | RolloutState::Succeeded);
        if !history.iter().any(|(_, seen)| seen.rollout == *rollout && confirmed(seen.state)) {
            found.push(broken(PROMISE, format!("{rollout} is current in {here} and never had its traffic confirmed")));
        }
    }
    found
}
