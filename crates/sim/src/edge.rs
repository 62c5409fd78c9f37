//! A faked gateway: it keeps its last snapshot, also while nobody controls it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::{Generation, HostName, InstanceId, Problem, Result, RolloutId, ServiceName, Time};
use parking_lot::Mutex;
use ports::{
    AppliedSnapshot, BackendCounters, Clock, Gateway, GatewayStatus, Instance, ProbeAnswer, Route, RouteName,
    SNAPSHOT_FORMAT, Snapshot, SnapshotChange, other_base,
};

use crate::{Gate, Machine, VirtualClock};

/// A request that went through the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeRecord {
    /// To which rollout's instances.
    pub rollout: RolloutId,
    /// Whether an instance answered.
    pub answered: bool,
    /// Its status.
    pub status: u16,
    /// When.
    pub at: Time,
}

/// The gateway. Shared by all lives of the control plane.
pub struct Edge {
    clock: Arc<VirtualClock>,
    machine: Arc<Machine>,
    state: Mutex<State>,
}

#[derive(Clone)]
struct State {
    history: Vec<Snapshot>,
    /// Generations taken since this gateway process started.
    taken: Vec<Generation>,
    started: Time,
    away: bool,
    obeys_stale: bool,
    /// When an instance last had traffic.
    left: BTreeMap<InstanceId, Time>,
    probes: Vec<ProbeRecord>,
}

impl Edge {
    /// A gateway without a snapshot.
    pub fn new(clock: Arc<VirtualClock>, machine: Arc<Machine>) -> Self {
        let started = clock.now();
        let state = State {
            history: Vec::new(),
            taken: Vec::new(),
            started,
            away: false,
            obeys_stale: false,
            left: BTreeMap::new(),
            probes: Vec::new(),
        };
        Self { clock, machine, state: Mutex::new(state) }
    }

    pub(crate) fn copy(&self, clock: Arc<VirtualClock>, machine: Arc<Machine>) -> Self {
        Self { clock, machine, state: Mutex::new(self.state.lock().clone()) }
    }

    /// Nobody answers on its control socket; traffic goes on.
    pub fn away(&self, away: bool) {
        self.state.lock().away = away;
    }

    /// Puts a fault in: it takes snapshots of older generations.
    pub fn obey_stale(&self) {
        self.state.lock().obeys_stale = true;
    }

    /// It starts again with a snapshot that is this many older than its last.
    pub fn restart_with_older(&self, back: usize) {
        let mut state = self.state.lock();
        let keep = state.history.len().saturating_sub(back);
        state.history.truncate(keep);
        state.taken.clear();
        state.started = self.clock.now();
    }

    /// What it serves.
    pub fn snapshot(&self) -> Option<Snapshot> {
        self.state.lock().history.last().cloned()
    }

    /// The generations that it has taken since it started, in order.
    pub fn taken(&self) -> Vec<Generation> {
        self.state.lock().taken.clone()
    }

    /// The requests of the control plane that it carried.
    pub fn probes(&self) -> Vec<ProbeRecord> {
        self.state.lock().probes.clone()
    }

    fn take(&self, snapshot: &Snapshot) -> Result<AppliedSnapshot> {
        let now = self.clock.now();
        let mut state = self.state.lock();
        validate(snapshot)?;
        let newest = state.history.last().map_or(Generation(0), |last| last.generation);
        if snapshot.generation < newest && !state.obeys_stale {
            return Err(Problem::conflict(
                "stale-generation",
                format!("{} is older than {newest}", snapshot.generation),
            ));
        }
        let with_traffic = |snapshot: Option<&Snapshot>| -> BTreeSet<InstanceId> {
            let routes = snapshot.map_or(&[][..], |snapshot| &snapshot.routes);
            let backends = routes.iter().flat_map(|route| &route.backends).filter(|backend| backend.weight > 0);
            backends.flat_map(|backend| &backend.instances).map(|instance| instance.id).collect()
        };
        let (before, after) = (with_traffic(state.history.last()), with_traffic(Some(snapshot)));
        for gone in before.difference(&after) {
            state.left.insert(*gone, now);
        }
        state.history.push(snapshot.clone());
        state.taken.push(snapshot.generation);
        Ok(AppliedSnapshot { generation: snapshot.generation })
    }

    /// As the real one: only from what it serves, under the rules of the whole.
    fn take_change(&self, change: &SnapshotChange) -> Result<AppliedSnapshot> {
        let last = self.snapshot();
        let Some(last) = last.filter(|last| last.generation == change.base && change.generation > change.base) else {
            return Err(other_base(change.base, "another generation is served"));
        };
        let mut names: BTreeSet<RouteName> = change.routes.iter().map(Route::name).collect();
        names.extend(change.gone.iter().cloned());
        let staying = last.routes.into_iter().filter(|route| !names.contains(&route.name()));
        let mut routes: Vec<Route> = staying.chain(change.routes.iter().cloned()).collect();
        routes.sort_by_key(Route::name);
        self.take(&Snapshot { format: change.format, generation: change.generation, routes })
    }

