use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base::{InstanceId, Time};
use ports::{ExitKind, InstanceSeen, InstanceState};

use super::backoff::FORGIVEN;
use super::{CRASH_LOOP, next_start};
use crate::model::{Known, KnownState, Tally};

/// Ended instances of a wanted process whose records and logs are kept.
const KEPT: usize = 3;
/// Ended instances of a set that is no longer wanted are kept this long, so that people can read why.
const KEPT_FOR: Duration = Duration::from_secs(3600);

/// What shall be of one process of one set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Want {
    /// Instances; 0: the set is not wanted (any more).
    pub count: u32,
    /// Whether it runs once to its end.
    pub task: bool,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Act {
    /// Decide upon a new instance and start it.
    New,
    /// Start one that was decided upon (again: the engine may have heard of it already).
    Start(InstanceId),
    /// Decide that one shall end: no new requests for it from now on.
    Retire(InstanceId),
    /// End one that was retired.
    Stop(InstanceId),
    /// Record that one has ended.
    Ended { id: InstanceId, crashed: bool },
    /// Forget one that ended long ago.
    Forget(InstanceId),
}

/// What to do about one process of one set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub acts: Vec<Act>,
    pub tally: Tally,
    /// When to look again even if nothing changes.
    pub again: Option<Time>,
    pub crash_loop: bool,
}

/// What is seen of the instances of one process.
pub(crate) struct Sight<'a> {
    pub seen: &'a BTreeMap<InstanceId, InstanceSeen>,
    /// Retired ones that may still get or have requests.
    pub busy: &'a BTreeSet<InstanceId>,
    pub now: Time,
}

/// Decides about one process of one set. `known` are its recorded instances, oldest first.
pub(crate) fn decide(want: Want, known: &[Known], sight: &Sight<'_>, tally: Tally) -> Plan {
    let now = sight.now;
    let mut plan = Plan { tally, ..Plan::default() };
    let live = settle(want, known, sight, &mut plan);
    if plan.tally.crashes > 0 && now.since(plan.tally.last_crash) >= FORGIVEN && !live.is_empty() {
        plan.tally = Tally::default();
    }
    plan.crash_loop = plan.tally.crashes >= CRASH_LOOP;
    let wanted = usize::try_from(want.count).unwrap_or(usize::MAX);
    if live.len() > wanted {
        plan.acts.extend(surplus(&live, live.len() - wanted));
    } else if !want.task || known.is_empty() {
        start_missing(wanted - live.len(), now, &mut plan);
    }
    forget(want, known, now, &mut plan);
    plan
}

/// Compares what was decided with what is seen; returns the instances that shall run and do or will.
fn settle<'a>(
    want: Want,
    known: &'a [Known],
    sight: &Sight<'a>,
    plan: &mut Plan,
) -> Vec<(&'a Known, Option<&'a InstanceSeen>)> {
    let mut live = Vec::new();
    for one in known {
        let found = sight.seen.get(&one.id);
        match (one.state, found) {
            (KnownState::Ended { .. }, _) => {}
            (KnownState::Wanted, None) => {
                if want.count > 0 {
                    plan.acts.push(Act::Start(one.id));
                }
                live.push((one, None));
            }
            (KnownState::Stopping { .. }, None) => plan.acts.push(Act::Ended { id: one.id, crashed: false }),
            (state, Some(InstanceSeen { state: InstanceState::Exited { kind }, .. })) => {
                let crashed = state == KnownState::Wanted && is_crash(want, kind);
                if crashed {
                    plan.tally = Tally { crashes: plan.tally.crashes.saturating_add(1), last_crash: sight.now };
                }
                plan.acts.push(Act::Ended { id: one.id, crashed });
            }
            (KnownState::Wanted, Some(found)) => live.push((one, Some(found))),
            // Told before; telling again is harmless and mends a message that was lost in a crash.
            (KnownState::Stopping { .. }, Some(found)) => {
                if found.state != InstanceState::Stopping && !sight.busy.contains(&one.id) {
                    plan.acts.push(Act::Stop(one.id));
                }
            }
        }
    }
    live
}

/// Whether an end that nobody asked for is the program's fault. A machine that was restarted is not.
fn is_crash(want: Want, kind: &ExitKind) -> bool {
    match kind {
        ExitKind::Lost | ExitKind::Stopped { .. } => false,
        ExitKind::Status { status: 0 } => !want.task,
        _ => true,
    }
}

