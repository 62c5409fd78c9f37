use api::catalog::{CrashLoop, EnvironmentStatus, Health};
use base::EnvironmentName;
use facts::{InstanceSet, InstancesSeen, InstancesWanted, ProcessSeen, RolloutSeen, RolloutState, RouteSeen};

/// What is known of a service in one environment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    pub wanted: Option<InstancesWanted>,
    pub seen: Option<InstancesSeen>,
    pub route: Option<RouteSeen>,
    pub rollout: Option<RolloutSeen>,
}

/// The state of a service in one environment as it follows from the facts. `Healthy` is only said
/// of what answered a request on its route or, where there is no route, runs as wanted.
pub(crate) fn environment(environment: EnvironmentName, facts: &Facts) -> EnvironmentStatus {
    let serving = serving(facts);
    let counts = serving.map_or((0, 0), |set| count(facts, set));
    let (health, reason) = judge(facts, serving, counts);
    let rollout = facts.rollout.as_ref();
    let moving = rollout.filter(|r| !r.state.is_final());
    EnvironmentStatus {
        environment,
        health,
        reason,
        since: rollout.map(|r| r.since),
        evidence: evidence(facts, serving),
        next: moving.map(|r| r.next.clone()),
        deadline: moving.and_then(|r| r.deadline),
        url: facts.route.as_ref().map(|r| r.url.clone()).filter(|url| !url.is_empty()),
        release: serving.map(|set| set.number),
        ready: counts.0,
        wanted: counts.1,
        rollout: rollout.map(|r| r.rollout),
        crash_loop: crash_loop(facts),
    }
}

/// The process that crashed most of those that are restarted ever more slowly, whether it has the traffic or not.
fn crash_loop(facts: &Facts) -> Option<CrashLoop> {
    let all = facts.seen.iter().flat_map(|seen| &seen.processes);
    let looping = all.filter(|process| process.crash_loop && process.wanted > 0);
    looping.max_by_key(|process| process.crashes).map(|process| CrashLoop {
        process: process.process.clone(),
        crashes: process.crashes,
        trouble: process.trouble.clone(),
        last_line: process.last_lines.last().cloned(),
    })
}

/// The set that has the traffic; without a route the oldest that is wanted, which is the one that
/// served before a rollout under way.
fn serving(facts: &Facts) -> Option<&InstanceSet> {
    let sets = &facts.wanted.as_ref()?.sets;
    let share = facts.route.as_ref().and_then(|r| r.shares.iter().filter(|s| s.weight > 0).max_by_key(|s| s.weight));
    match share {
        Some(share) => sets.iter().find(|set| set.rollout == share.rollout),
        None if routed(facts) => None,
        None => sets.iter().find(|set| set.processes.iter().any(|p| !p.task)),
    }
}

fn routed(facts: &Facts) -> bool {
    facts.route.as_ref().is_some_and(|r| !r.hosts.is_empty())
}

fn processes<'a>(facts: &'a Facts, set: &InstanceSet) -> impl Iterator<Item = &'a ProcessSeen> {
    let rollout = set.rollout;
    facts.seen.iter().flat_map(|s| &s.processes).filter(move |p| p.rollout == rollout && !p.task)
}

/// Instances that are ready, and that shall be.
fn count(facts: &Facts, set: &InstanceSet) -> (u32, u32) {
    processes(facts, set).fold((0, 0), |(ready, wanted), p| {
        (ready.saturating_add(p.ready().min(p.wanted)), wanted.saturating_add(p.wanted))
    })
}

