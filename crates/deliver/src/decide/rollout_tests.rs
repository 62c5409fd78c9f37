//! The machine of rollouts: a table of states and events, and the promise that it always ends.

use std::time::Duration;

use base::{Actor, Bytes, Digest, Generation, InstanceId, MilliCpu, ReleaseId, RolloutId, Span, Time};
use facts::{
    Health, InstanceSet, InstanceView, InstancesSeen, ProcessSeen, ProcessWanted, RolloutState, RouteSeen, ServedShare,
    ServiceKind,
};
use ports::{ExitKind, InstanceState};
use proptest::prelude::*;

use super::rollout::{ANEW, ASKED, ENDING, MOVED, RESTARTING, RETURNED};
use super::{Before, Case, Limits, Pointer, Seen, Step, begin, decide, resumed, superseded};
use crate::model::{Cause, Place, Rollout};

const LIMITS: Limits = Limits {
    start: Duration::from_secs(60),
    release: Duration::from_secs(600),
    shift: Duration::from_secs(30),
    verify: Duration::from_secs(2),
    drain: Duration::from_secs(30),
    worker_ready: Duration::from_secs(2),
};
const START: Time = Time::from_micros(1_000_000_000);

fn id(n: u8) -> RolloutId {
    RolloutId::new(START, [n; 10])
}

fn set(n: u8, kind: ServiceKind) -> InstanceSet {
    let process = if kind == ServiceKind::Worker { "worker" } else { "web" };
    InstanceSet {
        rollout: id(n),
        release: ReleaseId::new(START, [n; 10]),
        number: i64::from(n),
        artifact: Digest::of(&[n]),
        processes: vec![ProcessWanted {
            process: process.parse().unwrap(),
            kind,
            task: false,
            command: vec!["./x".to_owned()],
            env: Default::default(),
            health: Some(Health { path: Some("/h".to_owned()) }),
            instances_min: 1,
            instances_max: 1,
            cpu: MilliCpu(1),
            memory: Bytes(1),
            stop: Span(Duration::from_secs(10)),
        }],
        settings: Vec::new(),
        variables: Default::default(),
        needs: Default::default(),
    }
}

fn rollout(state: RolloutState, step: i64) -> Rollout {
    let Step { reason, evidence, next, .. } = begin(START, &LIMITS);
    Rollout {
        id: id(2),
        place: Place { service: "shop".parse().unwrap(), environment: "dev".parse().unwrap() },
        release: ReleaseId::new(START, [2; 10]),
        number: 2,
        cause: Cause::Deploy,
        why: String::new(),
        state,
        step,
        reason,
        evidence,
        since: START,
        next,
        deadline: Some(START.plus(Duration::from_secs(30))),
        before: Some(id(1)),
        crashes: 0,
        fault: None,
        cancel: None,
        settings: Vec::new(),
        created: START,
        ended: None,
        actor: Actor::Anonymous,
        version: 1,
    }
}

/// What a set's only process shows.
#[derive(Debug, Clone)]
struct Looks {
    set: u8,
    task: bool,
    state: InstanceState,
    crashes: u32,
}

const NEW: Looks = Looks { set: 2, task: false, state: InstanceState::Ready, crashes: 0 };
const OLD: Looks = Looks { set: 1, ..NEW };

fn instances(looks: &[Looks]) -> InstancesSeen {
    let processes = looks.iter().map(|look| ProcessSeen {
        rollout: id(look.set),
        release: ReleaseId::new(START, [look.set; 10]),
        process: if look.task { "release" } else { "web" }.parse().unwrap(),
        task: look.task,
        wanted: 1,
        crashes: look.crashes,
        crash_loop: false,
        trouble: String::new(),
        last_lines: vec!["last words".to_owned()],
        instances: vec![InstanceView {
            id: InstanceId::new(START, [look.set; 10]),
            state: look.state.clone(),
            since: START,
            evidence: "connection refused".to_owned(),
            address: None,
        }],
    });
    InstancesSeen {
        service: "shop".parse().unwrap(),
        environment: "dev".parse().unwrap(),
        generation: Generation(1),
        processes: processes.collect(),
    }
}

