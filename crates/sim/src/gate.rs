//! Where the world interferes: every commit, every engine call and every snapshot passes here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::{Problem, Result};
use parking_lot::Mutex;
use store::CommitHook;
use tokio::sync::Notify;

use crate::place::{self, Place};
use crate::{Chance, VirtualClock};

/// What shall happen at which point. Only points where something changes count: whoever dies while
/// asking leaves the same behind as who died after the last change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// Nothing.
    Run,
    /// The control plane dies at this point (counted from 1 since the plan was made).
    KillAt(u64),
    /// Something else happens while the control plane stands at this point.
    PauseAt(u64),
}

/// What a story arranges for a point of a kind, whatever else is planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Snag {
    /// The control plane dies there.
    Die,
    /// Something else happens while it stands there.
    Pause,
}

/// One point that was passed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    /// Which line of the platform made the effect; none where a test did.
    pub place: Option<Place>,
    /// Which effect, and whether it was about to happen or done: `commit`, `engine.stop, done`.
    pub kind: String,
}

/// How often calls go wrong, in parts of a thousand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// Not done, and said so.
    pub refused: u64,
    /// Done, and answered with an error.
    pub answer_lost: u64,
    /// Done late.
    pub late: u64,
}

/// What is done to one call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Good,
    Refused,
    AnswerLost,
    Late,
}

/// The one place that all outside calls of all lives of the control plane go through.
pub struct Gate {
    state: Mutex<State>,
    clock: Arc<VirtualClock>,
    changed: Notify,
    resumed: Notify,
}

struct State {
    /// The life whose calls are carried out; those of others never return.
    alive: u64,
    /// A life that was replaced and does not know it: its calls are carried out too.
    ghost: Option<u64>,
    plan: Plan,
    passed: u64,
    kinds: BTreeMap<String, u64>,
    /// The points since the plan was made, where somebody asked for them.
    trail: Option<Vec<Point>>,
    /// Of which kind, at the how manieth of them, what happens.
    snag: Option<(String, u64, Snag)>,
    /// The point at which the control plane shall die, by name; and the one where it did by plan.
    target: Option<Point>,
    struck: Option<Point>,
    paused: bool,
    killed_at: Option<String>,
    faults: Faults,
    chance: Chance,
    faulted: u64,
}

/// What becomes of who comes to a point.
enum Next {
    Go,
    /// This life is over.
    Gone,
    Die,
    Wait,
}

impl State {
    /// A question: nothing is planned for it.
    fn question(&mut self, life: u64, kind: &str) -> Next {
        if self.alive != life && self.ghost != Some(life) {
            return Next::Gone;
        }
        *self.kinds.entry(kind.to_owned()).or_default() += 1;
        Next::Go
    }

    fn step(&mut self, life: u64, kind: &str) -> Next {
        if self.alive != life && self.ghost != Some(life) {
            return Next::Gone;
        }
        self.passed += 1;
        if let Some(trail) = &mut self.trail {
            trail.push(Point { place: place::caller(), kind: kind.to_owned() });
        }
        *self.kinds.entry(kind.to_owned()).or_default() += 1;
        let snag = self.snagged(kind);
        match self.plan {
            Plan::KillAt(at) if at == self.passed => {
                self.plan = Plan::Run;
                self.die(kind)
            }
            _ if self.is_target(kind) => {
                self.struck = self.target.take();
                self.die(kind)
            }
            _ if snag == Some(Snag::Die) => self.die(kind),
            _ if snag == Some(Snag::Pause) => {
                self.paused = true;
                Next::Wait
            }
            // A transaction holds the write lock: whoever else wants to write would wait for it.
            Plan::PauseAt(at) if at == self.passed && kind.starts_with("commit") => {
                self.plan = Plan::PauseAt(at + 1);
                Next::Go
            }
            Plan::PauseAt(at) if at == self.passed => {
                self.plan = Plan::Run;
                self.paused = true;
                Next::Wait
            }
            _ => Next::Go,
        }
    }
}

impl State {
    fn die(&mut self, kind: &str) -> Next {
        self.alive = 0;
        self.killed_at = Some(kind.to_owned());
        Next::Die
    }

    /// Whether this is the place where it shall die.
    fn is_target(&self, kind: &str) -> bool {
        self.target.as_ref().is_some_and(|point| point.kind == kind && point.place == place::caller())
    }

    /// What the story has arranged for this point, if it is the one.
    fn snagged(&mut self, kind: &str) -> Option<Snag> {
        let (_, left, snag) = self.snag.as_mut().filter(|(of, _, _)| of == kind)?;
        *left = left.saturating_sub(1);
        let (done, snag) = (*left == 0, *snag);
        if done {
            self.snag = None;
        }
        done.then_some(snag)
    }
}

/// Why a run was broken off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Signal {
    Killed(String),
    Paused,
}

impl Gate {
    /// A gate that lets everything pass.
    pub fn new(clock: Arc<VirtualClock>, seed: u64) -> Self {
        let state = State {
            alive: 0,
            ghost: None,
            plan: Plan::Run,
            passed: 0,
            kinds: BTreeMap::new(),
            trail: None,
            snag: None,
            target: None,
            struck: None,
            paused: false,
            killed_at: None,
            faults: Faults::default(),
            chance: Chance::seeded(seed ^ 0x5eed_fa17),
            faulted: 0,
        };
        Self { state: Mutex::new(state), clock, changed: Notify::new(), resumed: Notify::new() }
    }

