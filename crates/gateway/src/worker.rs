use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use base::{Problem, Result};
use tokio::sync::mpsc;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::callers::Caller;
use crate::conn;
use crate::core::Core;
use crate::crowd::Seat;

/// Accepted connections that wait for one worker.
const WAITING_MAX: usize = 1024;
/// How often unused connections to instances are looked through.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// How many connections more than another a worker may have before it gives away those it accepts.
const UNEVEN_MAX: u64 = 2;
/// What is said to a connection beyond the limit of its client.
const TOO_MANY_OF_ONE: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 5\r\n\
    content-type: text/plain\r\ncontent-length: 71\r\n\r\n\
    You have too many connections to this gateway: close others. (gateway)\n";
/// What is said to a connection beyond the limit of all.
const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 5\r\n\
    content-type: text/plain\r\ncontent-length: 49\r\n\r\nThis gateway has too many connections. (gateway)\n";

/// One thread that carries traffic; the one with the highest index is the administration's own.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) core: Arc<Core>,
    pub(crate) index: usize,
    /// Client connections it has.
    pub(crate) open: AtomicU64,
    /// Requests it has under way.
    pub(crate) running: AtomicU64,
}

impl Worker {
    pub(crate) fn new(core: Arc<Core>, index: usize) -> Arc<Self> {
        Arc::new(Self { core, index, open: AtomicU64::new(0), running: AtomicU64::new(0) })
    }
}

/// The other end of a client connection.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    /// Where it is an instance that calls a service that it needs.
    pub(crate) caller: Option<Arc<Caller>>,
}

/// A connection that was accepted, on its way to a worker. It counts as one of that worker's already, and as a task:
/// a gateway that ends waits for it too.
#[derive(Debug)]
struct Accepted {
    stream: std::net::TcpStream,
    peer: Peer,
    opened: Opened,
    token: TaskTrackerToken,
}

/// The ways to all workers.
#[derive(Debug, Clone)]
pub(crate) struct Crew {
    core: Arc<Core>,
    workers: Vec<(Arc<Worker>, mpsc::Sender<Accepted>)>,
}

impl Crew {
    pub(crate) fn of(core: &Arc<Core>, workers: &[Handle]) -> Self {
        let workers = workers.iter().map(|h| (Arc::clone(&h.worker), h.connections.clone())).collect();
        Self { core: Arc::clone(core), workers }
    }

    fn is_full(&self) -> bool {
        self.core.connections.load(Ordering::Relaxed) >= self.core.limits.connections
    }

    /// Serves a connection on the worker that accepted it, whose thread calls, unless another has fewer: a thread
    /// that only accepts would cost each connection a wake-up and four system calls.
    pub(crate) async fn keep_or_give(&self, own: &Arc<Worker>, stream: tokio::net::TcpStream, peer: Peer) {
        let Some(seat) = self.admit(&stream, &peer) else { return };
        let open = |worker: &Worker| worker.open.load(Ordering::Relaxed);
        let least = self.workers.iter().map(|(worker, _)| open(worker)).min().unwrap_or(0);
        if open(own) <= least.saturating_add(UNEVEN_MAX) {
            serve(own, stream, peer, Opened::new(own, seat));
        } else if let Ok(stream) = stream.into_std() {
            self.hand(stream, peer, seat).await;
        }
    }

    /// Gives a connection to the worker with the fewest.
    pub(crate) async fn give(&self, stream: std::net::TcpStream, peer: Peer) {
        if let Some(seat) = self.admit(&stream, &peer) {
            self.hand(stream, peer, seat).await;
        }
    }

    /// A place for a connection; beyond a limit it is told so, counted, and closed by the caller.
    fn admit(&self, stream: &impl AsFd, peer: &Peer) -> Option<Seat> {
        let (seat, said) = match self.is_full() {
            true => (None, TOO_MANY),
            false => (self.core.crowd.enter(peer), TOO_MANY_OF_ONE),
        };
        if seat.is_none() {
            self.core.crowd.refuse();
            // A fresh connection has room for it.
            let _ = rustix::io::write(stream, said);
        }
        seat
    }

    async fn hand(&self, stream: std::net::TcpStream, peer: Peer, seat: Seat) {
        let least = self.workers.iter().min_by_key(|(worker, _)| worker.open.load(Ordering::Relaxed));
        if let Some((worker, connections)) = least {
            let (opened, token) = (Opened::new(worker, seat), self.core.tasks.token());
            let _ = connections.send(Accepted { stream, peer, opened, token }).await;
        }
    }
}

/// A worker's thread and the way to it.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) worker: Arc<Worker>,
    connections: mpsc::Sender<Accepted>,
    /// Its event loop.
    pub(crate) runtime: tokio::runtime::Handle,
    pub(crate) thread: JoinHandle<()>,
}

/// Starts a worker. It ends when all senders of connections are gone and `stop` is cancelled.
///
/// # Errors
/// `gateway-start` where no thread or event loop can be had.
pub(crate) fn start(core: &Arc<Core>, index: usize, stop: tokio_util::sync::CancellationToken) -> Result<Handle> {
    let failed = |e: std::io::Error| Problem::internal("gateway-start", format!("starting worker {index} failed: {e}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let worker = Worker::new(Arc::clone(core), index);
    let handle = runtime.handle().clone();
    let (connections, incoming) = mpsc::channel(WAITING_MAX);
    let this = Arc::clone(&worker);
    let thread = std::thread::Builder::new()
        .name(format!("gateway-{index}"))
        .spawn(move || {
            runtime.block_on(async {
                tokio::spawn(sweep(Arc::clone(&this)));
                tokio::spawn(take(this, incoming));
                stop.cancelled().await;
            });
            runtime.shutdown_timeout(Duration::from_millis(100));
        })
        .map_err(failed)?;
    Ok(Handle { worker, connections, runtime: handle, thread })
}

async fn take(worker: Arc<Worker>, mut incoming: mpsc::Receiver<Accepted>) {
    while let Some(Accepted { stream, peer, opened, token }) = incoming.recv().await {
        if let Ok(stream) = tokio::net::TcpStream::from_std(stream) {
            // Those that keepers hand over were accepted on another listening socket.
            let _ = stream.set_nodelay(true);
            serve(&worker, stream, peer, opened);
        }
        drop(token);
    }
}

/// Serves a connection on this worker, whose thread calls.
fn serve(worker: &Arc<Worker>, stream: tokio::net::TcpStream, peer: Peer, opened: Opened) {
    let serve = conn::serve(stream, peer, Arc::clone(worker));
    worker.core.tasks.spawn(async move {
        serve.await;
        drop(opened);
    });
}

/// Counts a client connection as open.
#[derive(Debug)]
struct Opened {
    worker: Arc<Worker>,
    _seat: Seat,
}

impl Opened {
    fn new(worker: &Arc<Worker>, seat: Seat) -> Self {
        worker.open.fetch_add(1, Ordering::Relaxed);
        worker.core.connections.fetch_add(1, Ordering::Relaxed);
        Self { worker: Arc::clone(worker), _seat: seat }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.worker.open.fetch_sub(1, Ordering::Relaxed);
        self.worker.core.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Closes connections to instances that nobody used for a while.
pub(crate) async fn sweep(worker: Arc<Worker>) {
    let age = worker.core.limits.pool_age;
    loop {
        tokio::time::sleep(SWEEP_EVERY.min(age)).await;
        for instance in worker.core.instances() {
            instance.sweep(worker.index, age);
        }
    }
}