fn judge(facts: &Facts, serving: Option<&InstanceSet>, (ready, wanted): (u32, u32)) -> (Health, String) {
    let rollout = facts.rollout.as_ref();
    if let Some(moving) = rollout.filter(|r| !r.state.is_final()) {
        return (Health::Changing, format!("rollout of release {}: {}", moving.number, moving.reason));
    }
    let failed = rollout.filter(|r| r.state == RolloutState::Failed);
    let Some(set) = serving else {
        return match failed {
            Some(r) => {
                (Health::Down, format!("nothing serves: the rollout of release {} failed: {}", r.number, r.reason))
            }
            None => (Health::Empty, "nothing is deployed here".to_owned()),
        };
    };
    if facts.seen.is_none() {
        return (Health::Unknown, "its instances have not been looked at yet".to_owned());
    }
    if wanted == 0 {
        return (Health::Empty, format!("release {} is scaled to 0 instances", set.number));
    }
    let trouble = processes(facts, set).map(|p| p.trouble.as_str()).find(|t| !t.is_empty()).unwrap_or_default();
    if ready == 0 {
        return (Health::Down, join(format!("release {}: none of {wanted} instances is ready", set.number), trouble));
    }
    if ready < wanted {
        return (
            Health::Degraded,
            join(format!("release {}: {ready} of {wanted} instances are ready", set.number), trouble),
        );
    }
    if let Some(route) = facts.route.as_ref().filter(|r| !r.problem.is_empty()) {
        return (Health::Degraded, route.problem.clone());
    }
    let probed = facts.route.as_ref().and_then(|r| r.shares.iter().find(|s| s.rollout == set.rollout));
    if let Some(share) = probed.filter(|s| !s.probe_ok) {
        return (Health::Degraded, join(format!("release {} does not answer well", set.number), &share.probe));
    }
    match failed {
        Some(r) => (
            Health::Degraded,
            format!("release {} serves; the rollout of release {} failed: {}", set.number, r.number, r.reason),
        ),
        None => (Health::Healthy, format!("release {}: {ready} of {wanted} instances are ready", set.number)),
    }
}

fn join(what: String, why: &str) -> String {
    if why.is_empty() { what } else { format!("{what}: {why}") }
}

fn evidence(facts: &Facts, serving: Option<&InstanceSet>) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(set) = serving {
        let share = facts.route.iter().flat_map(|r| &r.shares).find(|s| s.rollout == set.rollout);
        lines.extend(share.map(|s| s.probe.clone()).filter(|p| !p.is_empty()));
        for process in processes(facts, set) {
            for one in process.instances.iter().filter(|i| !i.evidence.is_empty()) {
                lines.push(format!("{} {}: {}", process.process, one.id.short(), one.evidence));
            }
        }
    }
    let failed = facts.rollout.iter().filter(|r| r.state == RolloutState::Failed);
    lines.extend(failed.flat_map(|r| r.evidence.iter().cloned()));
    lines
}

#[cfg(test)]
mod tests {
    use base::{Bytes, Digest, Generation, InstanceId, MilliCpu, ReleaseId, RolloutId, Span, Time};
    use facts::{InstanceView, ProcessWanted, ServedShare, ServiceKind};
    use ports::InstanceState;

    use super::*;

    fn rollout(n: u8) -> RolloutId {
        RolloutId::new(Time::default(), [n; 10])
    }

    fn release() -> ReleaseId {
        ReleaseId::new(Time::default(), [0; 10])
    }

    fn names() -> (base::ServiceName, EnvironmentName) {
        ("a".parse().unwrap(), "dev".parse().unwrap())
    }

    fn wanted() -> InstancesWanted {
        let process = ProcessWanted {
            process: "web".parse().unwrap(),
            kind: ServiceKind::Web,
            task: false,
            command: Vec::new(),
            env: Default::default(),
            health: None,
            instances_min: 1,
            instances_max: 1,
            cpu: MilliCpu(1),
            memory: Bytes(1),
            stop: Span(Default::default()),
        };
        let set = InstanceSet {
            rollout: rollout(1),
            release: release(),
            number: 1,
            artifact: Digest::of(b""),
            processes: vec![process],
            settings: Vec::new(),
            variables: Default::default(),
            needs: Default::default(),
        };
        let (service, environment) = names();
        InstancesWanted { service, environment, sets: vec![set] }
    }

