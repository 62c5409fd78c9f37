//! Promises about what runs.

use std::collections::{BTreeMap, BTreeSet};

use base::{InstanceId, ProcessName, RolloutId};
use facts::{InstancesWanted, Replicas};
use ports::{ExitKind, InstanceState};

use super::{Violation, broken};
use crate::{Sight, Verb};

/// No instance runs that nobody decided upon.
pub fn only_decided(sight: &Sight) -> Vec<Violation> {
    let decided: BTreeSet<InstanceId> = sight.decided.iter().map(|one| one.id).collect();
    let running = sight.instances.iter().filter(|seen| seen.state.is_running());
    let strangers = running.filter(|seen| !decided.contains(&seen.id));
    strangers
        .map(|seen| broken("only decided instances run", format!("{} of {} ({})", seen.id, seen.service, seen.process)))
        .collect()
}

/// Of each process of a rollout at most as many instances run as were ever wanted.
pub fn at_most_wanted(sight: &Sight) -> Vec<Violation> {
    let mut most: BTreeMap<(RolloutId, ProcessName), u32> = BTreeMap::new();
    let replicas = sight.all::<Replicas>();
    for (_, wish) in sight.all::<InstancesWanted>() {
        for set in &wish.sets {
            for process in &set.processes {
                let here =
                    replicas.iter().filter(|(_, r)| r.service == wish.service && r.environment == wish.environment);
                let asked = here.filter_map(|(_, r)| r.processes.get(&process.process).copied()).max().unwrap_or(0);
                let wanted = if process.task { 1 } else { asked.max(process.instances_min) };
                let slot = most.entry((set.rollout, process.process.clone())).or_default();
                *slot = wanted.max(*slot);
            }
        }
    }
    let mut running: BTreeMap<(RolloutId, ProcessName), u32> = BTreeMap::new();
    for seen in sight.instances.iter().filter(|seen| seen.state.is_running() && seen.state != InstanceState::Stopping) {
        if let Some(rollout) = sight.rollout_of(seen.id) {
            *running.entry((rollout, seen.process.clone())).or_default() += 1;
        }
    }
    let over = running.into_iter().filter(|(key, count)| *count > most.get(key).copied().unwrap_or(0));
    over.map(|((rollout, process), count)| {
        broken("no more instances than wanted", format!("{count} of `{process}` of {rollout}"))
    })
    .collect()
}

/// A release command runs once, unless the machine lost it.
pub fn tasks_run_once(sight: &Sight) -> Vec<Violation> {
    let mut tasks: BTreeSet<(RolloutId, ProcessName)> = BTreeSet::new();
    for (_, wish) in sight.all::<InstancesWanted>() {
        let named = wish.sets.iter().flat_map(|set| set.processes.iter().map(move |process| (set.rollout, process)));
        tasks.extend(
            named.filter(|(_, process)| process.task).map(|(rollout, process)| (rollout, process.process.clone())),
        );
    }
    let lost = |id: InstanceId| {
        let seen = sight.instances.iter().find(|seen| seen.id == id);
        seen.is_some_and(|seen| seen.state == InstanceState::Exited { kind: ExitKind::Lost })
    };
    let ordered: BTreeSet<InstanceId> =
        sight.calls.iter().filter(|call| call.verb == Verb::Ensure && !lost(call.id)).map(|call| call.id).collect();
    tasks
        .into_iter()
        .filter_map(|(rollout, process)| {
            let mine = sight.decided.iter().filter(|one| one.rollout == Some(rollout) && one.process == process);
            let count = mine.filter(|one| ordered.contains(&one.id)).count();
            (count > 1).then(|| broken("a release command runs once", format!("{count} times in {rollout}")))
        })
        .collect()
}

/// What ends was told to end by its own name, after that was decided.
pub fn orders_were_decided(sight: &Sight) -> Vec<Violation> {
    const PROMISE: &str = "instances end only by their own name and by a decision";
    let told: BTreeSet<InstanceId> =
        sight.calls.iter().filter(|call| call.verb == Verb::Stop).map(|call| call.id).collect();
    let stopped = |state: &InstanceState| {
        matches!(state, InstanceState::Stopping | InstanceState::Exited { kind: ExitKind::Stopped { .. } })
    };
    let unasked = sight.instances.iter().filter(|seen| stopped(&seen.state) && !told.contains(&seen.id));
    let unasked = unasked.map(|seen| broken(PROMISE, format!("nobody told {} of {} to end", seen.id, seen.service)));
    let wanted = sight.decided.iter().filter(|one| one.wanted && told.contains(&one.id));
    unasked.chain(wanted.map(|one| broken(PROMISE, format!("{} was told to end and is wanted", one.id)))).collect()
}
