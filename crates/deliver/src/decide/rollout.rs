use std::time::Duration;

use base::{Problem, Time};
use facts::{InstanceSet, InstancesSeen, RolloutState, RouteSeen};

use super::watch::Watch;
use crate::model::Rollout;

/// Shifting: the new instances are asked through the gateway while they have no traffic.
pub(crate) const ASKED: i64 = 0;
/// Shifting: all traffic was told to go to them.
pub(crate) const MOVED: i64 = 1;
/// Draining: the old instances finish their requests.
const FINISHING: i64 = 0;
/// Draining: the old instances were told to end.
pub(crate) const ENDING: i64 = 1;
/// Undoing: what served before has to run again first; the traffic stays meanwhile.
pub(crate) const RESTARTING: i64 = 0;
/// Undoing: the traffic was told to go back.
pub(crate) const RETURNED: i64 = 1;

/// So many ends of new instances before they were ready are a failure.
const CRASHES_MAX: u32 = 3;
/// The engine ends a release command at its deadline and says so; only if it does not, we do.
const RELEASE_MARGIN: Duration = Duration::from_secs(15);
/// Instances that were told to end may take this long beyond their own grace.
const END_MARGIN: Duration = Duration::from_secs(30);

/// Said of a state whose time counts again from when a control plane came back.
pub(crate) const ANEW: &str = "; begun anew, the control plane was away";

/// How long states may last; see `kernel::config::RolloutConfig`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub start: Duration,
    pub release: Duration,
    pub shift: Duration,
    pub verify: Duration,
    pub drain: Duration,
    pub worker_ready: Duration,
}

/// What is known of the world. Only what was measured against our latest wishes is in here.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seen<'a> {
    pub instances: Option<&'a InstancesSeen>,
    pub route: Option<&'a RouteSeen>,
    /// The service was removed.
    pub removed: bool,
}

/// What had the traffic when the rollout began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Before<'a> {
    pub set: &'a InstanceSet,
    pub takes_traffic: bool,
}

/// Everything the decision depends on.
#[derive(Clone, Copy)]
pub(crate) struct Case<'a> {
    pub rollout: &'a Rollout,
    /// What shall run.
    pub set: &'a InstanceSet,
    pub takes_traffic: bool,
    /// Whether there is a release command.
    pub has_task: bool,
    pub before: Option<Before<'a>>,
    /// What forbids that it begins at all.
    pub refused: Option<&'a Problem>,
    pub seen: Seen<'a>,
    pub now: Time,
    pub limits: &'a Limits,
}

/// Where a rollout stands. A state that is not final always has a deadline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub state: RolloutState,
    pub step: i64,
    pub since: Time,
    pub reason: String,
    pub evidence: Vec<String>,
    pub next: String,
    pub deadline: Option<Time>,
    pub crashes: u32,
    pub fault: Option<String>,
    /// Whose instances have the traffic from now on, for certain.
    pub pointer: Option<Pointer>,
}

/// A change of what is current.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pointer {
    /// The rollout's own release.
    New,
    /// What was before it, if anything.
    Before,
}

/// The first state of a rollout.
pub(crate) fn begin(now: Time, limits: &Limits) -> Step {
    Step {
        state: RolloutState::Pending,
        step: 0,
        since: now,
        reason: "accepted".to_owned(),
        evidence: Vec::new(),
        next: "needs and settings are checked".to_owned(),
        deadline: Some(now.plus(limits.start)),
        crashes: 0,
        fault: None,
        pointer: None,
    }
}

/// What becomes of a rollout when a newer one takes its place. Where all its traffic was confirmed
/// it is what serves, so it stays current until the newer one has taken over.
pub(crate) fn superseded(rollout: &Rollout, by: &str, now: Time) -> Step {
    let pointer = (rollout.state == RolloutState::Verifying).then_some(Pointer::New);
    let reason = format!("a newer rollout took its place: {by}");
    Step { pointer, evidence: rollout.evidence.clone(), ..fresh(rollout, RolloutState::Superseded, 0, now, reason) }
}

/// The state that a rollout is in begins anew, with all of its span: nobody watched until now. What was
/// to be seen in that time may have happened unseen, and what a machine lost with the control plane
/// starts from cold.
pub(crate) fn resumed(rollout: &Rollout, now: Time) -> Step {
    let reason = format!("{}{ANEW}", rollout.reason.trim_end_matches(ANEW));
    Step {
        evidence: rollout.evidence.clone(),
        next: rollout.next.clone(),
        deadline: rollout.deadline.map(|deadline| now.plus(deadline.since(rollout.since))),
        ..fresh(rollout, rollout.state, rollout.step, now, reason)
    }
}

