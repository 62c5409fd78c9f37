use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base::{Problem, Result};
use futures_util::FutureExt as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::admin::{self, HandOver};
use crate::callers;
use crate::core::Core;
use crate::keep::Keep;
use crate::log::AccessLog;
use crate::options::Options;
use crate::worker::{self, Crew, Handle, Peer, Worker};

/// How long accepting pauses when the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Connections that the kernel holds until they are accepted; more are asked to try again (listen(2)). The standard
/// library's 128 are fewer than a burst of visitors.
const BACKLOG: i32 = 4096;

/// Serves until SIGTERM or SIGINT, or until a successor has taken over; then stops accepting,
/// drains and returns. `serving` is called once it serves, with the addresses where it listens.
///
/// # Errors
/// Where it cannot start: a listening address, the directory, another gateway in it.
pub async fn run(options: Options, serving: impl FnOnce(&[SocketAddr])) -> Result<()> {
    let failed = |e: std::io::Error| Problem::internal("gateway-start", format!("waiting for signals failed: {e}"));
    let mut term = signal(SignalKind::terminate()).map_err(failed)?;
    let mut int = signal(SignalKind::interrupt()).map_err(failed)?;
    let running = start(options).await?;
    serving(running.addresses());
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
        () = running.replaced() => {}
    }
    running.stop().await;
    Ok(())
}

/// A gateway at work.
#[derive(Debug)]
pub struct Running {
    core: Arc<Core>,
    addresses: Vec<SocketAddr>,
    workers: Vec<Handle>,
    accepting: Vec<JoinHandle<()>>,
    administration: Vec<JoinHandle<()>>,
    /// Ends accepting.
    closing: CancellationToken,
    /// Ends the worker threads.
    stop: CancellationToken,
    replaced: CancellationToken,
    drain: Duration,
}

impl Running {
    /// Where it listens.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Ends when a successor has taken the listening sockets over.
    pub async fn replaced(&self) {
        self.replaced.cancelled().await;
    }

    /// Stops accepting, lets requests under way finish within the drain time, ends.
    pub async fn stop(self) {
        let Self { core, workers, accepting, administration, closing, stop, drain, .. } = self;
        tracing::info!(connections = core.connections.load(Ordering::Relaxed), "draining");
        core.is_ending.store(true, Ordering::SeqCst);
        closing.cancel();
        for task in accepting {
            let _ = task.await;
        }
        core.drain.cancel();
        core.tasks.close();
        // Connections that were accepted and wait for their worker are still served.
        let threads: Vec<_> = workers.into_iter().map(|handle| handle.thread).collect();
        if tokio::time::timeout(drain, core.tasks.wait()).await.is_err() {
            tracing::warn!(connections = core.connections.load(Ordering::Relaxed), "drain deadline passed");
        }
        stop.cancel();
        for task in administration {
            task.abort();
        }
        let ended = tokio::task::spawn_blocking(move || {
            for thread in threads {
                let _ = thread.join();
            }
            core.log.close();
        });
        let _ = ended.await;
    }
}

/// Starts a gateway and returns once it serves. Call within a Tokio runtime: the administration
/// runs there, traffic on threads of its own.
///
/// # Errors
/// `gateway-start`, `listen-failed`, `gateway-runs`, `access-log`, `take-over-failed`.
pub async fn start(mut options: Options) -> Result<Running> {
    make_dir(&options.dir)?;
    let taken = if options.take_over { admin::take_over(&options.dir).await? } else { None };
    let listeners = listeners(&mut options, taken.as_ref())?;
    let addresses = listeners.iter().map(TcpListener::local_addr).collect::<std::io::Result<Vec<_>>>();
    let addresses = addresses.map_err(|e| Problem::internal("listen-failed", e))?;
    let count = match options.workers {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        count => count,
    };
    let shards = count.saturating_add(1);
    let log_path = options.log.path.clone().unwrap_or_else(|| options.dir.join("access.log"));
    let log = AccessLog::open(&options.log, log_path, shards)?;
    let core = Arc::new(Core::new(options.limits, options.trusted, shards, log, Keep::new(&options.dir)));
    core.listens_on(addresses.clone());
    core.load().await;
    let stop = CancellationToken::new();
    let workers = (0..count).map(|i| worker::start(&core, i, stop.clone())).collect::<Result<Vec<_>>>()?;
    let replaced = CancellationToken::new();
    let own = Worker::new(Arc::clone(&core), count);
    let closing = CancellationToken::new();
    let hand_over = HandOver::new(&listeners, replaced.clone(), closing.clone())?;
    let mut administration = admin::serve(&options.dir, &own, hand_over, taken.is_some()).await?;
    administration.push(tokio::spawn(worker::sweep(own)));
    let crew = Crew::of(&core, &workers);
    let mut accepting = Vec::new();
    for listener in listeners {
        let failed = |e: std::io::Error| Problem::internal("listen-failed", e);
        listener.set_nonblocking(true).map_err(failed)?;
        rustix::net::listen(&listener, BACKLOG).map_err(|e| failed(e.into()))?;
        // Accepted connections inherit it (tcp(7)): answers are written whole, nothing is gained by waiting.
        rustix::net::sockopt::set_tcp_nodelay(&listener, true).map_err(|e| failed(e.into()))?;
        for handle in &workers {
            let listener = listener.try_clone().map_err(failed)?;
            let accept = accept(listener, Arc::clone(&handle.worker), crew.clone(), closing.clone());
            accepting.push(handle.runtime.spawn(accept));
        }
    }
    let callers = admin::bind(&options.dir, admin::CALLERS, taken.is_some()).await?;
    accepting.push(tokio::spawn(callers::accept(callers, crew, closing.clone())));
    if let Some(taken) = taken {
        taken.accepted().await?;
        // The predecessor may have taken one more snapshot in between.
        core.load().await;
    }
    tracing::info!(?addresses, generation = %core.table.load().generation, "serving");
    let drain = options.drain;
    Ok(Running { core, addresses, workers, accepting, administration, closing, stop, replaced, drain })
}

fn make_dir(dir: &Path) -> Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|e| Problem::internal("gateway-start", format!("making the directory {} failed: {e}", dir.display())))
}

/// Inherited and taken sockets first; then every address that none of them has.
fn listeners(options: &mut Options, taken: Option<&admin::Taken>) -> Result<Vec<TcpListener>> {
    let mut all = std::mem::take(&mut options.inherited);
    if let Some(taken) = taken {
        all.extend(taken.listeners()?);
    }
    let had: Vec<SocketAddr> = all.iter().filter_map(|l| l.local_addr().ok()).collect();
    for address in &options.listen {
        if had.contains(address) {
            continue;
        }
        let listener = TcpListener::bind(address).map_err(|e| {
            Problem::internal("listen-failed", format!("listening on {address} failed: {e}"))
                .hint("see what else listens there, or choose another address")
        })?;
        all.push(listener);
    }
    Ok(all)
}

/// Accepts connections on a worker's thread. When it is to end, it still takes those that the kernel has accepted: they
/// would be reset.
async fn accept(listener: TcpListener, own: Arc<Worker>, crew: Crew, closing: CancellationToken) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let mut closed = std::pin::pin!(closing.cancelled());
    loop {
        let next = tokio::select! {
            biased;
            next = listener.accept() => next,
            () = &mut closed => match listener.accept().now_or_never() {
                Some(Ok(next)) => Ok(next),
                _ => return,
            },
        };
        let (stream, address) = match next {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "accepting failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        crew.keep_or_give(&own, stream, Peer { address, caller: None }).await;
    }
}
