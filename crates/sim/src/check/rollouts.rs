//! Promises about rollouts.

use std::collections::BTreeSet;

use facts::promise;
use facts::{ReleaseMade, Replicas, RolloutSeen, RolloutState, RouteSeen, ServiceKind, place};

use super::{Violation, broken};
use crate::Sight;

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
        let scaled = replicas.iter().filter(|(_, r)| place(&r.service, &r.environment) == here);
        let scaled: Vec<Replicas> = scaled.map(|(_, r)| r.clone()).collect();
        if worker || promise::wanted_none(&scaled) {
            continue;
        }
        let before = routes.iter().filter(|(route, _)| route.seq < fact.seq).map(|(_, view)| view);
        let said = promise::was_observed(&seen, before);
        let answered = sight
            .probes
            .iter()
            .any(|probe| probe.rollout == seen.rollout && probe.answered && probe.at <= fact.at && probe.status < 500);
        if !said || !answered {
            let what = if said { "no instance answered through the gateway" } else { "the ledger holds no evidence" };
            found.push(promise::unobserved(&seen, what));
        }
    }
    found
}

/// Every rollout that is not final explains itself, and moves on in time.
pub fn rollouts_explain_themselves(sight: &Sight) -> Vec<Violation> {
    let open = sight.open_rollouts();
    open.iter().flat_map(|seen| promise::explains_itself(seen, sight.now, sight.calm_since)).collect()
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