/// What a rollout does next. Asked again with what it said it gives the same answer until
/// something is seen or time passes.
pub(crate) fn decide(case: &Case<'_>) -> Step {
    let rollout = case.rollout;
    if rollout.state.is_final() {
        return case.stay(rollout.reason.clone());
    }
    if case.seen.removed {
        return case.end(RolloutState::Cancelled, "the service was removed".to_owned(), rollout.evidence.clone());
    }
    if rollout.cancel.is_some() && rollout.state != RolloutState::Undoing {
        return cancelled(case);
    }
    match rollout.state {
        RolloutState::Pending => pending(case),
        RolloutState::Releasing => releasing(case),
        RolloutState::Starting => starting(case),
        RolloutState::Shifting => shifting(case),
        RolloutState::Verifying => verifying(case),
        RolloutState::Draining => draining(case),
        RolloutState::Undoing => undoing(case),
        _ => case.stay(rollout.reason.clone()),
    }
}

fn pending(case: &Case<'_>) -> Step {
    if let Some(problem) = case.refused {
        let evidence = problem.hint.iter().map(|hint| format!("to mend it: {hint}")).collect();
        return case.end(RolloutState::Failed, one_sentence(problem), evidence);
    }
    if case.has_task { case.enter(RolloutState::Releasing, 0) } else { case.enter(RolloutState::Starting, 0) }
}

fn releasing(case: &Case<'_>) -> Step {
    let watch = Watch::of(case);
    match watch.task() {
        Some(Ok(())) => case.enter(RolloutState::Starting, 0),
        Some(Err(how)) => {
            case.end(RolloutState::Failed, format!("the release command failed: {how}"), watch.evidence())
        }
        None if case.is_late() => {
            let reason = format!("the release command did not end within {}", spoken(case.limits.release));
            case.end(RolloutState::Failed, reason, watch.evidence())
        }
        None => case.stay_with(watch.evidence()),
    }
}

fn starting(case: &Case<'_>) -> Step {
    let watch = Watch::of(case);
    if let Some(how) = watch.crashed(CRASHES_MAX) {
        return case.end(RolloutState::Failed, how, watch.evidence());
    }
    if watch.ready() {
        let to = if case.takes_traffic { RolloutState::Shifting } else { RolloutState::Verifying };
        return Step { crashes: watch.crashes(), evidence: watch.evidence(), ..case.enter(to, ASKED) };
    }
    if case.is_late() {
        let reason = format!("not ready within {}: {}", spoken(case.limits.start), watch.missing());
        return case.end(RolloutState::Failed, reason, watch.evidence());
    }
    case.stay_with(watch.evidence())
}

fn shifting(case: &Case<'_>) -> Step {
    let watch = Watch::of(case);
    let moved = case.rollout.step == MOVED;
    let fail = |reason: String| match moved {
        true => case.undo(reason, watch.evidence()),
        false => case.end(RolloutState::Failed, reason, watch.evidence()),
    };
    if let Some(how) = watch.crashed(case.rollout.crashes.saturating_add(1)) {
        return fail(how);
    }
    if let Some(route) = case.seen.route {
        if !route.problem.is_empty() {
            return fail(format!("the route cannot be made: {}", route.problem));
        }
        match moved {
            false if watch.answers() => {
                return Step { evidence: watch.evidence(), ..case.enter(RolloutState::Shifting, MOVED) };
            }
            true if watch.has_traffic() => {
                return Step { evidence: watch.evidence(), ..case.enter(RolloutState::Verifying, 0) };
            }
            _ => {}
        }
    }
    if case.is_late() {
        let what =
            if moved { "the gateway has not taken the new weights" } else { "no good answer through the gateway" };
        return fail(format!("{what} within {}: {}", spoken(case.limits.shift), watch.probe()));
    }
    case.stay_with(watch.evidence())
}

fn verifying(case: &Case<'_>) -> Step {
    let watch = Watch::of(case);
    if let Some(how) = watch.crashed(case.rollout.crashes.saturating_add(1)) {
        return case.undo(format!("under traffic, {how}"), watch.evidence());
    }
    let watched = case.now.since(case.rollout.since) >= case.limits.verify;
    let looked = case.seen.instances.is_some() && (!case.takes_traffic || case.seen.route.is_some());
    if watched && looked {
        if case.takes_traffic && !watch.answers() {
            if watch.comes_back() && !case.is_late() {
                return case.stay_with(watch.evidence());
            }
            return case.undo(format!("under traffic, no good answer: {}", watch.probe()), watch.evidence());
        }
        let pointer = Some(Pointer::New);
        return Step { pointer, evidence: watch.evidence(), ..case.enter(RolloutState::Draining, FINISHING) };
    }
    if case.is_late() {
        return case.undo("it could not be watched under traffic: nothing new was seen".to_owned(), watch.evidence());
    }
    case.stay_with(watch.evidence())
}