    /// Makes a plan; points are counted anew.
    pub fn plan(&self, plan: Plan) {
        let mut state = self.state.lock();
        state.plan = plan;
        state.passed = 0;
    }

    /// Arranges something for the `nth` point of a kind from now on, beside the plan.
    pub fn snag(&self, kind: &str, nth: u64, snag: Snag) {
        self.state.lock().snag = Some((kind.to_owned(), nth, snag));
    }

    /// The control plane dies where it passes this point first.
    pub fn kill_in(&self, point: Point) {
        self.state.lock().target = Some(point);
    }

    /// The point of [`Self::kill_in`], once it died there.
    pub fn struck(&self) -> Option<Point> {
        self.state.lock().struck.clone()
    }

    /// From now on each point is noted with its place.
    pub fn follow(&self) {
        let mut state = self.state.lock();
        state.trail = Some(Vec::new());
        state.passed = 0;
    }

    /// The points since [`Self::follow`], in order: the first is the one of `Plan::KillAt(1)`.
    pub fn trail(&self) -> Vec<Point> {
        self.state.lock().trail.clone().unwrap_or_default()
    }

    /// Whether the plan is still to come.
    pub fn is_planned(&self) -> bool {
        self.state.lock().plan != Plan::Run
    }

    /// Lets calls go wrong from now on.
    pub fn faults(&self, faults: Faults) {
        self.state.lock().faults = faults;
    }

    /// Calls that went wrong so far.
    pub fn faulted(&self) -> u64 {
        self.state.lock().faulted
    }

    /// Points passed since the last plan was made.
    pub fn passed(&self) -> u64 {
        self.state.lock().passed
    }

    /// Points passed in all, by kind.
    pub fn kinds(&self) -> BTreeMap<String, u64> {
        self.state.lock().kinds.clone()
    }

    /// From now on only this life's calls are carried out.
    pub(crate) fn begin(&self, life: u64) {
        let mut state = self.state.lock();
        state.alive = life;
        state.killed_at = None;
        state.paused = false;
    }

    /// Lets a life go on beside the one that replaces it.
    pub(crate) fn haunt(&self, life: u64) {
        self.state.lock().ghost = Some(life);
    }

    /// Ends the life that is under way.
    pub(crate) fn end(&self) {
        self.state.lock().alive = 0;
    }

    /// Passes one point where something changes.
    pub(crate) async fn pass(&self, life: u64, kind: &str) {
        let next = self.state.lock().step(life, kind);
        self.obey(next).await;
    }

    async fn obey(&self, next: Next) {
        match next {
            Next::Go => {}
            Next::Gone => std::future::pending().await,
            Next::Die => {
                self.changed.notify_one();
                std::future::pending().await
            }
            Next::Wait => {
                self.changed.notify_one();
                self.resumed.notified().await;
            }
        }
    }

    /// A call of the outside: points before and after it, and what may go wrong with it.
    pub(crate) async fn call<T>(&self, life: u64, kind: &str, act: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        self.pass(life, kind).await;
        let fate = self.fate();
        let lost = || Problem::unavailable("sim-fault", format!("{kind}: the other side does not answer"));
        match fate {
            Fate::Refused => return Err(lost()),
            Fate::Late => self.clock.advance(Duration::from_millis(700)),
            Fate::Good | Fate::AnswerLost => {}
        }
        let done = act();
        self.pass(life, &format!("{kind}, done")).await;
        if fate == Fate::AnswerLost { done.and(Err(lost())) } else { done }
    }

    /// A question to the outside: it may go unanswered.
    pub(crate) async fn ask<T>(&self, life: u64, kind: &str, act: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let next = self.state.lock().question(life, kind);
        self.obey(next).await;
        match self.fate() {
            Fate::Refused | Fate::AnswerLost => {
                Err(Problem::unavailable("sim-fault", format!("{kind}: the other side does not answer")))
            }
            Fate::Good | Fate::Late => act(),
        }
    }

    fn fate(&self) -> Fate {
        let mut state = self.state.lock();
        let Faults { refused, answer_lost, late } = state.faults;
        if (refused, answer_lost, late) == (0, 0, 0) {
            return Fate::Good;
        }
        let at = state.chance.below(1000);
        let fate = match at {
            _ if at < refused => Fate::Refused,
            _ if at < refused + answer_lost => Fate::AnswerLost,
            _ if at < refused + answer_lost + late => Fate::Late,
            _ => Fate::Good,
        };
        state.faulted += u64::from(fate != Fate::Good);
        fate
    }

    /// Waits until the plan is carried out.
    pub(crate) async fn signal(&self) -> Signal {
        loop {
            {
                let mut state = self.state.lock();
                if let Some(kind) = state.killed_at.take() {
                    return Signal::Killed(kind);
                }
                if std::mem::take(&mut state.paused) {
                    return Signal::Paused;
                }
            }
            self.changed.notified().await;
        }
    }

    /// Lets who was stopped go on.
    pub(crate) fn resume(&self) {
        self.resumed.notify_one();
    }
}

/// The commits of one life.
pub(crate) struct Commits {
    pub gate: Arc<Gate>,
    pub life: u64,
}

#[async_trait]
impl CommitHook for Commits {
    async fn before_commit(&self) {
        self.gate.pass(self.life, "commit").await;
    }

    async fn after_commit(&self) {
        self.gate.pass(self.life, "commit, done").await;
    }
}
