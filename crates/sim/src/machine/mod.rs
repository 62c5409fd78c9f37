//! A faked machine: instances that live on whatever becomes of the control plane. What they do is
//! a function of time; what was asked of the machine is kept for the promises.

mod handle;
mod life;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base::{Generation, InstanceId, Problem, ReleaseId, Result, Time};
use parking_lot::Mutex;
use ports::{Address, Clock, InstanceSeen, InstanceSpec, InstanceState, LogLine};

use crate::{Program, VirtualClock};

pub use handle::MachineHandle;
use life::Life;

/// A fault that is put in to see whether the promises find it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// Carries out orders of an older generation.
    ObeysStale,
    /// Starts a second copy beside each instance.
    RunsTwice,
    /// Tasks that are started end neither by themselves nor at their deadline.
    Hangs,
    /// Ends every instance of the same service when it is told to end one.
    StopsByLabel,
    /// Says that it ends an instance, and lets it run.
    LetsRun,
}

/// What was asked of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// To have an instance.
    Ensure,
    /// To end one.
    Stop,
    /// To forget one.
    Remove,
}

/// One order that the machine carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// What.
    pub verb: Verb,
    /// About which instance.
    pub id: InstanceId,
    /// With which generation.
    pub generation: Generation,
    /// When.
    pub at: Time,
}

/// The machine. Shared by all lives of the control plane.
pub struct Machine {
    clock: Arc<VirtualClock>,
    state: Mutex<State>,
}

#[derive(Clone, Default)]
struct State {
    instances: BTreeMap<InstanceId, Life>,
    /// The newest generation seen of each instance, forgotten ones included.
    fences: BTreeMap<InstanceId, Generation>,
    removed: BTreeSet<InstanceId>,
    /// Releases of which an instance was ready once.
    served: BTreeSet<ReleaseId>,
    calls: Vec<Call>,
    bug: Option<Bug>,
    /// What was last told as news of each instance.
    told: BTreeMap<InstanceId, InstanceSeen>,
    /// Real listening sockets, for suites that connect.
    listeners: Option<BTreeMap<InstanceId, Arc<TcpListener>>>,
}

impl Machine {
    /// An empty machine.
    pub fn new(clock: Arc<VirtualClock>) -> Self {
        Self { clock, state: Mutex::new(State::default()) }
    }

    /// The same machine with another clock: a world that goes on from a photo.
    pub(crate) fn copy(&self, clock: Arc<VirtualClock>) -> Self {
        Self { clock, state: Mutex::new(self.state.lock().clone()) }
    }

    /// From now on instances with a port really listen on it.
    pub fn listen(&self) {
        self.state.lock().listeners = Some(BTreeMap::new());
    }

    /// Puts a fault in.
    pub fn plant(&self, bug: Bug) {
        self.state.lock().bug = Some(bug);
    }

    /// Takes the fault out again.
    pub fn mend(&self) {
        self.state.lock().bug = None;
    }

    /// The machine is switched off and on: everything that ran is lost.
    pub fn reboot(&self) {
        let now = self.clock.now();
        self.state.lock().instances.values_mut().for_each(|life| life.lost = life.lost.or(Some(now)));
    }

    /// Everything that is known now, ended or not.
    pub fn list(&self) -> Vec<InstanceSeen> {
        let now = self.clock.now();
        let mut state = self.state.lock();
        let seen: Vec<InstanceSeen> = state.instances.values().map(|life| life.seen(now)).collect();
        note_served(&mut state, now);
        seen
    }

    /// The instances that look otherwise than when this was last asked, or are gone.
    pub(crate) fn news(&self) -> BTreeSet<InstanceId> {
        let now = self.list();
        let mut state = self.state.lock();
        let now: BTreeMap<InstanceId, InstanceSeen> = now.into_iter().map(|seen| (seen.id, seen)).collect();
        let differs = |id: &&InstanceId| now.get(*id) != state.told.get(*id);
        let changed = now.keys().chain(state.told.keys()).filter(differs).copied().collect();
        state.told = now;
        changed
    }

    /// The orders so far.
    pub fn calls(&self) -> Vec<Call> {
        self.state.lock().calls.clone()
    }

    /// Whether any instance of a release was ever ready.
    pub fn has_served(&self, release: ReleaseId) -> bool {
        let now = self.clock.now();
        let mut state = self.state.lock();
        note_served(&mut state, now);
        state.served.contains(&release)
    }

    /// What an instance answers to a request now, if it does.
    pub(crate) fn answer(&self, id: InstanceId) -> Option<u16> {
        let now = self.clock.now();
        let state = self.state.lock();
        let life = state.instances.get(&id)?;
        (life.seen(now).state == InstanceState::Ready).then_some(life.program.answers)
    }

    /// How long requests under way take, of an instance that runs.
    pub(crate) fn busy(&self, id: InstanceId) -> Option<Duration> {
        let now = self.clock.now();
        let state = self.state.lock();
        let life = state.instances.get(&id)?;
        life.seen(now).state.is_running().then_some(life.program.busy)
    }

