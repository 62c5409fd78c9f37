use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use base::{Problem, Result, Time};
use parking_lot::Mutex;
use ports::{AppliedSnapshot, GatewayStatus, ListenerStatus, Snapshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Limits;
use crate::keep::{Keep, Loaded};
use crate::log::AccessLog;
use crate::table::{Builder, Instance, Registry, Table, validate};

/// What all workers and the administration share.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) table: ArcSwap<Table>,
    pub(crate) counters: Registry,
    pub(crate) log: AccessLog,
    pub(crate) limits: Limits,
    pub(crate) trusted: Vec<IpAddr>,
    pub(crate) connections: AtomicU64,
    /// Set when the process is about to end: no snapshot is taken, answers close their connections.
    pub(crate) is_ending: AtomicBool,
    /// Cancelled when no new connection is taken any more and those that are open shall end.
    pub(crate) drain: CancellationToken,
    /// Connections and tunnels that are open.
    pub(crate) tasks: TaskTracker,
    pub(crate) keep: Keep,
    builder: Mutex<Builder>,
    /// Snapshots are taken one after the other.
    applying: tokio::sync::Mutex<()>,
    degraded: Mutex<Option<String>>,
    listeners: Mutex<Vec<SocketAddr>>,
    boot: Instant,
    started: Time,
}

/// The wall clock.
#[expect(clippy::disallowed_methods, reason = "a process of its own, without simulated time; only for records")]
pub(crate) fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

impl Core {
    /// `shards` is the number of workers plus one for the administration.
    pub(crate) fn new(limits: Limits, trusted: Vec<IpAddr>, shards: usize, log: AccessLog, keep: Keep) -> Self {
        Self {
            table: ArcSwap::default(),
            counters: Registry::new(shards),
            log,
            limits,
            trusted,
            connections: AtomicU64::new(0),
            is_ending: AtomicBool::new(false),
            drain: CancellationToken::new(),
            tasks: TaskTracker::new(),
            keep,
            builder: Mutex::new(Builder::new(shards)),
            applying: tokio::sync::Mutex::new(()),
            degraded: Mutex::new(None),
            listeners: Mutex::default(),
            boot: Instant::now(),
            started: now(),
        }
    }

    /// Milliseconds of the gateway's own clock.
    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.boot.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(crate) fn listens_on(&self, addresses: Vec<SocketAddr>) {
        *self.listeners.lock() = addresses;
    }

    /// Serves what is on disk, unless something as new is served already.
    pub(crate) fn load(&self) {
        let Loaded { snapshot, degraded } = self.keep.load();
        if let Some(snapshot) = snapshot.filter(|s| s.generation > self.table.load().generation()) {
            self.serve(Arc::new(snapshot));
        }
        if let Some(why) = &degraded {
            tracing::error!(reason = %why, "degraded");
        }
        *self.degraded.lock() = degraded;
    }

    /// Validates, keeps and serves a snapshot.
    ///
    /// # Errors
    /// `bad-snapshot`, `newer-snapshot`, `stale-generation`, `snapshot-not-kept`, `draining`.
    pub(crate) async fn apply(self: &Arc<Self>, snapshot: Snapshot) -> Result<AppliedSnapshot> {
        let _one = self.applying.lock().await;
        validate(&snapshot)?;
        self.is_not_a_loop(&snapshot)?;
        if self.is_ending.load(Ordering::SeqCst) {
            return Err(Problem::unavailable("draining", "this gateway is about to end and takes no snapshot"));
        }
        let served = self.table.load_full();
        if is_repetition(&served, &snapshot)? {
            return Ok(AppliedSnapshot { generation: snapshot.generation });
        }
        let snapshot = Arc::new(snapshot);
        let (this, kept) = (Arc::clone(self), Arc::clone(&snapshot));
        let stored = tokio::task::spawn_blocking(move || this.keep.store(&kept)).await;
        if let Err(problem) = stored.unwrap_or_else(|e| Err(Problem::internal("snapshot-not-kept", e))) {
            *self.degraded.lock() = Some(problem.to_string());
            return Err(problem);
        }
        let generation = snapshot.generation;
        self.serve(snapshot);
        *self.degraded.lock() = None;
        Ok(AppliedSnapshot { generation })
    }

    /// An instance with the address of a listener would send the gateway's requests to itself.
    fn is_not_a_loop(&self, snapshot: &Snapshot) -> Result<()> {
        let listeners = self.listeners.lock();
        let hits = |at: &SocketAddr| {
            listeners.iter().any(|l| l.port() == at.port() && (l.ip() == at.ip() || l.ip().is_unspecified()))
        };
        let mut instances = snapshot.routes.iter().flat_map(|r| &r.backends).flat_map(|b| &b.instances);
        match instances.find(|i| hits(&i.address)) {
            Some(i) => {
                let text = format!("the address {} of {} is this gateway's own", i.address, i.id);
                Err(Problem::unprocessable("bad-snapshot", text))
            }
            None => Ok(()),
        }
    }

    fn serve(&self, snapshot: Arc<Snapshot>) {
        let mut builder = self.builder.lock();
        let table = Arc::new(builder.build(snapshot, &self.counters));
        self.table.store(Arc::clone(&table));
        builder.settle(&table);
        self.counters.trim();
    }

    /// Every instance that is served or still has requests.
    pub(crate) fn instances(&self) -> Vec<Arc<Instance>> {
        self.builder.lock().instances()
    }

    pub(crate) fn status(&self) -> GatewayStatus {
        let table = self.table.load();
        let mut in_flight: Vec<_> =
            self.instances().iter().map(|i| (i.id, i.in_flight())).filter(|(_, n)| *n > 0).collect();
        in_flight.sort();
        GatewayStatus {
            generation: table.generation(),
            started: self.started,
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            listeners: self.listeners.lock().iter().map(|address| ListenerStatus { address: *address }).collect(),
            degraded: self.degraded.lock().clone().or_else(|| self.log.trouble()),
            connections: self.connections.load(Ordering::Relaxed),
            routes: table.route_count,
            in_flight,
        }
    }
}

/// Whether exactly this is served already.
fn is_repetition(served: &Table, snapshot: &Snapshot) -> Result<bool> {
    let current = served.generation();
    let stale = |text: String| Problem::conflict("stale-generation", text).hint("read the status and send a newer one");
    if snapshot.generation < current {
        return Err(stale(format!("generation {} is older than {current}, which is served", snapshot.generation)));
    }
    if snapshot.generation > current {
        return Ok(false);
    }
    if served.snapshot.as_deref() == Some(snapshot) {
        return Ok(true);
    }
    Err(stale(format!("generation {current} is served with other content")))
}
