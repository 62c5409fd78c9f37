//! What holds once nothing interferes and time has passed.

use std::collections::{BTreeMap, BTreeSet};

use base::{ProcessName, RolloutId};
use facts::{BuildSeen, InstancesWanted, Replicas, RolloutSeen, RolloutState, ServiceState, TrafficWanted, place};
use ports::InstanceState;

use super::{Violation, broken};
use crate::Sight;

/// No rollout and no build is under way.
pub fn nothing_is_open(sight: &Sight) -> Vec<Violation> {
    let rollouts = sight.open_rollouts().into_iter().map(|seen| format!("{} is {:?}", seen.rollout, seen.state));
    let open = |seen: &BuildSeen| matches!(seen.state.as_str(), "queued" | "running");
    let builds =
        sight.latest::<BuildSeen>().into_iter().filter(open).map(|seen| format!("{} is {}", seen.build, seen.state));
    rollouts.chain(builds).map(|what| broken("everything comes to an end", what)).collect()
}

/// Exactly the wanted instances run, and nothing else.
pub fn instances_are_as_wanted(sight: &Sight) -> Vec<Violation> {
    const PROMISE: &str = "at rest exactly the wanted instances run";
    let mut wanted: BTreeMap<(RolloutId, ProcessName), u32> = BTreeMap::new();
    let replicas = sight.latest::<Replicas>();
    for wish in sight.latest::<InstancesWanted>() {
        let here = replicas.iter().find(|r| r.service == wish.service && r.environment == wish.environment);
        for set in &wish.sets {
            for process in set.processes.iter().filter(|process| !process.task) {
                let asked = here.and_then(|r| r.processes.get(&process.process).copied());
                wanted.insert((set.rollout, process.process.clone()), asked.unwrap_or(process.instances_min));
            }
        }
    }
    let mut running: BTreeMap<(RolloutId, ProcessName), u32> = BTreeMap::new();
    let mut found = Vec::new();
    for seen in sight.instances.iter().filter(|seen| seen.state.is_running()) {
        match sight.rollout_of(seen.id) {
            Some(rollout) if seen.state == InstanceState::Ready => {
                *running.entry((rollout, seen.process.clone())).or_default() += 1;
            }
            Some(_) => found.push(broken(PROMISE, format!("{} of {} is {:?}", seen.id, seen.service, seen.state))),
            None => found.push(broken(PROMISE, format!("{} of {} runs still", seen.id, seen.service))),
        }
    }
    wanted.retain(|_, count| *count > 0);
    if wanted != running {
        found.push(broken(PROMISE, format!("wanted {wanted:?}, there are {running:?}")));
    }
    found
}

/// The gateway serves what is wanted, from instances that answer.
pub fn traffic_is_as_wanted(sight: &Sight) -> Vec<Violation> {
    const PROMISE: &str = "at rest the gateway serves what is wanted";
    let mut found = Vec::new();
    let routes = sight.snapshot.as_ref().map_or(&[][..], |snapshot| &snapshot.routes);
    for wish in sight.latest::<TrafficWanted>() {
        let here = place(&wish.service, &wish.environment);
        let route = routes.iter().find(|r| r.service == wish.service && r.environment == wish.environment);
        let Some(route) = route else {
            if !wish.closed {
                found.push(broken(PROMISE, format!("{here} has no route")));
            }
            continue;
        };
        if wish.closed {
            found.push(broken(PROMISE, format!("{here} is closed and has a route")));
        }
        let served: Vec<(RolloutId, u16)> = route.backends.iter().map(|b| (b.rollout, b.weight)).collect();
        let shares: Vec<(RolloutId, u16)> = wish.shares.iter().map(|s| (s.rollout, s.weight)).collect();
        if served != shares || shares.len() > 1 {
            found.push(broken(PROMISE, format!("{here} wants {shares:?}, the gateway has {served:?}")));
        }
        for one in route.backends.iter().flat_map(|backend| &backend.instances) {
            let ready = sight.instances.iter().any(|seen| seen.id == one.id && seen.state == InstanceState::Ready);
            if !ready {
                found.push(broken(PROMISE, format!("{here} sends requests to {}, which does not answer", one.id)));
            }
        }
    }
    found
}

/// What serves is what the last rollout that went well made current; a service that was removed
/// runs nothing.
pub fn the_newest_wish_holds(sight: &Sight) -> Vec<Violation> {
    const PROMISE: &str = "at rest the newest good wish holds";
    let mut newest: BTreeMap<String, RolloutId> = BTreeMap::new();
    let mut removed: BTreeMap<String, bool> = BTreeMap::new();
    let once_removed: BTreeSet<_> =
        sight.all::<ServiceState>().into_iter().filter(|(_, s)| s.removed).map(|(_, s)| s.service).collect();
    for (_, seen) in sight.all::<RolloutSeen>() {
        let here = place(&seen.service, &seen.environment);
        removed.insert(here.clone(), sight.removed.contains(&seen.service));
        // A service that was restored runs nothing if the rollout that should start it again failed.
        match seen.state {
            RolloutState::Succeeded => drop(newest.insert(here, seen.rollout)),
            state if state.is_final() && once_removed.contains(&seen.service) => drop(newest.remove(&here)),
            _ => {}
        }
    }
    let wishes = sight.latest::<InstancesWanted>();
    let mut found = Vec::new();
    for (here, gone) in removed {
        let wish = wishes.iter().find(|wish| place(&wish.service, &wish.environment) == here);
        let sets: Vec<RolloutId> = wish.map(|w| w.sets.iter().map(|set| set.rollout).collect()).unwrap_or_default();
        let current = sight.current.iter().find(|(s, e, _)| place(s, e) == here).map(|(_, _, rollout)| *rollout);
        if gone && !sets.is_empty() {
            found.push(broken(PROMISE, format!("{here} was removed and wants {sets:?}")));
        }
        if !gone && sets != current.into_iter().collect::<Vec<_>>() {
            found.push(broken(PROMISE, format!("{here} has {current:?} as current and wants {sets:?}")));
        }
        if newest.contains_key(&here) && current.is_none() && !gone {
            found.push(broken(PROMISE, format!("{here} had a success and has nothing current")));
        }
    }
    found
}