    fn seen(ready: u32, wanted: u32) -> InstancesSeen {
        let instance = |n: u32| InstanceView {
            id: InstanceId::new(Time::default(), [9; 10]),
            state: if n < ready { InstanceState::Ready } else { InstanceState::Starting },
            since: Time::default(),
            evidence: String::new(),
            address: None,
        };
        let process = ProcessSeen {
            rollout: rollout(1),
            release: release(),
            process: "web".parse().unwrap(),
            task: false,
            wanted,
            crashes: 0,
            crash_loop: false,
            trouble: String::new(),
            last_lines: Vec::new(),
            instances: (0..wanted).map(instance).collect(),
        };
        let (service, environment) = names();
        InstancesSeen { service, environment, generation: Generation(1), processes: vec![process] }
    }

    fn facts(ready: u32, total: u32, probe_ok: bool) -> Facts {
        let share = ServedShare {
            rollout: rollout(1),
            release: release(),
            weight: 100,
            instances: ready,
            members: Vec::new(),
            in_flight: 0,
            probe: "GET / 200".into(),
            probe_ok,
        };
        let (service, environment) = names();
        let route = RouteSeen {
            service,
            environment,
            generation: Generation(1),
            snapshot: Generation(1),
            hosts: vec!["a-dev.localhost".parse().unwrap()],
            url: "http://a-dev.localhost".into(),
            shares: vec![share],
            problem: String::new(),
            since: Time::default(),
        };
        let rollout = Some(rolled(1, RolloutState::Succeeded));
        Facts { wanted: Some(wanted()), seen: Some(seen(ready, total)), route: Some(route), rollout }
    }

    fn rolled(n: u8, state: RolloutState) -> RolloutSeen {
        RolloutSeen {
            rollout: rollout(n),
            service: "a".parse().unwrap(),
            environment: "dev".parse().unwrap(),
            release: release(),
            number: i64::from(n),
            state,
            reason: "because".into(),
            evidence: vec!["seen".into()],
            since: Time::default(),
            next: String::new(),
            deadline: None,
        }
    }

    fn check(facts: &Facts, expect: Health) {
        let status = environment("dev".parse().unwrap(), facts);
        assert_eq!(status.health, expect, "{}", status.reason);
    }

    #[test]
    fn a_crash_loop_is_told_whether_it_has_the_traffic_or_not() {
        let told = |facts: &Facts| environment("dev".parse().unwrap(), facts).crash_loop;
        let mut facts = facts(1, 1, true);
        assert_eq!(told(&facts), None);
        let process = &mut facts.seen.as_mut().unwrap().processes[0];
        (process.crash_loop, process.crashes, process.trouble) = (true, 7, "it ended with exit status 3".into());
        process.last_lines = vec!["begins".into(), "no database".into()];
        let expect = CrashLoop {
            process: "web".parse().unwrap(),
            crashes: 7,
            trouble: "it ended with exit status 3".into(),
            last_line: Some("no database".into()),
        };
        assert_eq!(told(&facts), Some(expect));
        facts.seen.as_mut().unwrap().processes[0].wanted = 0;
        assert_eq!(told(&facts), None, "it is on its way out");
    }

    #[test]
    fn green_only_with_evidence() {
        check(&facts(1, 1, true), Health::Healthy);
        check(&facts(1, 1, false), Health::Degraded);
        check(&facts(1, 2, true), Health::Degraded);
        check(&facts(0, 1, true), Health::Down);
        check(&facts(0, 0, true), Health::Empty);
        check(&Facts::default(), Health::Empty);
        check(&Facts { seen: None, ..facts(1, 1, true) }, Health::Unknown);
    }

    #[test]
    fn rollouts_show() {
        let with = |state| Facts { rollout: Some(rolled(2, state)), ..facts(1, 1, true) };
        check(&with(RolloutState::Starting), Health::Changing);
        check(&with(RolloutState::Undoing), Health::Changing);
        check(&with(RolloutState::Cancelled), Health::Healthy);
        check(&with(RolloutState::Failed), Health::Degraded);
        let first = Facts { rollout: Some(rolled(1, RolloutState::Failed)), ..Facts::default() };
        check(&first, Health::Down);
    }
}