fn draining(case: &Case<'_>) -> Step {
    let Some(before) = case.before else { return succeeded(case, Vec::new()) };
    let watch = Watch::of(case);
    if case.rollout.step == FINISHING {
        let left = if before.takes_traffic { watch.in_flight(before.set.rollout) } else { Some(0) };
        return match left {
            Some(0) => case.enter(RolloutState::Draining, ENDING),
            _ if case.is_late() => {
                let left = left.map_or_else(|| "an unknown number of".to_owned(), |n| n.to_string());
                let said = format!(
                    "{left} requests to release {} were under way after {}",
                    before.set.number,
                    spoken(case.limits.drain)
                );
                Step { evidence: vec![said], ..case.enter(RolloutState::Draining, ENDING) }
            }
            _ => case.stay_with(case.rollout.evidence.clone()),
        };
    }
    match watch.running(before.set.rollout) {
        Some(0) => succeeded(case, case.rollout.evidence.clone()),
        _ if case.is_late() => {
            let said = format!("instances of release {} are still ending", before.set.number);
            succeeded(case, case.rollout.evidence.iter().cloned().chain([said]).collect())
        }
        _ => case.stay_with(case.rollout.evidence.clone()),
    }
}

fn undoing(case: &Case<'_>) -> Step {
    let watch = Watch::of(case);
    if case.rollout.step == RESTARTING {
        let Some(before) = case.before else { return case.enter(RolloutState::Undoing, RETURNED) };
        if watch.is_ready(before.set) {
            return case.enter(RolloutState::Undoing, RETURNED);
        }
        if case.is_late() {
            let (old, new) = (before.set.number, case.rollout.number);
            let reason = format!(
                "it could not be taken back: release {old} was not ready within {}; release {new} serves on",
                spoken(case.limits.start)
            );
            return case.end(RolloutState::Failed, reason, watch.evidence());
        }
        return case.stay_with(case.rollout.evidence.clone());
    }
    let traffic = case.takes_traffic || case.before.is_some_and(|before| before.takes_traffic);
    if traffic && case.seen.route.is_none() && !case.is_late() {
        return case.stay_with(case.rollout.evidence.clone());
    }
    let mut evidence = case.rollout.evidence.clone();
    if traffic && case.seen.route.is_none() {
        evidence.push("the gateway has not confirmed yet that the traffic is back".to_owned());
    }
    let state = if case.rollout.cancel.is_some() { RolloutState::Cancelled } else { RolloutState::Failed };
    let serves = case.before.map_or("nothing serves".to_owned(), |b| format!("release {} serves again", b.set.number));
    let why = case.rollout.fault.clone().unwrap_or_else(|| "it was stopped".to_owned());
    Step { pointer: Some(Pointer::Before), ..case.end(state, format!("{why}; {serves}"), evidence) }
}

/// A person stopped it: before traffic moved that is all; after, the traffic goes back.
fn cancelled(case: &Case<'_>) -> Step {
    let by = case.rollout.cancel.as_ref().map(ToString::to_string).unwrap_or_default();
    let reason = format!("stopped by {by}");
    let evidence = case.rollout.evidence.clone();
    match (case.rollout.state, case.rollout.step) {
        (RolloutState::Shifting, MOVED) | (RolloutState::Verifying, _) => case.undo(reason, evidence),
        (RolloutState::Draining, _) => {
            Step { fault: Some(reason), evidence, ..case.enter(RolloutState::Undoing, RESTARTING) }
        }
        _ => case.end(RolloutState::Cancelled, format!("{reason}; no traffic had moved"), evidence),
    }
}

fn succeeded(case: &Case<'_>, evidence: Vec<String>) -> Step {
    let seen = if case.takes_traffic { "observed healthy on its route" } else { "observed running" };
    let evidence = if evidence.is_empty() { case.rollout.evidence.clone() } else { evidence };
    case.end(RolloutState::Succeeded, format!("release {} is current, {seen}", case.rollout.number), evidence)
}

