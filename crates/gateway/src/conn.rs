use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;

use crate::core::Core;
use crate::gate::{Guard, HeadLimits, Protocol, Shared, Timeouts};
use crate::proxy::{self, Client};
use crate::stall::Stalls;
use crate::worker::{Peer, Worker};

/// When the gateway ends: how long a connection without a request is kept open for one that may be
/// on its way. Its answer says `Connection: close`; a connection closed at once would lose it.
const LAST_REQUEST: Duration = Duration::from_secs(2);
/// How long nothing must have happened on an HTTP/1 connection before its buffers are let go of; up to twice that.
/// Longer than the last bytes of a closing connection are waited for.
const QUIET: Duration = Duration::from_secs(2);
/// What hyper buffers of one HTTP/1 connection at most, bytes.
const BUFFER_BYTES_MAX: usize = 128 << 10;
/// As many header lines hyper reads without being told, and without allocating for them.
const HYPER_FIELDS: usize = 100;
/// How long a peer of an HTTP/2 connection may leave a ping unanswered.
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// Streams that a peer may open and reset before they were looked at (rapid reset, CVE-2023-44487).
const PENDING_RESETS_MAX: usize = 32;
/// Streams reset for the peer's errors before the connection is closed.
const ERROR_RESETS_MAX: usize = 64;

/// Serves one client connection to its end.
pub(crate) async fn serve(stream: TcpStream, peer: Peer, worker: Arc<Worker>) {
    let limits = &worker.core.limits;
    let shared = Arc::new(Shared::default());
    let heads = HeadLimits { bytes: limits.head_bytes, target_bytes: limits.target_bytes, fields: limits.fields };
    let timeouts = Timeouts {
        head: limits.head_timeout,
        idle: limits.idle_timeout,
        write: limits.write_timeout,
        slow_bytes: limits.slow_bytes,
    };
    let mut guard = Guard::new(stream, Arc::clone(&shared), heads, timeouts);
    let protocol = tokio::select! {
        biased;
        protocol = guard.protocol() => protocol,
        () = ending(&worker.core) => None,
    };
    let client = Arc::new(Client::new(Arc::clone(&worker), peer, shared));
    match protocol {
        Some(Protocol::Http1) => http1_connection(guard, client).await,
        // Boxed: it is large and rare, and every connection would be as large.
        Some(Protocol::Http2) => Box::pin(http2_connection(guard, client)).await,
        None => {}
    }
}

/// Serves HTTP/1. The library keeps its buffers as long as a connection lives, so it is let go of while nothing
/// happens: thousands of kept connections that wait cost little.
async fn http1_connection(mut guard: Guard<TcpStream>, client: Arc<Client>) {
    let core = Arc::clone(&client.worker.core);
    loop {
        match Box::pin(http1_active(guard, Arc::clone(&client))).await {
            Some(quiet) => guard = quiet,
            None => return,
        }
        let goes_on = tokio::select! {
            biased;
            goes_on = guard.wakes() => goes_on,
            () = ending(&core) => false,
        };
        if !goes_on {
            return;
        }
    }
}

/// Serves until the connection is over, or gives it back when it has been quiet.
async fn http1_active(guard: Guard<TcpStream>, client: Arc<Client>) -> Option<Guard<TcpStream>> {
    let core = Arc::clone(&client.worker.core);
    let shared = Arc::clone(&client.shared);
    let service = service_fn(move |request| {
        let client = Arc::clone(&client);
        async move { Ok::<_, Infallible>(proxy::answer(client, request).await) }
    });
    let mut builder = http1::Builder::new();
    if core.limits.fields > HYPER_FIELDS {
        builder.max_headers(core.limits.fields);
    }
    let mut connection = builder
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_buf_size(BUFFER_BYTES_MAX)
        // No `pipeline_flush`: with it an answer is lost that closes the connection while requests wait.
        .serve_connection(TokioIo::new(guard), service)
        .with_upgrades();
    tokio::select! {
        biased;
        result = &mut connection => {
            ended(result);
            return None;
        }
        () = core.drain.cancelled() => {}
        () = quiet(&shared) => {
            let parts = connection.into_parts()?;
            let mut guard = parts.io.into_inner();
            return guard.take_back(&parts.read_buf).then_some(guard);
        }
    }
    match tokio::time::timeout(LAST_REQUEST, &mut connection).await {
        Ok(result) => ended(result),
        Err(_) => {
            Pin::new(&mut connection).graceful_shutdown();
            ended(connection.await);
        }
    }
    None
}

/// Ends when no request came and nothing was under way for a whole span.
async fn quiet(shared: &Shared) {
    let mut last = None;
    loop {
        tokio::time::sleep(QUIET).await;
        let now = shared.at_rest();
        if now.is_some() && now == last {
            return;
        }
        last = now;
    }
}

/// Ends when the gateway ends and requests that were on their way have had their time.
async fn ending(core: &Core) {
    core.drain.cancelled().await;
    tokio::time::sleep(LAST_REQUEST).await;
}

async fn http2_connection(guard: Guard<TcpStream>, client: Arc<Client>) {
    let core = Arc::clone(&client.worker.core);
    let shared = Arc::clone(&client.shared);
    let started = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let count = Arc::clone(&started);
    let stalls = Arc::new(Stalls::new());
    let watch = Arc::clone(&stalls);
    let service = service_fn(move |request| {
        let (client, watch) = (Arc::clone(&client), Arc::clone(&watch));
        count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        async move { Ok::<_, Infallible>(proxy::answer(client, request).await.map(|body| watch.watch(body))) }
    });
    let limits = &core.limits;
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
        .max_local_error_reset_streams(ERROR_RESETS_MAX)
        .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
        .initial_stream_window_size(256 << 10)
        .initial_connection_window_size(1 << 20)
        .max_send_buf_size(256 << 10)
        .keep_alive_interval(limits.idle_timeout)
        .keep_alive_timeout(PING_TIMEOUT)
        .serve_connection(TokioIo::new(guard), service);
    let mut connection = std::pin::pin!(connection);
    let idle = is_idle(limits.idle_timeout, || {
        let started = started.load(std::sync::atomic::Ordering::Relaxed);
        (started, shared.finished() >= started)
    });
    tokio::select! {
        biased;
        result = connection.as_mut() => return ended(result),
        // Only its end frees the instances that it holds.
        () = stalls.too_long(limits.write_timeout) => return,
        () = core.drain.cancelled() => {}
        () = idle => {}
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        biased;
        result = connection => ended(result),
        () = stalls.too_long(limits.write_timeout) => {}
    }
}

/// Ends when for a whole span no request was under way.
async fn is_idle(span: Duration, look: impl Fn() -> (u64, bool)) {
    let mut last = None;
    loop {
        tokio::time::sleep(span).await;
        let (started, is_quiet) = look();
        if is_quiet && last == Some(started) {
            return;
        }
        last = is_quiet.then_some(started);
    }
}

fn ended(result: hyper::Result<()>) {
    if let Err(error) = result {
        tracing::trace!(%error, "client connection ended");
    }
}