/// Shares as (set, weight, in flight, answers well).
fn route(shares: &[(u8, u16, u64, bool)], problem: &str) -> RouteSeen {
    let share = |(set, weight, in_flight, probe_ok): &(u8, u16, u64, bool)| ServedShare {
        rollout: id(*set),
        release: ReleaseId::new(START, [*set; 10]),
        weight: *weight,
        instances: 1,
        members: vec![InstanceId::new(START, [*set; 10])],
        in_flight: *in_flight,
        probe: format!("GET /h: {}", if *probe_ok { 200 } else { 500 }),
        probe_ok: *probe_ok,
    };
    RouteSeen {
        service: "shop".parse().unwrap(),
        environment: "dev".parse().unwrap(),
        generation: Generation(1),
        snapshot: Generation(1),
        hosts: Vec::new(),
        url: String::new(),
        shares: shares.iter().map(share).collect(),
        problem: problem.to_owned(),
        since: START,
    }
}

/// One row: from where, what is seen after how many seconds, where to.
struct Row {
    rollout: Rollout,
    instances: Option<InstancesSeen>,
    route: Option<RouteSeen>,
    after_s: u64,
    has_task: bool,
    kind: ServiceKind,
    first: bool,
}

fn row(state: RolloutState, step: i64) -> Row {
    Row {
        rollout: rollout(state, step),
        instances: None,
        route: None,
        after_s: 1,
        has_task: false,
        kind: ServiceKind::Web,
        first: false,
    }
}

impl Row {
    fn sees(mut self, looks: &[Looks]) -> Self {
        self.instances = Some(instances(looks));
        self
    }

    fn routes(mut self, shares: &[(u8, u16, u64, bool)]) -> Self {
        self.route = Some(route(shares, ""));
        self
    }

    fn after(self, after_s: u64) -> Self {
        Self { after_s, ..self }
    }

    fn cancelled(mut self) -> Self {
        self.rollout.cancel = Some(Actor::Anonymous);
        self
    }

    fn step(&self) -> Step {
        let (new, old) = (set(2, self.kind), set(1, ServiceKind::Web));
        decide(&Case {
            rollout: &self.rollout,
            set: &new,
            takes_traffic: self.kind != ServiceKind::Worker,
            has_task: self.has_task,
            before: (!self.first).then_some(Before { set: &old, takes_traffic: true }),
            refused: None,
            seen: Seen { instances: self.instances.as_ref(), route: self.route.as_ref(), removed: false },
            now: START.plus(Duration::from_secs(self.after_s)),
            limits: &LIMITS,
        })
    }

    #[track_caller]
    fn to(self, state: RolloutState, step: i64, says: &str) -> Step {
        let found = self.step();
        assert_eq!((found.state, found.step), (state, step), "{}", found.reason);
        assert!(found.reason.contains(says), "{} lacks {says}", found.reason);
        assert_eq!(found.deadline.is_none(), found.state.is_final(), "{state:?} has no deadline or too many");
        found
    }
}

use RolloutState as S;

#[test]
fn pending() {
    row(S::Pending, 0).to(S::Starting, 0, "beside release 1");
    Row { has_task: true, ..row(S::Pending, 0) }.to(S::Releasing, 0, "release command");
    row(S::Pending, 0).cancelled().to(S::Cancelled, 0, "no traffic had moved");
}

#[test]
fn releasing() {
    let task = |state| Looks { task: true, state, ..NEW };
    let exited = |status| task(InstanceState::Exited { kind: ExitKind::Status { status } });
    let deadline = task(InstanceState::Exited { kind: ExitKind::Deadline });
    row(S::Releasing, 0).sees(&[OLD]).to(S::Releasing, 0, "");
    row(S::Releasing, 0).sees(&[OLD, task(InstanceState::Ready)]).to(S::Releasing, 0, "");
    row(S::Releasing, 0).sees(&[OLD, exited(0)]).to(S::Starting, 0, "");
    let failed = row(S::Releasing, 0).sees(&[OLD, exited(3)]).to(S::Failed, 0, "exit status 3");
    assert!(failed.evidence.contains(&"| last words".to_owned()) && failed.pointer.is_none());
    row(S::Releasing, 0).sees(&[deadline]).to(S::Failed, 0, "deadline");
    row(S::Releasing, 0).after(30).to(S::Failed, 0, "did not end within 10m");
}

