use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use base::{Problem, Result, Time};
use parking_lot::Mutex;
use ports::{Address, AppliedSnapshot, GatewayStatus, ListenerStatus, Route, Snapshot, SnapshotChange, other_base};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Limits;
use crate::crowd::Crowd;
use crate::keep::{Keep, Loaded};
use crate::log::AccessLog;
use crate::table::{Book, Builder, Instance, Registry, Table, validate};

/// What all workers and the administration share.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) table: ArcSwap<Table>,
    pub(crate) counters: Registry,
    pub(crate) log: AccessLog,
    pub(crate) limits: Limits,
    pub(crate) trusted: Vec<IpAddr>,
    pub(crate) connections: AtomicU64,
    pub(crate) crowd: Arc<Crowd>,
    /// Set when the process is about to end: no snapshot is taken, answers close their connections.
    pub(crate) is_ending: AtomicBool,
    /// Cancelled when no new connection is taken any more and those that are open shall end.
    pub(crate) drain: CancellationToken,
    /// Connections and tunnels that are open.
    pub(crate) tasks: TaskTracker,
    pub(crate) keep: Keep,
    builder: Mutex<Builder>,
    /// What is served, as it was given; snapshots and changes are taken one after the other.
    book: Arc<tokio::sync::Mutex<Book>>,
    degraded: Mutex<Option<String>>,
    /// Why what was last given is not served; the disk is fine.
    refused: Mutex<Option<String>>,
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
            crowd: Arc::new(Crowd::new(limits.connections_per_client, trusted.clone(), keep.dir())),
            trusted,
            connections: AtomicU64::new(0),
            is_ending: AtomicBool::new(false),
            drain: CancellationToken::new(),
            tasks: TaskTracker::new(),
            keep,
            builder: Mutex::new(Builder::new(shards)),
            book: Arc::default(),
            degraded: Mutex::new(None),
            refused: Mutex::new(None),
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
    pub(crate) async fn load(&self) {
        let mut book = self.book.lock().await;
        let Loaded { book: found, degraded } = self.keep.load();
        if let Some(found) = found.filter(|found| found.generation() > book.generation()) {
            *book = found;
            self.serve(&book);
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
        let mut book = Arc::clone(&self.book).lock_owned().await;
        validate(&snapshot)?;
        self.is_not_a_loop(&snapshot.routes)?;
        self.takes()?;
        let generation = snapshot.generation;
        // What is served already may not be what the disk has: a degraded gateway writes it anew.
        if is_repetition(&book, &snapshot)? && self.degraded.lock().is_none() {
            *self.refused.lock() = None;
            return Ok(AppliedSnapshot { generation });
        }
        let this = Arc::clone(self);
        let stored = tokio::task::spawn_blocking(move || {
            let new = Book::of(snapshot);
            this.keep.store(&new)?;
            // The lock goes with the work: who asked may have given up meanwhile.
            *book = new;
            this.serve(&book);
            Ok(())
        });
        self.kept(stored.await.unwrap_or_else(|e| Err(Problem::internal("snapshot-not-kept", e))))?;
        *self.degraded.lock() = None;
        *self.refused.lock() = None;
        Ok(AppliedSnapshot { generation })
    }

    /// Validates, keeps and serves a change of what is served.
    ///
    /// # Errors
    /// `other-base` where the whole is needed, and those of [`Core::apply`].
    pub(crate) async fn change(self: &Arc<Self>, change: SnapshotChange) -> Result<AppliedSnapshot> {
        let mut book = Arc::clone(&self.book).lock_owned().await;
        let generation = change.generation;
        if book.has_taken(&change) {
            return Ok(AppliedSnapshot { generation });
        }
        book.check(&change)?;
        self.is_not_a_loop(&change.routes)?;
        self.takes()?;
        if let Some(why) = &*self.degraded.lock() {
            return Err(other_base(change.base, &format!("this gateway is degraded: {why}")));
        }
        let this = Arc::clone(self);
        let kept = tokio::task::spawn_blocking(move || {
            let is_long = this.keep.append(&change)?;
            let old = book.take(&change);
            this.serve_change(&change, &old);
            Ok(is_long.then_some(book))
        });
        let long = self.kept(kept.await.unwrap_or_else(|e| Err(Problem::internal("snapshot-not-kept", e))))?;
        *self.refused.lock() = None;
        if let Some(book) = long {
            // Nobody waits for it but the next change.
            let this = Arc::clone(self);
            tokio::task::spawn_blocking(move || {
                if let Err(problem) = this.keep.store(&book) {
                    tracing::warn!(%problem, "the journal of changes stays long");
                }
            });
        }
        Ok(AppliedSnapshot { generation })
    }

    /// Something was given that cannot be served: the last good one is, and the status says so until
    /// a good one comes. What is merely late or begins elsewhere is no fault of what is served.
    pub(crate) fn refused(&self, problem: &Problem) {
        if problem.code == "bad-snapshot" || problem.code == "newer-snapshot" {
            let served = self.table.load().generation;
            tracing::error!(reason = %problem, %served, "a snapshot was refused");
            *self.refused.lock() = Some(format!("a snapshot was refused: {problem}; generation {served} is served on"));
        }
    }

    fn takes(&self) -> Result<()> {
        match self.is_ending.load(Ordering::SeqCst) {
            true => Err(Problem::unavailable("draining", "this gateway is about to end and takes no snapshot")),
            false => Ok(()),
        }
    }

    /// What cannot be kept is not served, and the status says so.
    fn kept<T>(&self, outcome: Result<T>) -> Result<T> {
        if let Err(problem) = &outcome {
            *self.degraded.lock() = Some(problem.to_string());
        }
        outcome
    }

    /// An instance with the address of a listener would send the gateway's requests to itself.
    fn is_not_a_loop(&self, routes: &[Route]) -> Result<()> {
        let listeners = self.listeners.lock();
        let hits = |at: &SocketAddr| {
            listeners.iter().any(|l| l.port() == at.port() && (l.ip() == at.ip() || l.ip().is_unspecified()))
        };
        let mut instances = routes.iter().flat_map(|r| &r.backends).flat_map(|b| &b.instances);
        match instances.find(|i| matches!(&i.address, Address::Tcp(at) if hits(at))) {
            Some(i) => {
                let text = format!("the address {} of {} is this gateway's own", i.address, i.id);
                Err(Problem::unprocessable("bad-snapshot", text))
            }
            None => Ok(()),
        }
    }

    fn serve(&self, book: &Book) {
        let mut builder = self.builder.lock();
        let table = Arc::new(builder.build(book, &self.counters));
        self.table.store(Arc::clone(&table));
        builder.settle(&table);
        self.counters.trim();
    }

    fn serve_change(&self, change: &SnapshotChange, old: &[Arc<Route>]) {
        let mut builder = self.builder.lock();
        let table = builder.change(&self.table.load(), change, old, &self.counters);
        self.table.store(Arc::new(table));
        builder.settle_change(change, old);
        self.counters.trim();
    }

    /// Every instance that is served or still has requests.
    pub(crate) fn instances(&self) -> Vec<Arc<Instance>> {
        self.builder.lock().instances()
    }

    fn why_degraded(&self) -> Option<String> {
        let kept = self.degraded.lock().clone();
        kept.or_else(|| self.refused.lock().clone()).or_else(|| self.log.trouble())
    }

    pub(crate) fn status(&self) -> GatewayStatus {
        let table = self.table.load();
        let mut in_flight: Vec<_> =
            self.instances().iter().map(|i| (i.id, i.in_flight())).filter(|(_, n)| *n > 0).collect();
        in_flight.sort();
        GatewayStatus {
            generation: table.generation,
            started: self.started,
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            listeners: self.listeners.lock().iter().map(|address| ListenerStatus { address: *address }).collect(),
            degraded: self.why_degraded(),
            connections: self.connections.load(Ordering::Relaxed),
            refused: self.crowd.refused(),
            routes: table.route_count,
            in_flight,
        }
    }
}

/// Whether exactly this is served already.
fn is_repetition(served: &Book, snapshot: &Snapshot) -> Result<bool> {
    let current = served.generation();
    let stale = |text: String| Problem::conflict("stale-generation", text).hint("read the status and send a newer one");
    if snapshot.generation < current {
        return Err(stale(format!("generation {} is older than {current}, which is served", snapshot.generation)));
    }
    if snapshot.generation > current {
        return Ok(false);
    }
    if served.has_all(snapshot) {
        return Ok(true);
    }
    Err(stale(format!("generation {current} is served with other content")))
}
