use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use base::{Problem, Result};
use tokio::sync::mpsc;

use crate::conn;
use crate::core::Core;

/// Accepted connections that wait for one worker.
const WAITING_MAX: usize = 1024;
/// How often unused connections to instances are looked through.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

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

/// A worker's thread and the way to it.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) worker: Arc<Worker>,
    pub(crate) connections: mpsc::Sender<(std::net::TcpStream, SocketAddr)>,
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
    Ok(Handle { worker, connections, thread })
}

async fn take(worker: Arc<Worker>, mut incoming: mpsc::Receiver<(std::net::TcpStream, SocketAddr)>) {
    while let Some((stream, peer)) = incoming.recv().await {
        let opened = Opened::new(&worker);
        let Ok(stream) = tokio::net::TcpStream::from_std(stream) else { continue };
        let _ = stream.set_nodelay(true);
        let serve = conn::serve(stream, peer, Arc::clone(&worker));
        worker.core.tasks.spawn(async move {
            serve.await;
            drop(opened);
        });
    }
}

/// Counts a client connection as open.
struct Opened {
    worker: Arc<Worker>,
}

impl Opened {
    fn new(worker: &Arc<Worker>) -> Self {
        worker.open.fetch_add(1, Ordering::Relaxed);
        worker.core.connections.fetch_add(1, Ordering::Relaxed);
        Self { worker: Arc::clone(worker) }
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