    fn ensure(&self, spec: &InstanceSpec, generation: Generation) -> Result<InstanceSeen> {
        let now = self.clock.now();
        let mut state = self.state.lock();
        state.fence(spec.id, generation)?;
        if state.removed.contains(&spec.id) {
            return Err(stale(spec.id, generation));
        }
        state.calls.push(Call { verb: Verb::Ensure, id: spec.id, generation, at: now });
        if state.bug == Some(Bug::RunsTwice) && !state.instances.contains_key(&spec.id) {
            let twin = InstanceId::new(now, [state.calls.len() as u8; 10]);
            let life = state.start(&InstanceSpec { id: twin, ..spec.clone() }, now);
            state.instances.insert(twin, life);
        }
        if !state.instances.contains_key(&spec.id) {
            let life = state.start(spec, now);
            state.instances.insert(spec.id, life);
        }
        let life = state.instances.get_mut(&spec.id).ok_or_else(|| unknown(spec.id))?;
        life.generation = life.generation.max(generation);
        Ok(life.seen(now))
    }

    fn stop(&self, id: InstanceId, generation: Generation, grace: Duration) -> Result<()> {
        let now = self.clock.now();
        let mut state = self.state.lock();
        if !state.instances.contains_key(&id) {
            return Ok(());
        }
        state.fence(id, generation)?;
        if state.bug == Some(Bug::LetsRun) {
            return Ok(());
        }
        state.calls.push(Call { verb: Verb::Stop, id, generation, at: now });
        let by_label = state.bug == Some(Bug::StopsByLabel);
        let service = state.instances.get(&id).map(|life| life.spec.service.clone());
        for (other, life) in &mut state.instances {
            if *other == id || (by_label && Some(&life.spec.service) == service.as_ref()) {
                life.generation = life.generation.max(generation);
                life.told(now, grace);
            }
        }
        Ok(())
    }

    fn remove(&self, id: InstanceId, generation: Generation) -> Result<()> {
        let now = self.clock.now();
        let mut state = self.state.lock();
        let Some(life) = state.instances.get(&id) else { return Ok(()) };
        let runs = life.seen(now).state.is_running();
        state.fence(id, generation)?;
        if runs {
            return Err(Problem::conflict("instance-running", format!("instance {id} runs")));
        }
        note_served(&mut state, now);
        state.calls.push(Call { verb: Verb::Remove, id, generation, at: now });
        state.instances.remove(&id);
        state.removed.insert(id);
        if let Some(listeners) = &mut state.listeners {
            listeners.remove(&id);
        }
        Ok(())
    }

    fn lines(&self, id: InstanceId) -> Result<Vec<LogLine>> {
        let now = self.clock.now();
        let state = self.state.lock();
        state.instances.get(&id).map(|life| life.lines(now)).ok_or_else(|| unknown(id))
    }

    fn spec_of(&self, id: InstanceId) -> Result<InstanceSpec> {
        self.state.lock().instances.get(&id).map(|life| life.spec.clone()).ok_or_else(|| unknown(id))
    }
}

impl State {
    /// Refuses an order that is older than what was seen of the instance.
    fn fence(&mut self, id: InstanceId, generation: Generation) -> Result<()> {
        let newest = self.fences.get(&id).copied().unwrap_or_default();
        if generation < newest && self.bug != Some(Bug::ObeysStale) {
            return Err(stale(id, generation));
        }
        self.fences.insert(id, newest.max(generation));
        Ok(())
    }

    fn start(&mut self, spec: &InstanceSpec, now: Time) -> Life {
        let address = spec.port.then(|| self.address(spec.id));
        let (mut spec, mut program) = (spec.clone(), Program::parse(&spec.command));
        if self.bug == Some(Bug::Hangs) && spec.purpose == ports::Purpose::Task {
            (spec.deadline, program.end) = (None, None);
        }
        Life::new(spec, program, address, now)
    }

    /// Each instance has a network of its own; where a suite connects, it has a port of the host,
    /// as on a machine that cannot give it one.
    fn address(&mut self, id: InstanceId) -> Address {
        if let Some(listeners) = &mut self.listeners
            && let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            && let Ok(address) = listener.local_addr()
        {
            listeners.insert(id, Arc::new(listener));
            return Address::Tcp(address);
        }
        Address::Socket(PathBuf::from(format!("/machine/instances/{id}/connect.sock")))
    }
}

fn note_served(state: &mut State, now: Time) {
    let ready = state.instances.values().filter(|life| life.was_ready(now)).filter_map(|life| life.spec.release);
    let ready: Vec<ReleaseId> = ready.collect();
    state.served.extend(ready);
}

fn stale(id: InstanceId, generation: Generation) -> Problem {
    Problem::conflict(
        "stale-generation",
        format!("generation {generation} of instance {id} is older than what was seen"),
    )
}

fn unknown(id: InstanceId) -> Problem {
    Problem::not_found("instance-not-found", format!("there is no instance {id}"))
}
