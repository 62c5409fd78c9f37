//! One instance as a function of time.

use std::time::Duration;

use base::{Bytes, Generation, Time};
use ports::{Address, ExitKind, InstanceSeen, InstanceSpec, InstanceState, LogCursor, LogLine, LogStream};

use crate::Program;

/// A program that minds SIGTERM ends this long after it.
const POLITE: Duration = Duration::from_millis(20);
/// What every instance has in memory; it uses a thousandth of a processor.
const MEMORY: Bytes = Bytes(24 << 20);

#[derive(Clone)]
pub(super) struct Life {
    pub spec: InstanceSpec,
    pub program: Program,
    pub generation: Generation,
    /// The machine was switched off then.
    pub lost: Option<Time>,
    address: Option<Address>,
    started: Time,
    /// Told to end, and when it ends by that.
    stop: Option<Stop>,
}

#[derive(Clone, Copy)]
struct Stop {
    told: Time,
    ends: Time,
    killed: bool,
}

impl Life {
    pub(super) fn new(spec: InstanceSpec, program: Program, address: Option<Address>, now: Time) -> Self {
        Self { spec, program, generation: Generation(0), lost: None, address, started: now, stop: None }
    }

    /// SIGTERM now and SIGKILL after the grace; told again, the sooner end holds.
    pub(super) fn told(&mut self, now: Time, grace: Duration) {
        if self.end(now).is_some() {
            return;
        }
        let killed = self.program.stubborn || grace < POLITE;
        let ends = now.plus(if killed { grace } else { POLITE });
        let new = Stop { told: now, ends, killed };
        self.stop = Some(match self.stop {
            Some(old) if old.ends <= ends => old,
            Some(old) => Stop { told: old.told, ..new },
            None => new,
        });
    }

    /// How and when it ended, if it has.
    fn end(&self, now: Time) -> Option<(Time, ExitKind)> {
        let by_itself = self.program.end.as_ref().map(|end| (self.started.plus(end.after), end.kind.clone()));
        let deadline = self.spec.deadline.map(|span| (self.started.plus(span), ExitKind::Deadline));
        let told = self.stop.map(|stop| (stop.ends, ExitKind::Stopped { killed: stop.killed }));
        let lost = self.lost.map(|at| (at, ExitKind::Lost));
        let all = [lost, by_itself, deadline, told].into_iter().flatten();
        all.min_by_key(|(at, _)| *at).filter(|(at, _)| *at <= now)
    }

    /// What it does now, since when, and what makes that true.
    fn doing(&self, now: Time) -> (InstanceState, Time, String) {
        if let Some((at, kind)) = self.end(now) {
            let evidence = format!("ended: {kind:?}");
            return (InstanceState::Exited { kind }, at, evidence);
        }
        if let Some(stop) = self.stop {
            return (InstanceState::Stopping, stop.told, "SIGTERM was sent".to_owned());
        }
        if self.spec.health.is_none() {
            return (InstanceState::Ready, self.started, "it runs".to_owned());
        }
        let ready = self.started.plus(self.program.ready);
        if self.program.deaf || now < ready {
            return (InstanceState::Starting, self.started, "connection refused".to_owned());
        }
        if let Some((from, to)) = self.program.sick {
            let (from, to) = (self.started.plus(from), self.started.plus(to));
            if now >= from && now < to {
                return (InstanceState::Unready, from, "the probe was answered with 503".to_owned());
            }
            if now >= to {
                return (InstanceState::Ready, to, "the probe was answered".to_owned());
            }
        }
        (InstanceState::Ready, ready, "the probe was answered".to_owned())
    }

    /// Whether it was ready at some time until now.
    pub(super) fn was_ready(&self, now: Time) -> bool {
        let ready = self.started.plus(self.program.ready);
        let until = self.end(now).map_or(now, |(at, _)| at);
        let started = self.program.end.as_ref().is_none_or(|end| end.kind != ExitKind::NotStarted);
        started && (self.spec.health.is_none() || (!self.program.deaf && ready < until))
    }

    pub(super) fn seen(&self, now: Time) -> InstanceSeen {
        let (state, since, evidence) = self.doing(now);
        let runs = state.is_running();
        InstanceSeen {
            id: self.spec.id,
            service: self.spec.service.clone(),
            environment: self.spec.environment.clone(),
            release: self.spec.release,
            process: self.spec.process.clone(),
            purpose: self.spec.purpose,
            generation: self.generation,
            state,
            address: self.address.clone(),
            started: self.started,
            since,
            evidence,
            memory: runs.then_some(MEMORY),
            cpu_us: runs.then(|| u64::try_from(now.since(self.started).as_millis()).unwrap_or(u64::MAX)),
        }
    }

    /// Everything that it has said until now, the platform's remark about its end included.
    pub(super) fn lines(&self, now: Time) -> Vec<LogLine> {
        let end = self.end(now);
        let until = end.as_ref().map_or(now, |(at, _)| *at);
        let said =
            self.program.says.iter().map(|(after, stream, text)| (self.started.plus(*after), *stream, text.clone()));
        let said = said.filter(|(at, _, _)| *at <= until);
        let remark = end.map(|(at, kind)| (at, LogStream::Platform, format!("ended: {kind:?}")));
        let numbered = said.chain(remark).zip(1u64..);
        numbered.map(|((at, stream, text), n)| LogLine { cursor: LogCursor(n), at, stream, text }).collect()
    }
}