/// Which ones to end: those that do not serve first, then the youngest.
fn surplus(live: &[(&Known, Option<&InstanceSeen>)], count: usize) -> Vec<Act> {
    let mut order: Vec<_> = live
        .iter()
        .map(|(known, seen)| {
            (seen.is_some_and(|s| s.state == InstanceState::Ready), std::cmp::Reverse(known.id), known.id)
        })
        .collect();
    order.sort_unstable();
    order.into_iter().take(count).map(|(_, _, id)| Act::Retire(id)).collect()
}

fn start_missing(missing: usize, now: Time, plan: &mut Plan) {
    if missing == 0 {
        return;
    }
    match next_start(&plan.tally) {
        Some(at) if at > now => plan.again = Some(at),
        _ => plan.acts.extend(std::iter::repeat_n(Act::New, missing)),
    }
}

fn forget(want: Want, known: &[Known], now: Time, plan: &mut Plan) {
    let ended: Vec<_> = known
        .iter()
        .filter_map(|one| match one.state {
            KnownState::Ended { at, .. } => Some((one.id, at)),
            _ => None,
        })
        .collect();
    let spare = ended.len().saturating_sub(KEPT);
    for (rank, (id, at)) in ended.iter().enumerate() {
        let old = want.count == 0 && now.since(*at) >= KEPT_FOR;
        if old || (rank < spare && !want.task) {
            plan.acts.push(Act::Forget(*id));
        }
    }
}

#[cfg(test)]
mod tests {
    use base::{Generation, ReleaseId, RolloutId};
    use ports::Purpose;

    use super::*;
    use crate::model::Key;

    fn id(n: u8) -> InstanceId {
        InstanceId::new(Time::from_micros(i64::from(n) * 1000), [n; 10])
    }

    fn key() -> Key {
        Key {
            service: "shop".parse().unwrap(),
            environment: "dev".parse().unwrap(),
            rollout: RolloutId::new(Time::default(), [0; 10]),
            process: "web".parse().unwrap(),
        }
    }

    fn known(n: u8, state: KnownState) -> Known {
        let release = ReleaseId::new(Time::default(), [0; 10]);
        Known {
            id: id(n),
            key: key(),
            release,
            generation: Generation(1),
            state,
            stop: Duration::ZERO,
            created: Time::default(),
        }
    }

    fn seen(n: u8, state: InstanceState) -> InstanceSeen {
        InstanceSeen {
            id: id(n),
            service: key().service,
            environment: Some(key().environment),
            release: None,
            process: key().process,
            purpose: Purpose::Serve,
            generation: Generation(1),
            state,
            address: None,
            started: Time::default(),
            since: Time::default(),
            evidence: String::new(),
            memory: None,
            cpu_us: None,
        }
    }

    const NOW: Time = Time::from_micros(1_000_000_000);
    const WANTED: KnownState = KnownState::Wanted;
    const STOPPING: KnownState = KnownState::Stopping { since: NOW };
    const SERVE: Want = Want { count: 2, task: false };

    fn exited(kind: ExitKind) -> InstanceState {
        InstanceState::Exited { kind }
    }

    fn plan(want: Want, known: &[Known], seen: &[InstanceSeen], busy: &[u8], tally: Tally) -> Plan {
        let seen = seen.iter().map(|s| (s.id, s.clone())).collect();
        let busy = busy.iter().map(|n| id(*n)).collect();
        decide(want, known, &Sight { seen: &seen, busy: &busy, now: NOW }, tally)
    }

    fn check(want: Want, known: &[Known], seen: &[InstanceSeen], tally: Tally, expect: &[Act]) -> Plan {
        let plan = plan(want, known, seen, &[], tally);
        assert_eq!(plan.acts, expect);
        plan
    }

    #[test]
    fn starts_what_is_missing_and_nothing_more() {
        check(SERVE, &[], &[], Tally::default(), &[Act::New, Act::New]);
        check(SERVE, &[known(1, WANTED)], &[seen(1, InstanceState::Ready)], Tally::default(), &[Act::New]);
        let both = [known(1, WANTED), known(2, WANTED)];
        check(SERVE, &both, &[seen(1, InstanceState::Ready), seen(2, InstanceState::Starting)], Tally::default(), &[]);
    }

    #[test]
    fn an_instance_decided_upon_before_a_crash_of_the_control_plane_is_started_not_doubled() {
        let both = [known(1, WANTED), known(2, WANTED)];
        check(SERVE, &both, &[seen(1, InstanceState::Ready)], Tally::default(), &[Act::Start(id(2))]);
    }

