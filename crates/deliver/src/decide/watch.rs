//! What is seen of a rollout's instances and its route, in the words of the decision.

use base::RolloutId;
use facts::{
    InstanceSet, InstanceView, InstancesSeen, ProcessSeen, ProcessWanted, RouteSeen, ServedShare, ServiceKind,
};
use ports::{ExitKind, InstanceState};

use super::rollout::Case;

/// Lines of evidence, at most: observations first, then what the program said last.
const EVIDENCE_MAX: usize = 30;

pub(super) struct Watch<'a> {
    case: &'a Case<'a>,
    instances: Option<&'a InstancesSeen>,
    route: Option<&'a RouteSeen>,
}

impl<'a> Watch<'a> {
    pub(super) fn of(case: &'a Case<'a>) -> Self {
        Self { case, instances: case.seen.instances, route: case.seen.route }
    }

    /// How the release command ended, if it has.
    pub(super) fn task(&self) -> Option<Result<(), String>> {
        let process = self.of_rollout(self.case.rollout.id).find(|process| process.task)?;
        let last = process.instances.last()?;
        match &last.state {
            InstanceState::Exited { kind: ExitKind::Status { status: 0 } } => Some(Ok(())),
            InstanceState::Exited { kind } => Some(Err(how(kind, &last.evidence))),
            _ => None,
        }
    }

    /// Whether every process of the new set is as it shall be.
    pub(super) fn ready(&self) -> bool {
        self.is_ready(self.case.set)
    }

    /// Whether every process of a set is as it shall be.
    pub(super) fn is_ready(&self, set: &InstanceSet) -> bool {
        set.processes
            .iter()
            .all(|wanted| self.process(set.rollout, wanted).is_some_and(|seen| self.process_ready(wanted, seen)))
    }

    fn process_ready(&self, wanted: &ProcessWanted, seen: &ProcessSeen) -> bool {
        if wanted.kind != ServiceKind::Worker {
            return seen.ready() >= seen.wanted;
        }
        let long_enough = |since| self.case.now.since(since) >= self.case.limits.worker_ready;
        let steady = seen.instances.iter().filter(|i| i.state == InstanceState::Ready && long_enough(i.since)).count();
        u32::try_from(steady).unwrap_or(u32::MAX) >= seen.wanted
    }

    /// What is not ready yet, and what was seen of it.
    pub(super) fn missing(&self) -> String {
        let wanted = self.case.set.processes.iter().find(|wanted| {
            !self.process(self.case.set.rollout, wanted).is_some_and(|seen| self.process_ready(wanted, seen))
        });
        let Some(wanted) = wanted else { return "nothing was seen of it".to_owned() };
        let Some(seen) = self.process(self.case.set.rollout, wanted) else {
            return format!("nothing was seen of the process `{}`", wanted.process);
        };
        let said = seen.instances.iter().rev().map(|i| i.evidence.as_str()).find(|text| !text.is_empty());
        let said =
            Some(seen.trouble.as_str()).filter(|text| !text.is_empty()).or(said).unwrap_or("no instance was started");
        let port = if wanted.kind == ServiceKind::Web { " (does it listen on $PORT?)" } else { "" };
        format!("`{}`: {said}{port}", wanted.process)
    }

    /// Crashes of the new set's processes.
    pub(super) fn crashes(&self) -> u32 {
        self.new_processes().map(|process| process.crashes).fold(0, u32::saturating_add)
    }

    /// Says how it crashed if it crashed so many times.
    pub(super) fn crashed(&self, times: u32) -> Option<String> {
        let all = self.crashes();
        if all < times {
            return None;
        }
        let process = self.new_processes().max_by_key(|process| process.crashes)?;
        let last = process.instances.iter().rev().find_map(|instance| match &instance.state {
            InstanceState::Exited { kind } => Some(how(kind, &instance.evidence)),
            _ => None,
        });
        let trouble = Some(process.trouble.clone()).filter(|text| !text.is_empty());
        let how = last.or(trouble).unwrap_or_else(|| "it ended".to_owned());
        let times =
            if process.crashes == 1 { "crashed".to_owned() } else { format!("crashed {} times", process.crashes) };
        Some(format!("the process `{}` {times}: {how}{}", process.process, refused_port(&process.last_lines)))
    }

    /// Whether a request through the gateway was answered well by an instance that still runs, or nobody is there
    /// to answer.
    pub(super) fn answers(&self) -> bool {
        let stands = |share: &ServedShare| {
            share.members.is_empty() || self.serving().any(|one| is_up(&one.state) && share.members.contains(&one.id))
        };
        !self.expects_answers() || self.share().is_some_and(|share| share.probe_ok && stands(share))
    }

    /// Whether instances that were lost with their machine start again, or the gateway has yet to hear
    /// that they have: how they answer is not known then.
    pub(super) fn comes_back(&self) -> bool {
        let missing = self.serving_processes().any(|process| {
            let up = process.instances.iter().filter(|one| is_up(&one.state)).count();
            u32::try_from(up).unwrap_or(u32::MAX) < process.wanted
        });
        let ready = || self.serving().filter(|one| one.state == InstanceState::Ready);
        missing
            || self.share().is_none_or(|share| match share.members.is_empty() {
                true => u64::from(share.instances) < u64::try_from(ready().count()).unwrap_or(u64::MAX),
                false => ready().any(|one| !share.members.contains(&one.id)),
            })
    }