    fn tell(&self) -> GatewayStatus {
        let now = self.clock.now();
        let state = self.state.lock();
        let under_way = |(id, left): (&InstanceId, &Time)| {
            let busy = self.machine.busy(*id)?;
            (now.since(*left) < busy).then_some((*id, 1))
        };
        GatewayStatus {
            generation: state.history.last().map_or(Generation(0), |last| last.generation),
            started: state.started,
            pid: 1,
            version: "sim".to_owned(),
            listeners: Vec::new(),
            degraded: None,
            connections: 0,
            refused: 0,
            routes: state.history.last().map_or(0, |last| last.routes.len() as u64),
            in_flight: state.left.iter().filter_map(under_way).collect(),
        }
    }

    fn ask(&self, host: &HostName, rollout: RolloutId, at: Time) -> Result<ProbeAnswer> {
        let mut state = self.state.lock();
        let routes = state.history.last().map_or(&[][..], |last| &last.routes);
        let no_backend = || Problem::not_found("no-backend", format!("{host} has no backend {rollout}"));
        let route: &Route = routes.iter().find(|route| route.hosts.contains(host)).ok_or_else(no_backend)?;
        let backend = route.backends.iter().find(|backend| backend.rollout == rollout).ok_or_else(no_backend)?;
        let release = backend.release;
        let reached = |one: &Instance| self.machine.answer(one.id).map(|status| (one.id, status));
        let found = backend.instances.iter().find_map(reached);
        let nobody = backend.instances.first().map(|one| one.id);
        let (instance, status, from_gateway) = match (found, nobody) {
            (Some((id, status)), _) => (id, status, false),
            (None, Some(id)) => (id, 502, true),
            (None, None) => return Err(Problem::unavailable("no-instance", format!("nobody answers for {host}"))),
        };
        state.probes.push(ProbeRecord { rollout, answered: !from_gateway, status, at });
        Ok(ProbeAnswer { status, release, instance, took_us: 500, from_gateway })
    }

    fn reachable(&self) -> Result<()> {
        match self.state.lock().away {
            true => Err(Problem::unavailable("gateway-away", "the gateway's control socket does not answer")),
            false => Ok(()),
        }
    }
}

/// What every gateway refuses: a format it does not know, a host in two routes, a rollout twice
/// behind one route, an address of two instances.
fn validate(snapshot: &Snapshot) -> Result<()> {
    let bad = |what: String| Err(Problem::unprocessable("bad-snapshot", what));
    if snapshot.format != SNAPSHOT_FORMAT || snapshot.generation.0 < 1 {
        return bad(format!("format {} generation {}", snapshot.format, snapshot.generation));
    }
    let (mut hosts, mut addresses) = (BTreeSet::new(), BTreeMap::new());
    for route in &snapshot.routes {
        if let Some(host) = route.hosts.iter().find(|host| !hosts.insert((*host).clone())) {
            return bad(format!("{host} is in two routes"));
        }
        let mut rollouts = BTreeSet::new();
        for backend in &route.backends {
            if !rollouts.insert(backend.rollout) {
                return bad(format!("{} appears twice", backend.rollout));
            }
            for one in &backend.instances {
                if addresses.insert(&one.address, one.id).is_some_and(|other| other != one.id) {
                    return bad(format!("{} belongs to two instances", one.address));
                }
            }
        }
    }
    Ok(())
}

/// The gateway as one life of the control plane reaches it.
pub struct EdgeHandle {
    /// The gateway.
    pub edge: Arc<Edge>,
    /// What every call passes.
    pub gate: Arc<Gate>,
    /// The clock of that life.
    pub clock: Arc<dyn Clock>,
    /// Which life.
    pub life: u64,
}

#[async_trait]
impl Gateway for EdgeHandle {
    async fn apply(&self, snapshot: &Snapshot) -> Result<AppliedSnapshot> {
        self.gate
            .call(self.life, "gateway.apply", || self.edge.reachable().and_then(|()| self.edge.take(snapshot)))
            .await
    }

    async fn change(&self, change: &SnapshotChange) -> Result<AppliedSnapshot> {
        self.gate
            .call(self.life, "gateway.change", || self.edge.reachable().and_then(|()| self.edge.take_change(change)))
            .await
    }

    async fn status(&self) -> Result<GatewayStatus> {
        self.gate.ask(self.life, "gateway.status", || self.edge.reachable().map(|()| self.edge.tell())).await
    }

    async fn probe(&self, host: &HostName, rollout: RolloutId, _: &str, _: Duration) -> Result<ProbeAnswer> {
        let ask = || self.edge.reachable().and_then(|()| self.edge.ask(host, rollout, self.clock.now()));
        self.gate.ask(self.life, "gateway.probe", ask).await
    }

    async fn counters(&self, _: Option<&ServiceName>) -> Result<Vec<BackendCounters>> {
        self.gate.ask(self.life, "gateway.counters", || Ok(Vec::new())).await
    }
}