#[test]
fn starting() {
    let starting = Looks { state: InstanceState::Starting, ..NEW };
    let crashed =
        |crashes| Looks { state: InstanceState::Exited { kind: ExitKind::Status { status: 7 } }, crashes, ..NEW };
    row(S::Starting, 0).to(S::Starting, 0, "");
    row(S::Starting, 0).sees(&[OLD]).to(S::Starting, 0, "");
    row(S::Starting, 0).sees(&[OLD, starting.clone()]).to(S::Starting, 0, "");
    row(S::Starting, 0).sees(&[OLD, NEW]).to(S::Shifting, ASKED, "asked");
    row(S::Starting, 0).sees(&[OLD, crashed(2)]).to(S::Starting, 0, "");
    row(S::Starting, 0).sees(&[OLD, crashed(3)]).to(S::Failed, 0, "crashed 3 times: it ended with exit status 7");
    // The old set's crashes are not the new one's.
    row(S::Starting, 0).sees(&[Looks { crashes: 9, ..OLD }, NEW]).to(S::Shifting, ASKED, "");
    let late = row(S::Starting, 0).sees(&[OLD, starting]).after(30).to(
        S::Failed,
        0,
        "not ready within 1m: `web`: connection refused",
    );
    assert!(late.pointer.is_none());
    row(S::Starting, 0).after(30).to(S::Failed, 0, "nothing was seen");
    let recovered = row(S::Starting, 0).sees(&[Looks { crashes: 2, ..NEW }]).to(S::Shifting, ASKED, "");
    assert_eq!(recovered.crashes, 2, "earlier crashes are not held against it later");
}

#[test]
fn workers_are_ready_once_they_have_run_for_a_while() {
    let worker = |after| {
        let mut row = Row { kind: ServiceKind::Worker, ..row(S::Starting, 0) }.sees(&[OLD, NEW]).after(after);
        if let Some(seen) = &mut row.instances {
            seen.processes[1].process = "worker".parse().unwrap();
        }
        row
    };
    worker(1).to(S::Starting, 0, "");
    worker(2).to(S::Verifying, 0, "");
}

#[test]
fn shifting() {
    let crash = Looks { crashes: 1, ..NEW };
    let asked = |ok| row(S::Shifting, ASKED).sees(&[OLD, NEW]).routes(&[(1, 100, 0, true), (2, 0, 0, ok)]);
    asked(true).to(S::Shifting, MOVED, "moves from release 1 to release 2");
    asked(false).to(S::Shifting, ASKED, "");
    asked(false).after(30).to(S::Failed, 0, "GET /h: 500");
    row(S::Shifting, ASKED).sees(&[OLD, crash.clone()]).to(S::Failed, 0, "crashed");
    row(S::Shifting, ASKED).after(30).to(S::Failed, 0, "the gateway has told nothing");
    let taken = Row { route: Some(route(&[], "shop.example.com belongs to stock")), ..row(S::Shifting, ASKED) };
    taken.to(S::Failed, 0, "belongs to stock");
    row(S::Shifting, ASKED).cancelled().to(S::Cancelled, 0, "");
    let moved = || row(S::Shifting, MOVED).sees(&[OLD, NEW]);
    moved().to(S::Shifting, MOVED, "");
    moved().routes(&[(1, 100, 0, true), (2, 0, 0, true)]).to(S::Shifting, MOVED, "");
    assert_eq!(moved().routes(&[(1, 0, 0, true), (2, 100, 0, true)]).to(S::Verifying, 0, "").pointer, None);
    moved().after(30).to(S::Undoing, RETURNED, "goes back to release 1");
    row(S::Shifting, MOVED).sees(&[OLD, crash]).to(S::Undoing, RETURNED, "");
    moved().cancelled().to(S::Undoing, RETURNED, "");
}

