//! A world: one control plane, life after life, over one database and one outside.

mod call;
mod life;
mod settle;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::{EnvironmentName, Result, RolloutId, Secret, ServiceName, Time};
use kernel::{Authority, Capability, Config};
use parking_lot::Mutex;
use ports::{Clock, Random, Vault};
use store::{Migration, Store, StoredFact};
use tempfile::TempDir;

use crate::check::Violation;
use crate::{Ack, Chance, Decided, Depot, Edge, Gate, Leak, Machine, ObjectMap, Sight, VirtualClock};

pub use call::Request;
use life::Life;
pub use settle::Settled;

/// What is installed in a world: the capabilities, and what a promise has to know of their tables.
#[async_trait]
pub trait Installation: Send + Sync + 'static {
    /// The tables of all capabilities.
    fn migrations(&self) -> Vec<Migration>;
    /// Opens settings.
    fn vault(&self, store: &Store, random: &Arc<dyn Random>) -> Arc<dyn Vault>;
    /// Decides about permissions.
    fn authority(&self) -> Arc<dyn Authority>;
    /// The capabilities, made anew for each life.
    fn capabilities(&self, store: &Store, random: &Arc<dyn Random>) -> Vec<Capability>;
    /// Reconcilers that run seldom; the others run in each round.
    fn seldom(&self) -> &'static [&'static str];
    /// A one-time code for the first admin, for the endpoint `signIn`.
    async fn first_code(&self, ctx: &kernel::Ctx) -> Result<String>;
    /// The instances that were decided upon.
    async fn decided(&self, store: &Store) -> Result<Vec<Decided>>;
    /// What each place runs.
    async fn current(&self, store: &Store) -> Result<Vec<(ServiceName, EnvironmentName, RolloutId)>>;
    /// Services that were removed.
    async fn removed(&self, store: &Store) -> Result<BTreeSet<ServiceName>>;
}

/// How something that the control plane was doing ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended<T> {
    /// With this.
    Done(T),
    /// The control plane died at this point.
    Killed(String),
}

/// The clock of a new world shows this: 2026-01-01T00:00:00Z.
const BEGINNING: Time = Time::from_micros(1_767_225_600_000_000);

/// A control plane and everything around it.
pub struct World {
    /// Its seed.
    pub seed: u64,
    /// Time.
    pub clock: Arc<VirtualClock>,
    /// Chance of the world itself: orders, delays, who acts when.
    pub chance: Chance,
    /// What runs instances.
    pub machine: Arc<Machine>,
    /// What carries traffic.
    pub edge: Arc<Edge>,
    /// What keeps sources and artifacts.
    pub objects: Arc<ObjectMap>,
    /// What keeps git repositories.
    pub depot: Arc<Depot>,
    /// Where to interfere.
    pub gate: Arc<Gate>,
    /// What is broken so far.
    pub violations: Vec<Violation>,
    /// What a stranger was shown.
    pub leaks: Vec<Leak>,
    /// Deaths of the control plane, each with its point.
    pub deaths: Vec<String>,
    /// Whether each run of a reconciler looks at everything; otherwise only the first of a life does,
    /// and all others look where they were woken for.
    pub sweeps: bool,
    /// Done while the control plane stands at a point of [`crate::Plan::PauseAt`].
    pub interrupts: Vec<Request>,
    pub(crate) installation: Arc<dyn Installation>,
    config: Config,
    /// Chance of the control plane: ids, secrets, jitter.
    pub(crate) random: Arc<Chance>,
    pub(crate) dir: TempDir,
    life: Option<Life>,
    lives: u64,
    pub(crate) token: Option<Secret<String>>,
    pub(crate) requests: u64,
    pub(crate) acks: Vec<Ack>,
    calm_since: Time,
    /// What the last check of the promises looked at.
    checked: settle::Marks,
    facts: Mutex<Vec<StoredFact>>,
}

impl World {
    /// A new installation, running, with its first admin signed in.
    pub async fn new(installation: Arc<dyn Installation>, seed: u64) -> Self {
        let mut world = Self::empty(installation, seed);
        world.begin().await;
        world
    }