    #[test]
    fn a_crash_is_counted_and_waited_for() {
        let one = Want { count: 1, task: false };
        let crashed = seen(1, exited(ExitKind::Status { status: 0 }));
        let plan =
            check(one, &[known(1, WANTED)], &[crashed], Tally::default(), &[Act::Ended { id: id(1), crashed: true }]);
        assert_eq!(plan.tally, Tally { crashes: 1, last_crash: NOW });
        assert_eq!(plan.again, Some(NOW.plus(Duration::from_secs(1))));
        let ended = known(1, KnownState::Ended { at: NOW, crashed: true });
        let before = Tally { crashes: 1, last_crash: NOW.minus(Duration::from_secs(1)) };
        check(one, &[ended], &[], before, &[Act::New]);
    }

    #[test]
    fn a_restart_of_the_machine_is_no_crash() {
        let one = Want { count: 1, task: false };
        let plan = check(
            one,
            &[known(1, WANTED)],
            &[seen(1, exited(ExitKind::Lost))],
            Tally::default(),
            &[Act::Ended { id: id(1), crashed: false }, Act::New],
        );
        assert_eq!(plan.tally.crashes, 0);
    }

    #[test]
    fn a_task_runs_once() {
        let task = Want { count: 1, task: true };
        check(task, &[], &[], Tally::default(), &[Act::New]);
        let done = seen(1, exited(ExitKind::Status { status: 0 }));
        check(task, &[known(1, WANTED)], &[done], Tally::default(), &[Act::Ended { id: id(1), crashed: false }]);
        check(task, &[known(1, KnownState::Ended { at: NOW, crashed: false })], &[], Tally::default(), &[]);
        let failed = seen(1, exited(ExitKind::Status { status: 3 }));
        check(task, &[known(1, WANTED)], &[failed], Tally::default(), &[Act::Ended { id: id(1), crashed: true }]);
    }

    #[test]
    fn surplus_ends_with_what_does_not_serve_and_then_the_youngest() {
        let three = [known(1, WANTED), known(2, WANTED), known(3, WANTED)];
        let seen = [seen(1, InstanceState::Unready), seen(2, InstanceState::Ready), seen(3, InstanceState::Ready)];
        check(SERVE, &three, &seen, Tally::default(), &[Act::Retire(id(1))]);
        check(Want { count: 1, ..SERVE }, &three, &seen, Tally::default(), &[Act::Retire(id(1)), Act::Retire(id(3))]);
    }

    #[test]
    fn a_set_that_is_not_wanted_ends() {
        let none = Want { count: 0, task: false };
        check(none, &[known(1, WANTED)], &[seen(1, InstanceState::Ready)], Tally::default(), &[Act::Retire(id(1))]);
        check(none, &[known(1, WANTED)], &[], Tally::default(), &[Act::Retire(id(1))]);
        check(none, &[known(1, STOPPING)], &[seen(1, InstanceState::Stopping)], Tally::default(), &[]);
        let lost = [seen(1, InstanceState::Ready)];
        check(none, &[known(1, STOPPING)], &lost, Tally::default(), &[Act::Stop(id(1))]);
        let gone = Act::Ended { id: id(1), crashed: false };
        check(none, &[known(1, STOPPING)], &[], Tally::default(), &[gone]);
    }

    #[test]
    fn one_that_still_has_requests_is_not_told_to_end() {
        let none = Want { count: 0, task: false };
        let retired = [known(1, STOPPING)];
        let serving = [seen(1, InstanceState::Ready)];
        assert_eq!(plan(none, &retired, &serving, &[1], Tally::default()).acts, []);
        assert_eq!(plan(none, &retired, &serving, &[], Tally::default()).acts, [Act::Stop(id(1))]);
    }

    #[test]
    fn records_of_the_ended_are_bounded() {
        let ended = |n, at| known(n, KnownState::Ended { at, crashed: true });
        let many: Vec<_> = (1..=5).map(|n| ended(n, NOW)).collect();
        let plan = plan(Want { count: 0, task: false }, &many, &[], &[], Tally::default());
        assert_eq!(plan.acts, [Act::Forget(id(1)), Act::Forget(id(2))]);
        let old = [ended(1, NOW.minus(KEPT_FOR))];
        let plan = self::plan(Want { count: 0, task: true }, &old, &[], &[], Tally::default());
        assert_eq!(plan.acts, [Act::Forget(id(1))]);
    }

    #[test]
    fn crashes_are_forgiven_after_a_good_while() {
        let one = Want { count: 1, task: false };
        let before = Tally { crashes: 9, last_crash: NOW.minus(FORGIVEN) };
        let plan = check(one, &[known(1, WANTED)], &[seen(1, InstanceState::Ready)], before, &[]);
        assert_eq!((plan.tally, plan.crash_loop), (Tally::default(), false));
    }
}