#[test]
fn verifying() {
    let all = &[(1, 0, 0, true), (2, 100, 0, true)];
    row(S::Verifying, 0).sees(&[OLD, NEW]).routes(all).to(S::Verifying, 0, "");
    let done = row(S::Verifying, 0).sees(&[OLD, NEW]).routes(all).after(2).to(S::Draining, 0, "finishes");
    assert_eq!(done.pointer, Some(Pointer::New), "current only now");
    let bad =
        row(S::Verifying, 0).sees(&[OLD, NEW]).routes(&[(2, 100, 0, false)]).after(2).to(S::Undoing, RETURNED, "");
    assert!(bad.fault.is_some_and(|fault| fault.contains("GET /h: 500")));
    row(S::Verifying, 0).sees(&[OLD, Looks { crashes: 1, ..NEW }]).routes(all).to(S::Undoing, RETURNED, "");
    row(S::Verifying, 0).sees(&[OLD, NEW]).after(5).to(S::Verifying, 0, "");
    row(S::Verifying, 0).routes(all).after(5).to(S::Verifying, 0, "");
    row(S::Verifying, 0).after(30).to(S::Undoing, RETURNED, "");
    row(S::Verifying, 0).cancelled().to(S::Undoing, RETURNED, "");
    let forgiven = Row { rollout: Rollout { crashes: 1, ..rollout(S::Verifying, 0) }, ..row(S::Verifying, 0) };
    forgiven.sees(&[OLD, Looks { crashes: 1, ..NEW }]).routes(all).after(2).to(S::Draining, 0, "");
}

#[test]
fn what_a_machine_lost_under_traffic_is_waited_for_and_not_for_ever() {
    let unheard = &[(1, 0, 0, true), (2, 100, 0, false)];
    let lost = |state| Looks { state, ..NEW };
    let at_2s = |looks: Looks| row(S::Verifying, 0).sees(&[OLD, looks]).routes(unheard).after(2);
    let exited = InstanceState::Exited { kind: ExitKind::Lost };
    at_2s(lost(exited.clone())).to(S::Verifying, 0, "");
    at_2s(lost(InstanceState::Starting)).to(S::Verifying, 0, "");
    at_2s(lost(InstanceState::Unready)).to(S::Undoing, RETURNED, "");
    // Ready again, and the gateway has not heard of it yet.
    let heard_of = |members: Vec<InstanceId>, ok: bool| {
        let mut ready = at_2s(NEW);
        let share = &mut ready.route.as_mut().unwrap().shares[1];
        (share.probe_ok, share.instances, share.members) = (ok, u32::try_from(members.len()).unwrap(), members);
        ready
    };
    heard_of(Vec::new(), false).to(S::Verifying, 0, "");
    // What the one before answered, well or not, says nothing about it.
    let before = vec![InstanceId::new(START, [9; 10])];
    heard_of(before.clone(), false).to(S::Verifying, 0, "");
    heard_of(before.clone(), true).to(S::Verifying, 0, "");
    heard_of(before, true).after(30).to(S::Undoing, RETURNED, "");
    heard_of(vec![InstanceId::new(START, [2; 10])], true).to(S::Draining, 0, "");
    at_2s(lost(exited)).after(30).to(S::Undoing, RETURNED, "");
}

#[test]
fn a_state_begins_anew_when_nobody_has_watched() {
    let later = START.plus(Duration::from_secs(1_000_000));
    let left = |step: &Step| step.deadline.map(|deadline| deadline.since(later));
    for state in [S::Pending, S::Releasing, S::Starting, S::Shifting, S::Verifying, S::Draining, S::Undoing] {
        let before = Rollout { fault: Some("it broke".into()), crashes: 1, ..rollout(state, 1) };
        let step = resumed(&before, later);
        assert_eq!((step.state, step.step, step.since, step.pointer), (state, 1, later, None));
        assert_eq!(left(&step), Some(Duration::from_secs(30)), "the span that it had");
        assert_eq!((&step.fault, step.crashes, &step.next), (&before.fault, 1, &before.next));
        assert_eq!(step.reason, format!("{}{ANEW}", before.reason));
        let again = Rollout { reason: step.reason.clone(), since: step.since, deadline: step.deadline, ..before };
        assert_eq!(resumed(&again, later).reason, step.reason, "said once");
    }
}