    /// An installation that was never started.
    pub fn empty(installation: Arc<dyn Installation>, seed: u64) -> Self {
        let clock = Arc::new(VirtualClock::at(BEGINNING));
        let machine = Arc::new(Machine::new(Arc::clone(&clock)));
        let edge = Arc::new(Edge::new(Arc::clone(&clock), Arc::clone(&machine)));
        Self::around(installation, seed, clock, machine, edge)
    }

    /// The first start, and the first admin signs in.
    pub async fn begin(&mut self) {
        self.boot().await;
        self.sign_in().await;
    }

    pub(crate) fn around(
        installation: Arc<dyn Installation>,
        seed: u64,
        clock: Arc<VirtualClock>,
        machine: Arc<Machine>,
        edge: Arc<Edge>,
    ) -> Self {
        let dir = directory();
        let mut config = Config::defaults(dir.path());
        config.build.disk_reserve = base::Bytes(0);
        Self {
            seed,
            chance: Chance::seeded(seed),
            random: Arc::new(Chance::seeded(seed.wrapping_mul(0x9e37_79b9).wrapping_add(1))),
            gate: Arc::new(Gate::new(Arc::clone(&clock), seed)),
            machine,
            edge,
            objects: Arc::default(),
            depot: Arc::default(),
            violations: Vec::new(),
            leaks: Vec::new(),
            deaths: Vec::new(),
            interrupts: Vec::new(),
            sweeps: seed.is_multiple_of(2),
            installation,
            config,
            dir,
            life: None,
            lives: 0,
            token: None,
            requests: 0,
            acks: Vec::new(),
            calm_since: clock.now(),
            checked: settle::Marks::default(),
            facts: Mutex::new(Vec::new()),
            clock,
        }
    }

    /// Actions of people that were acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        self.acks.len()
    }

    /// Time passes.
    pub fn pass(&self, span: Duration) {
        self.clock.advance(span);
    }

    /// The time as the control plane has it.
    pub fn now(&self) -> Time {
        self.life.as_ref().map_or_else(|| self.clock.now(), |life| life.platform.ports().clock.now())
    }

    /// Something has interfered just now: what the platform promises in calm counts from here.
    pub fn disturbed(&mut self) {
        self.calm_since = self.now();
    }

    /// Everything that the promises look at; `deep` checks the ledger's chain too.
    pub async fn look(&mut self, deep: bool) -> Result<Sight> {
        let store = self.store().clone();
        let facts = self.ledger(&store).await?;
        let chain = match deep {
            true => store.verify_facts().await?.first_bad.map(|(seq, what)| format!("fact {seq}: {what}")),
            false => None,
        };
        let releases = facts.iter().filter(|fact| fact.kind == <facts::ReleaseMade as facts::Fact>::KIND);
        let releases = releases.filter_map(|fact| fact.subject.parse().ok());
        let served = releases.filter(|release| self.machine.has_served(*release)).collect();
        Ok(Sight {
            now: self.now(),
            calm_since: self.calm_since,
            served,
            facts,
            chain,
            instances: self.machine.list(),
            calls: self.machine.calls(),
            snapshot: self.edge.snapshot(),
            taken: self.edge.taken(),
            probes: self.edge.probes(),
            decided: self.installation.decided(&store).await?,
            current: self.installation.current(&store).await?,
            acks: self.acks.clone(),
            leaks: self.leaks.clone(),
            removed: self.installation.removed(&store).await?,
        })
    }

    /// The ledger; only what is new is read.
    async fn ledger(&self, store: &Store) -> Result<Vec<StoredFact>> {
        let after = self.facts.lock().last().map(|fact| fact.seq).unwrap_or_default();
        let mut read = store.read().await?;
        let new = store::facts_after(&mut read, after, &[], None, 50_000).await?;
        drop(read);
        let mut facts = self.facts.lock();
        facts.extend(new);
        Ok(facts.clone())
    }

    /// Forgets what was read of the ledger: the database was replaced.
    pub(crate) fn reread(&self) {
        self.facts.lock().clear();
    }
}

/// Where nothing has to reach a disk, if there is such a place.
fn directory() -> TempDir {
    tempfile::Builder::new()
        .prefix("orlop-sim-")
        .tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .expect("there is a place for temporary files")
}
