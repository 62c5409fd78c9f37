use facts::{InstancesSeen, TrafficWanted};
use ports::{Backend, Instance, InstanceState, Route};

use super::Hosts;
use super::hosts::place;

/// The routes of a snapshot, in order of service and environment.
pub(crate) fn routes(wishes: &[TrafficWanted], seen: &[InstancesSeen], hosts: &Hosts) -> Vec<Route> {
    let mut routes: Vec<Route> = wishes
        .iter()
        .filter_map(|wish| {
            let names = hosts.of.get(&place(wish))?;
            let running = seen.iter().find(|s| s.service == wish.service && s.environment == wish.environment);
            Some(Route {
                service: wish.service.clone(),
                environment: wish.environment.clone(),
                hosts: names.clone(),
                backends: backends(wish, running),
            })
        })
        .collect();
    routes.sort_by(|a, b| (&a.service, &a.environment).cmp(&(&b.service, &b.environment)));
    routes
}

fn backends(wish: &TrafficWanted, seen: Option<&InstancesSeen>) -> Vec<Backend> {
    wish.shares
        .iter()
        .map(|share| Backend {
            rollout: share.rollout,
            release: share.release,
            weight: share.weight,
            instances: seen.map(|s| usable(s, share.rollout)).unwrap_or_default(),
        })
        .collect()
}

/// Ready instances; where none is, those that were ready before: an instance whose probe is late
/// may still answer, and an error page surely does not help.
fn usable(seen: &InstancesSeen, rollout: base::RolloutId) -> Vec<Instance> {
    let of = |state: &InstanceState| -> Vec<Instance> {
        seen.processes
            .iter()
            .filter(|p| p.rollout == rollout && !p.task)
            .flat_map(|p| &p.instances)
            .filter(|i| i.state == *state)
            .filter_map(|i| Some(Instance { id: i.id, address: i.address.clone()? }))
            .collect()
    };
    let ready = of(&InstanceState::Ready);
    if ready.is_empty() { of(&InstanceState::Unready) } else { ready }
}

#[cfg(test)]
mod tests {
    use base::{Generation, InstanceId, ReleaseId, RolloutId, Time};
    use facts::{InstanceView, ProcessSeen, TrafficShare};
    use ports::Address;

    use super::*;
    use crate::decide::hosts;

    fn instances(states: &[(u8, InstanceState)]) -> InstancesSeen {
        let view = |(n, state): &(u8, InstanceState)| InstanceView {
            id: InstanceId::new(Time::default(), [*n; 10]),
            state: state.clone(),
            since: Time::default(),
            evidence: String::new(),
            address: Some(Address::Tcp(([127, 0, 0, 1], u16::from(*n)).into())),
        };
        InstancesSeen {
            service: "a".parse().unwrap(),
            environment: "dev".parse().unwrap(),
            generation: Generation(1),
            processes: vec![ProcessSeen {
                rollout: RolloutId::new(Time::default(), [1; 10]),
                release: ReleaseId::new(Time::default(), [1; 10]),
                process: "web".parse().unwrap(),
                task: false,
                wanted: 1,
                crashes: 0,
                crash_loop: false,
                trouble: String::new(),
                last_lines: Vec::new(),
                instances: states.iter().map(view).collect(),
            }],
        }
    }

    fn check(states: &[(u8, InstanceState)], expect: &[u16]) {
        let wish = TrafficWanted {
            service: "a".parse().unwrap(),
            environment: "dev".parse().unwrap(),
            hosts: Vec::new(),
            shares: vec![TrafficShare {
                rollout: RolloutId::new(Time::default(), [1; 10]),
                release: ReleaseId::new(Time::default(), [1; 10]),
                weight: 100,
            }],
            closed: false,
        };
        let wishes = [wish];
        let hosts = hosts(&wishes, &Default::default(), &"localhost".parse().unwrap());
        let routes = routes(&wishes, &[instances(states)], &hosts);
        let got: Vec<&Address> = routes[0].backends[0].instances.iter().map(|i| &i.address).collect();
        let expect: Vec<Address> = expect.iter().map(|port| Address::Tcp(([127, 0, 0, 1], *port).into())).collect();
        assert_eq!(got, expect.iter().collect::<Vec<_>>());
    }

    #[test]
    fn only_what_is_ready_gets_traffic_unless_nothing_is() {
        use InstanceState::{Ready, Starting, Stopping, Unready};
        check(&[(1, Ready), (2, Starting), (3, Unready), (4, Ready)], &[1, 4]);
        check(&[(1, Starting), (2, Unready), (3, Stopping)], &[2]);
        check(&[(1, Starting), (2, Stopping)], &[]);
    }
}