impl Case<'_> {
    /// Whether the state has lasted too long.
    pub(super) fn is_late(&self) -> bool {
        self.rollout.deadline.is_some_and(|deadline| self.now >= deadline)
    }

    /// Nothing changes.
    fn stay(&self, reason: String) -> Step {
        let r = self.rollout;
        Step {
            state: r.state,
            step: r.step,
            since: r.since,
            reason,
            evidence: r.evidence.clone(),
            next: r.next.clone(),
            deadline: r.deadline,
            crashes: r.crashes,
            fault: r.fault.clone(),
            pointer: None,
        }
    }

    /// Nothing changes but what is seen.
    fn stay_with(&self, evidence: Vec<String>) -> Step {
        Step { evidence, ..self.stay(self.rollout.reason.clone()) }
    }

    /// It is over.
    fn end(&self, state: RolloutState, reason: String, evidence: Vec<String>) -> Step {
        Step { evidence, ..fresh(self.rollout, state, 0, self.now, reason) }
    }

    /// Traffic has moved and must go back.
    fn undo(&self, fault: String, evidence: Vec<String>) -> Step {
        Step { fault: Some(fault), evidence, ..self.enter(RolloutState::Undoing, RETURNED) }
    }

    /// The next state that is not final.
    fn enter(&self, state: RolloutState, step: i64) -> Step {
        let (reason, next, lasts) = self.words(state, step);
        Step { next, deadline: Some(self.now.plus(lasts)), ..fresh(self.rollout, state, step, self.now, reason) }
    }

    /// What a state is about, what comes after it, and how long it may last.
    fn words(&self, state: RolloutState, step: i64) -> (String, String, Duration) {
        let new = self.rollout.number;
        let old = match self.before {
            None => "nothing older".to_owned(),
            Some(before) if before.set.number == new => "what ran before".to_owned(),
            Some(before) => format!("release {}", before.set.number),
        };
        let limits = self.limits;
        let (reason, next, lasts) = match (state, step) {
            (RolloutState::Releasing, _) => (
                "the release command runs".into(),
                "instances start".into(),
                limits.release.saturating_add(RELEASE_MARGIN),
            ),
            (RolloutState::Starting, _) => (
                match self.before {
                    None => format!("instances of release {new} start"),
                    Some(_) => format!("instances of release {new} start beside {old}"),
                },
                "traffic moves once they are ready".into(),
                limits.start,
            ),
            (RolloutState::Shifting, ASKED) => {
                (format!("release {new} is asked through the gateway"), "all traffic moves to it".into(), limits.shift)
            }
            (RolloutState::Shifting, _) => (
                match self.before {
                    None => format!("all traffic goes to release {new}"),
                    Some(_) => format!("traffic moves from {old} to release {new}"),
                },
                "it is watched under traffic".into(),
                limits.shift,
            ),
            (RolloutState::Verifying, _) => {
                let lasts = limits.verify.saturating_add(limits.shift);
                (format!("release {new} is watched for {}", spoken(limits.verify)), format!("{old} ends"), lasts)
            }
            (RolloutState::Draining, FINISHING) => {
                let finishing = match self.before {
                    None => "there is nothing older to end".to_owned(),
                    Some(_) => format!("{old} finishes its requests"),
                };
                (finishing, format!("{old} ends"), limits.drain)
            }
            (RolloutState::Draining, _) => {
                let grace = self.before.map_or(Duration::ZERO, |b| longest_stop(b.set));
                (format!("{old} ends"), "done".into(), grace.saturating_add(END_MARGIN))
            }
            (_, RESTARTING) => (format!("{old} starts again"), "traffic goes back to it".into(), limits.start),
            _ => (format!("traffic goes back to {old}"), format!("release {new} ends"), limits.shift),
        };
        (reason, next, lasts)
    }
}

/// A state that begins now, with what a rollout carries from one to the next.
fn fresh(rollout: &Rollout, state: RolloutState, step: i64, now: Time, reason: String) -> Step {
    Step {
        state,
        step,
        since: now,
        reason,
        evidence: Vec::new(),
        next: String::new(),
        deadline: None,
        crashes: rollout.crashes,
        fault: rollout.fault.clone(),
        pointer: None,
    }
}

fn longest_stop(set: &InstanceSet) -> Duration {
    set.processes.iter().map(|process| process.stop.0).max().unwrap_or_default()
}

fn one_sentence(problem: &Problem) -> String {
    match &problem.place {
        Some(place) => format!("{place}: {}", problem.message),
        None => problem.message.clone(),
    }
}

fn spoken(span: Duration) -> String {
    base::Span(span).to_string()
}
