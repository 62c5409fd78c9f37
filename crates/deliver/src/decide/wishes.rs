use facts::{InstanceSet, InstancesWanted, RolloutState, TrafficShare, TrafficWanted};

use super::Party;
use super::rollout::{ASKED, ENDING, MOVED, RESTARTING};
use crate::model::Place;

/// The weight of whoever has all the traffic.
const ALL: u16 = 100;

/// What a place wants of others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wishes {
    pub instances: InstancesWanted,
    pub traffic: TrafficWanted,
}

/// Whom the traffic goes to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Traffic {
    Old,
    /// To the old; the new one can be asked.
    Asked,
    /// To the new; the old one is kept at hand.
    New,
    /// To the new alone.
    NewAlone,
}

/// What a service that was removed wants: nothing.
pub(crate) fn stopped(place: &Place) -> Wishes {
    wishes(place, None, None)
}

/// What a place wants while `new` stands so in its rollout; `old` has the traffic or had it before.
/// A pure function of the state, so that a crash anywhere leads to the same wishes again.
pub(crate) fn wishes(place: &Place, old: Option<&Party>, new: Option<(&Party, RolloutState, i64)>) -> Wishes {
    let Some((party, state, step)) = new else {
        return Wishes {
            instances: instances(place, [old.map(|p| p.set.clone()), None]),
            traffic: traffic(place, old, None, Traffic::Old),
        };
    };
    let (new_set, to) = match (state, step) {
        (RolloutState::Releasing, _) => (party.task_set(), Traffic::Old),
        (RolloutState::Starting, _) => (Some(party.set.clone()), Traffic::Old),
        (RolloutState::Shifting, ASKED) => (Some(party.set.clone()), Traffic::Asked),
        (RolloutState::Shifting | RolloutState::Verifying, _) => (Some(party.set.clone()), Traffic::New),
        (RolloutState::Draining, _) => (Some(party.set.clone()), Traffic::NewAlone),
        (RolloutState::Undoing, RESTARTING) => (Some(party.set.clone()), Traffic::NewAlone),
        (RolloutState::Undoing, _) => (Some(party.set.clone()), Traffic::Old),
        _ => (None, Traffic::Old),
    };
    let old_set = if (state, step) == (RolloutState::Draining, ENDING) { None } else { old.map(|p| p.set.clone()) };
    Wishes { instances: instances(place, [old_set, new_set]), traffic: traffic(place, old, Some(party), to) }
}

fn instances(place: &Place, sets: [Option<InstanceSet>; 2]) -> InstancesWanted {
    InstancesWanted {
        service: place.service.clone(),
        environment: place.environment.clone(),
        sets: sets.into_iter().flatten().collect(),
    }
}

fn traffic(place: &Place, old: Option<&Party>, new: Option<&Party>, to: Traffic) -> TrafficWanted {
    let share = |party: Option<&Party>, weight| {
        party.filter(|p| p.takes_traffic).map(|p| TrafficShare {
            rollout: p.set.rollout,
            release: p.set.release,
            weight,
        })
    };
    let shares = match to {
        Traffic::Old => [share(old, ALL), None],
        Traffic::Asked => [share(old, ALL), share(new, 0)],
        Traffic::New => [share(old, 0), share(new, ALL)],
        Traffic::NewAlone => [None, share(new, ALL)],
    };
    // A host that only one of them names is claimed before the traffic moves, and given up after.
    let named: [Option<&Party>; 2] = match to {
        Traffic::Old => [old.or(new), None],
        Traffic::Asked => [old, new],
        Traffic::New | Traffic::NewAlone => [None, new],
    };
    let mut hosts = Vec::new();
    for host in named.into_iter().flatten().flat_map(|party| &party.hosts) {
        if !hosts.contains(host) {
            hosts.push(host.clone());
        }
    }
    let takes = |party: Option<&Party>| party.is_some_and(|p| p.takes_traffic);
    let closed = match to {
        Traffic::NewAlone => !takes(new),
        _ => !takes(old) && !takes(new),
    };
    TrafficWanted {
        service: place.service.clone(),
        environment: place.environment.clone(),
        hosts: if closed { Vec::new() } else { hosts },
        shares: shares.into_iter().flatten().collect(),
        closed,
    }
}

const _: () = assert!(MOVED != ASKED);