#[test]
fn draining() {
    let left = |n| row(S::Draining, 0).sees(&[OLD, NEW]).routes(&[(2, 100, 0, true), (1, 0, n, false)]);
    left(3).to(S::Draining, 0, "");
    left(0).to(S::Draining, ENDING, "");
    let late = left(3).after(30).to(S::Draining, ENDING, "");
    assert!(late.evidence[0].contains("3 requests"), "{:?}", late.evidence);
    row(S::Draining, 0).sees(&[OLD, NEW]).to(S::Draining, 0, "");
    row(S::Draining, ENDING).sees(&[OLD, NEW]).to(S::Draining, ENDING, "");
    row(S::Draining, ENDING).sees(&[NEW]).to(S::Succeeded, 0, "observed healthy on its route");
    let gone = Looks { state: InstanceState::Exited { kind: ExitKind::Stopped { killed: false } }, ..OLD };
    row(S::Draining, ENDING).sees(&[gone, NEW]).to(S::Succeeded, 0, "");
    let late = row(S::Draining, ENDING).sees(&[OLD, NEW]).after(30).to(S::Succeeded, 0, "");
    assert!(late.evidence.iter().any(|line| line.contains("still ending")));
    Row { first: true, ..row(S::Draining, 0) }.to(S::Succeeded, 0, "release 2 is current");
    row(S::Draining, ENDING).cancelled().to(S::Undoing, RESTARTING, "release 1 starts again");
}

#[test]
fn undoing() {
    let back = || row(S::Undoing, RETURNED).sees(&[OLD, NEW]);
    back().to(S::Undoing, RETURNED, "");
    let undone = back().routes(&[(1, 100, 0, true)]).to(S::Failed, 0, "release 1 serves again");
    assert_eq!(undone.pointer, Some(Pointer::Before));
    back().after(30).to(S::Failed, 0, "release 1 serves again");
    back().cancelled().routes(&[(1, 100, 0, true)]).to(S::Cancelled, 0, "");
    Row { first: true, ..back() }.routes(&[]).to(S::Failed, 0, "nothing serves");
    let restarting = || row(S::Undoing, RESTARTING).cancelled();
    restarting().sees(&[NEW]).to(S::Undoing, RESTARTING, "");
    restarting().sees(&[OLD, NEW]).to(S::Undoing, RETURNED, "");
    let kept = restarting().sees(&[NEW]).after(30).to(S::Failed, 0, "release 2 serves on");
    assert_eq!(kept.pointer, None, "what serves stays current");
}

#[test]
fn a_removed_service_ends_everything_and_final_states_stay() {
    for state in [S::Pending, S::Releasing, S::Starting, S::Shifting, S::Verifying, S::Draining, S::Undoing] {
        let r = rollout(state, 0);
        let web = set(2, ServiceKind::Web);
        let case = Case {
            rollout: &r,
            set: &web,
            takes_traffic: true,
            has_task: false,
            before: None,
            refused: None,
            seen: Seen { removed: true, ..Seen::default() },
            now: START,
            limits: &LIMITS,
        };
        assert_eq!(decide(&case).state, S::Cancelled, "{state:?}");
    }
    for state in [S::Succeeded, S::Failed, S::Superseded, S::Cancelled] {
        let mut ended = row(state, 0).sees(&[OLD, NEW]).after(999);
        ended.rollout.deadline = None;
        ended.cancelled().to(state, 0, "");
    }
}

#[test]
fn only_what_was_confirmed_to_serve_stays_current_when_superseded() {
    for (state, pointer) in [
        (S::Pending, None),
        (S::Starting, None),
        (S::Shifting, None),
        (S::Verifying, Some(Pointer::New)),
        (S::Draining, None),
    ] {
        let step = superseded(&rollout(state, 1), "release 3", START);
        assert_eq!((step.state, step.pointer, step.deadline), (S::Superseded, pointer, None), "{state:?}");
    }
}

