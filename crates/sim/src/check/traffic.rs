//! Promises about where requests go.

use std::collections::BTreeMap;

use base::ReleaseId;
use facts::{InstancesWanted, ReleaseMade, Replicas, place};

use super::{Violation, broken};
use crate::Sight;

/// Requests go only to instances of recorded releases, each behind its own rollout.
pub fn traffic_goes_to_known(sight: &Sight) -> Vec<Violation> {
    const PROMISE: &str = "traffic goes to instances of recorded releases";
    let made: BTreeMap<ReleaseId, _> = sight.all::<ReleaseMade>().into_iter().map(|(_, r)| (r.release, r)).collect();
    let routes = sight.snapshot.iter().flat_map(|snapshot| &snapshot.routes);
    let mut found = Vec::new();
    for route in routes {
        for backend in &route.backends {
            match made.get(&backend.release) {
                None => found
                    .push(broken(PROMISE, format!("{} serves {}, which nobody made", route.service, backend.release))),
                Some(release) if release.service != route.service => {
                    found.push(broken(PROMISE, format!("{} serves a release of {}", route.service, release.service)));
                }
                Some(_) => {}
            }
            for one in &backend.instances {
                let seen = sight.instances.iter().find(|seen| seen.id == one.id);
                if seen.is_some_and(|seen| {
                    seen.release != Some(backend.release) || seen.address.as_ref() != Some(&one.address)
                }) {
                    found.push(broken(PROMISE, format!("{} is not an instance of {}", one.id, backend.release)));
                }
                if sight.rollout_of(one.id).is_some_and(|rollout| rollout != backend.rollout) {
                    found.push(broken(PROMISE, format!("{} is not of {}", one.id, backend.rollout)));
                }
            }
        }
    }
    found
}

/// A release of which no instance ever answered gets no request. Where a person wants no instance
/// there is none to answer.
pub fn broken_gets_nothing(sight: &Sight) -> Vec<Violation> {
    let none_wanted = |subject: &str| {
        let replicas = sight.all::<Replicas>();
        let mut here = replicas.iter().filter(|(_, r)| place(&r.service, &r.environment) == subject);
        let wishes = sight.latest::<InstancesWanted>();
        let mut sets = wishes.iter().filter(|w| place(&w.service, &w.environment) == subject).flat_map(|w| &w.sets);
        here.any(|(_, r)| r.processes.values().any(|count| *count == 0))
            || sets.any(|set| set.processes.iter().any(|process| process.instances_min == 0))
    };
    let routes = sight.snapshot.iter().flat_map(|snapshot| &snapshot.routes);
    let backends = routes.flat_map(|route| route.backends.iter().map(move |backend| (route, backend)));
    let bad = backends.filter(|(route, backend)| {
        backend.weight > 0
            && !sight.served.contains(&backend.release)
            && !none_wanted(&place(&route.service, &route.environment))
    });
    bad.map(|(route, backend)| {
        broken("a broken release gets no request", format!("{} of {} never answered", backend.release, route.service))
    })
    .collect()
}