    /// Whether the gateway sends all traffic to the new instances.
    pub(super) fn has_traffic(&self) -> bool {
        self.share().is_some_and(|share| share.weight > 0)
    }

    /// What the last request through the gateway saw.
    pub(super) fn probe(&self) -> String {
        match self.share() {
            Some(share) if !share.probe.is_empty() => share.probe.clone(),
            Some(_) => "it was not asked yet".to_owned(),
            None => "the gateway has told nothing about it yet".to_owned(),
        }
    }

    /// Requests to a set's instances that are under way.
    pub(super) fn in_flight(&self, rollout: RolloutId) -> Option<u64> {
        let route = self.route?;
        Some(route.shares.iter().filter(|share| share.rollout == rollout).map(|share| share.in_flight).sum())
    }

    /// Instances of a set that have not ended.
    pub(super) fn running(&self, rollout: RolloutId) -> Option<u32> {
        self.instances?;
        Some(self.of_rollout(rollout).map(ProcessSeen::running).fold(0, u32::saturating_add))
    }

    /// What was observed, one line each.
    pub(super) fn evidence(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for process in self.of_rollout(self.case.rollout.id) {
            if !process.task {
                lines.push(format!(
                    "`{}`: {} of {} ready, {} crashes",
                    process.process,
                    process.ready(),
                    process.wanted,
                    process.crashes
                ));
            }
            if !process.trouble.is_empty() {
                lines.push(format!("`{}`: {}", process.process, process.trouble));
            }
            let shown =
                process.instances.iter().rev().find(|i| i.state != InstanceState::Ready && !i.evidence.is_empty());
            lines.extend(shown.map(|i| format!("`{}`: {}", process.process, i.evidence)));
        }
        lines.extend(self.share().map(|share| share.probe.clone()).filter(|probe| !probe.is_empty()));
        let said = self.of_rollout(self.case.rollout.id).flat_map(|process| &process.last_lines);
        lines.extend(said.map(|line| format!("| {line}")));
        if lines.len() > EVIDENCE_MAX {
            lines.drain(4..lines.len().saturating_sub(EVIDENCE_MAX - 4));
        }
        lines
    }

    /// What is seen of the new set's processes that serve.
    fn serving_processes(&self) -> impl Iterator<Item = &'a ProcessSeen> {
        let serving = self.case.set.processes.iter().filter(|wanted| wanted.kind != ServiceKind::Worker);
        serving.filter_map(|wanted| self.process(self.case.set.rollout, wanted))
    }

    fn serving(&self) -> impl Iterator<Item = &'a InstanceView> {
        self.serving_processes().flat_map(|process| &process.instances)
    }

    fn expects_answers(&self) -> bool {
        self.case
            .set
            .processes
            .iter()
            .filter(|wanted| wanted.kind != ServiceKind::Worker)
            .any(|wanted| self.process(self.case.set.rollout, wanted).is_none_or(|seen| seen.wanted > 0))
    }

    fn share(&self) -> Option<&'a ServedShare> {
        self.route?.shares.iter().find(|share| share.rollout == self.case.rollout.id)
    }

    fn process(&self, rollout: RolloutId, wanted: &ProcessWanted) -> Option<&'a ProcessSeen> {
        self.of_rollout(rollout).find(|seen| seen.process == wanted.process && !seen.task)
    }

    fn new_processes(&self) -> impl Iterator<Item = &'a ProcessSeen> {
        self.of_rollout(self.case.rollout.id).filter(|process| !process.task)
    }

    fn of_rollout(&self, rollout: RolloutId) -> impl Iterator<Item = &'a ProcessSeen> + use<'a> {
        self.instances.into_iter().flat_map(|seen| &seen.processes).filter(move |process| process.rollout == rollout)
    }
}

/// Whether an instance may answer.
fn is_up(state: &InstanceState) -> bool {
    matches!(state, InstanceState::Ready | InstanceState::Unready)
}

/// How an instance ended, for people.
fn how(kind: &ExitKind, evidence: &str) -> String {
    match kind {
        ExitKind::Status { status: 0 } => "it ended by itself with exit status 0".to_owned(),
        ExitKind::Status { status } => format!("it ended with exit status {status}"),
        ExitKind::Memory => "it needed more memory than `size.memory` of orlop.yaml allows".to_owned(),
        ExitKind::Disk => "it wrote more to its disk than it may".to_owned(),
        ExitKind::Deadline => "it did not end before its deadline".to_owned(),
        ExitKind::Lost => "it vanished: the machine was restarted, or somebody ended it".to_owned(),
        _ if !evidence.is_empty() => evidence.to_owned(),
        ExitKind::Signal { signal } => format!("it was killed by signal {signal}"),
        ExitKind::NotStarted => "it could not be started".to_owned(),
        ExitKind::Stopped { .. } => "it was stopped".to_owned(),
    }
}

/// A program that was refused a port says so in words of its own, in which nobody sees the reason:
/// an instance may listen on `$PORT` only.
fn refused_port(last_lines: &[String]) -> &'static str {
    let refused = ["permission denied", "eacces", "errno 13"];
    let says = |line: &String| refused.iter().any(|word| line.to_lowercase().contains(word));
    if last_lines.iter().any(says) {
        " (an instance may listen on $PORT only and connect to its needs only)"
    } else {
        ""
    }
}