fn any_state() -> impl Strategy<Value = InstanceState> {
    let exit = prop_oneof![
        (0..3i32).prop_map(|status| ExitKind::Status { status }),
        Just(ExitKind::Lost),
        Just(ExitKind::Memory),
        Just(ExitKind::NotStarted),
    ];
    prop_oneof![
        Just(InstanceState::Starting),
        Just(InstanceState::Ready),
        Just(InstanceState::Unready),
        Just(InstanceState::Stopping),
        exit.prop_map(|kind| InstanceState::Exited { kind }),
    ]
}

/// One observation: what is seen of old, new and task, of the route, and how much time passes.
type Observed = (Option<(InstanceState, InstanceState, InstanceState, u32)>, Option<(u16, u64, bool, bool)>, bool, u16);

fn observed() -> impl Strategy<Value = Observed> {
    let instances = proptest::option::of((any_state(), any_state(), any_state(), 0..5u32));
    let route = proptest::option::of((0..2u16, 0..3u64, any::<bool>(), any::<bool>()));
    (instances, route, proptest::bool::weighted(0.05), 0..5_000u16)
}

/// Ends of the longest way through all states, with some room.
const LONGEST: Duration = Duration::from_secs(600 + 15 + 60 * 3 + 30 * 8 + 60);

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn it_always_ends_and_nothing_is_current_that_was_not_seen_to_serve(
        all in proptest::collection::vec(observed(), 1..40),
        has_task: bool,
        first: bool,
        worker: bool,
    ) {
        let kind = if worker { ServiceKind::Worker } else { ServiceKind::Web };
        let (new, old) = (set(2, kind), set(1, ServiceKind::Web));
        let mut r = Rollout { before: (!first).then(|| id(1)), ..rollout(S::Pending, 0) };
        r.deadline = begin(START, &LIMITS).deadline;
        let (mut now, mut current) = (START, None);
        for round in 0.. {
            let (seen, routed, cancel, ms) = &all[round % all.len()];
            let looks = |set, task, state: &InstanceState, crashes| Looks { set, task, state: state.clone(), crashes };
            let seen = seen.as_ref().map(|(a, b, c, n)| instances(&[looks(1, false, a, 0), looks(2, false, b, *n), looks(2, true, c, 0)]));
            let routed = routed.map(|(w, n, ok, bad)| route(&[(2, w * 100, 0, ok), (1, 0, n, true)], if bad && ms % 7 == 0 { "taken" } else { "" }));
            if *cancel {
                r.cancel = Some(Actor::Anonymous);
            }
            let step = decide(&Case {
                rollout: &r,
                set: &new,
                takes_traffic: !worker,
                has_task,
                before: (!first).then_some(Before { set: &old, takes_traffic: true }),
                refused: None,
                seen: Seen { instances: seen.as_ref(), route: routed.as_ref(), removed: false },
                now,
                limits: &LIMITS,
            });
            prop_assert_eq!(step.deadline.is_none(), step.state.is_final());
            prop_assert!(!step.reason.is_empty());
            if step.pointer == Some(Pointer::New) {
                let answered = routed.as_ref().is_some_and(|route| route.shares[0].probe_ok);
                prop_assert!(r.state == S::Verifying && (worker || answered), "{:?}", r.state);
                current = Some(2);
            }
            if step.pointer == Some(Pointer::Before) {
                current = None;
            }
            prop_assert!(step.state != S::Succeeded || current == Some(2), "succeeded without being current");
            prop_assert!(step.state != S::Cancelled || current.is_none(), "cancelled and still current");
            let changed = (r.state, r.step) != (step.state, step.step);
            let ended = step.state.is_final();
            r = Rollout {
                state: step.state, step: step.step, since: step.since, reason: step.reason, deadline: step.deadline,
                crashes: step.crashes, fault: step.fault, evidence: step.evidence, next: step.next, ..r
            };
            if ended {
                break;
            }
            prop_assert!(now.since(START) < LONGEST, "still {:?} after {:?}", r.state, now.since(START));
            // What is due is done within its deadline, whatever is seen.
            if !changed {
                now = now.plus(Duration::from_millis(u64::from(*ms).max(1)));
            }
        }
    }
}
