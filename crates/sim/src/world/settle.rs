//! Letting the control plane work until nothing moves any more.

use std::time::Duration;

use ports::{Clock, InstanceState};

use super::{Ended, World};
use crate::Sight;
use crate::check::{self, Violation};

/// Between two rounds while something happens, and while nothing does.
const STEP_SHORT: Duration = Duration::from_millis(250);
const STEP_LONG: Duration = Duration::from_secs(4);
/// So many rounds without a change, the last ones far apart, are rest.
const QUIET_ROUNDS: u32 = 4;
/// Of a thousand rounds so many have the reconcilers that run seldom.
const SELDOM: u64 = 120;

/// How it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// Whether nothing moved any more before the time was over.
    pub rest: bool,
    /// Rounds of all reconcilers.
    pub rounds: u32,
}

impl World {
    /// Runs reconcilers and jobs, in the order that chance wants, until nothing moves any more or
    /// `at_most` has passed. The promises are checked after each round.
    pub async fn settle(&mut self, at_most: Duration) -> Settled {
        let until = self.clock.now().plus(at_most);
        let (mut quiet, mut rounds, mut step) = (0, 0, STEP_SHORT);
        let mut before = Marks::default();
        while self.clock.now() < until {
            rounds += 1;
            self.round().await;
            let sight = self.check(false).await;
            let marks = Marks::of(&sight);
            if marks == before {
                quiet += 1;
                step = step.saturating_mul(2).min(STEP_LONG);
            } else {
                (quiet, step) = (0, STEP_SHORT);
            }
            before = marks;
            let due = self.store().next_due().await.ok().flatten();
            if quiet >= QUIET_ROUNDS && due.is_none() && !is_ending(&sight) && check::nothing_is_open(&sight).is_empty()
            {
                return Settled { rest: true, rounds };
            }
            self.clock.advance(step);
        }
        Settled { rest: false, rounds }
    }

    /// One run of each reconciler, some twice, and one look for work.
    pub async fn round(&mut self) {
        let mut names = self.platform().driver().names();
        self.chance.shuffle(&mut names);
        for name in names {
            if self.installation.seldom().contains(&name) && !self.chance.per_mille(SELDOM) {
                continue;
            }
            let again = self.chance.per_mille(120);
            for _ in 0..=u32::from(again) {
                // A run that fails is repeated: that is what reconcilers promise.
                if let Ended::Done(Err(_)) = self.reconcile(name).await {
                    self.clock.advance(Duration::from_millis(200));
                }
            }
        }
        while let Ended::Done(Ok(true)) = self.work().await {}
    }

    /// So many rounds, this far apart.
    pub async fn rounds(&mut self, many: u32, apart: Duration) {
        for _ in 0..many {
            self.round().await;
            self.check(false).await;
            self.clock.advance(apart);
        }
    }

    /// Checks what holds at every moment; what is broken is kept.
    pub async fn check(&mut self, deep: bool) -> Sight {
        let sight = match self.look(deep).await {
            Ok(sight) => sight,
            Err(problem) => panic!("seed {}: the world cannot be looked at: {problem}", self.seed),
        };
        let marks = Marks::of(&sight);
        // Where nothing has changed only time has passed, and only deadlines mind.
        if deep || marks != self.checked {
            self.found(check::always(&sight));
        } else {
            self.found(check::rollouts_explain_themselves(&sight));
        }
        self.checked = marks;
        sight
    }

    /// Settles, and checks what holds at rest.
    pub async fn come_to_rest(&mut self, at_most: Duration) -> Sight {
        self.gate.faults(crate::Faults::default());
        self.edge.away(false);
        self.disturbed();
        let settled = self.settle(at_most).await;
        let sight = self.check(true).await;
        let mut found = check::at_rest(&sight);
        if !settled.rest {
            let found_here = format!("after {} rounds something moves still", settled.rounds);
            found.push(Violation::of("the world comes to rest", found_here));
        }
        self.found(found);
        sight
    }

    fn found(&mut self, violations: Vec<Violation>) {
        for violation in violations {
            if !self.violations.contains(&violation) {
                self.violations.push(violation);
            }
        }
    }
}

/// Whether something is on its way to its end: it was told to end, or it was decided that it shall and
/// it finishes its requests first, which nobody sees from outside.
fn is_ending(sight: &Sight) -> bool {
    let retired = |id| sight.decided.iter().any(|one| one.id == id && !one.wanted);
    let running = sight.instances.iter().filter(|seen| seen.state.is_running());
    running.clone().any(|seen| seen.state == InstanceState::Stopping || retired(seen.id))
}

/// What changes when something happens.
#[derive(Default, PartialEq, Eq)]
pub(super) struct Marks {
    facts: usize,
    calls: usize,
    taken: usize,
    running: Vec<(base::InstanceId, ports::InstanceState)>,
    leaks: usize,
}

impl Marks {
    fn of(sight: &Sight) -> Self {
        Self {
            facts: sight.facts.len(),
            calls: sight.calls.len(),
            taken: sight.taken.len(),
            running: sight.instances.iter().map(|seen| (seen.id, seen.state.clone())).collect(),
            leaks: sight.leaks.len(),
        }
    }
}
