use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base::{Problem, Result};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::patience::{Patient, Waits};

/// A client must have begun, and sent a request's head, within this span.
const HEADER_DEADLINE: Duration = Duration::from_secs(10);
/// A client that takes nothing of an answer for this long is let go.
const WRITE_DEADLINE: Duration = Duration::from_secs(30);
/// Streams of HTTP/2 that a client may open and reset before they were looked at (CVE-2023-44487).
const PENDING_RESETS_MAX: usize = 32;
/// Streams reset for a client's errors before its connection is closed (CVE-2025-8671).
const ERROR_RESETS_MAX: usize = 64;
/// When the server stops, calls under way get this long.
const DRAIN: Duration = Duration::from_secs(5);
/// Bytes of a request's head at most.
const HEAD_BYTES_MAX: usize = 32 << 10;

/// Where and how much.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Connections at once; more wait for a free place.
    pub connections_max: usize,
}

/// A listening server.
pub struct Server {
    listener: TcpListener,
    places: Arc<Semaphore>,
    waits: Waits,
}

impl Server {
    /// Takes the port.
    ///
    /// # Errors
    /// `port-in-use` if somebody has it, `listen-failed` for all else.
    pub async fn bind(options: &Options) -> Result<Self> {
        let listener = TcpListener::bind(options.listen).await.map_err(|e| cannot_listen(options.listen, &e))?;
        let waits = Waits { hello: HEADER_DEADLINE, write: WRITE_DEADLINE };
        Ok(Self { listener, places: Arc::new(Semaphore::new(options.connections_max)), waits })
    }

    /// The address that was taken.
    pub fn address(&self) -> Result<SocketAddr> {
        self.listener.local_addr().map_err(|e| Problem::internal("listen-failed", e))
    }

    /// Serves until `stop` ends, then lets calls under way finish for a short while.
    pub async fn serve(self, router: axum::Router, stop: impl Future<Output = ()>) {
        let connections = GracefulShutdown::new();
        tokio::pin!(stop);
        loop {
            let place = tokio::select! {
                place = Arc::clone(&self.places).acquire_owned() => place,
                () = &mut stop => break,
            };
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = &mut stop => break,
            };
            match accepted {
                Ok((stream, _)) => {
                    let _ = stream.set_nodelay(true);
                    let service = TowerToHyperService::new(router.clone());
                    let http = http(self.waits.hello);
                    let stream = TokioIo::new(Patient::new(stream, self.waits));
                    let connection = http.serve_connection_with_upgrades(stream, service);
                    let connection = connections.watch(connection.into_owned());
                    tokio::spawn(async move {
                        // The other side broke off, or sent nonsense: nothing to do about it here.
                        let _ = connection.await;
                        drop(place);
                    });
                }
                Err(problem) => {
                    tracing::warn!(%problem, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        tokio::select! {
            () = connections.shutdown() => {}
            () = tokio::time::sleep(DRAIN) => {}
        }
    }
}

fn http(head: Duration) -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new()).header_read_timeout(head).max_buf_size(HEAD_BYTES_MAX);
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(128)
        .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
        .max_local_error_reset_streams(ERROR_RESETS_MAX)
        .keep_alive_interval(Some(Duration::from_secs(20)))
        .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX));
    http
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> Problem {
    if error.kind() == std::io::ErrorKind::AddrInUse {
        return Problem::conflict("port-in-use", format!("cannot listen on {address}: another program has this port"))
            .hint(format!("end that program, or choose another port: `orlop up --listen {}:0`", address.ip()));
    }
    Problem::unavailable("listen-failed", format!("cannot listen on {address}: {error}"))
        .hint("choose an address of this machine: `orlop up --listen 127.0.0.1:7400`")
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;

    const SHORT: Duration = Duration::from_millis(300);
    /// Longest wait for anything; only reached when something is wrong.
    const PATIENCE: Duration = Duration::from_secs(30);

    /// A server of few places and short waits that answers `/` at once and `/much` without end.
    async fn server(connections_max: usize) -> SocketAddr {
        let options = Options { listen: SocketAddr::from(([127, 0, 0, 1], 0)), connections_max };
        let mut server = Server::bind(&options).await.unwrap();
        server.waits = Waits { hello: SHORT, write: SHORT };
        let address = server.address().unwrap();
        let endless = || futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b'x'; 65_536]));
        let router = axum::Router::new()
            .route("/", axum::routing::get(|| async { "ok" }))
            .route("/much", axum::routing::get(move || async move { axum::body::Body::from_stream(endless()) }));
        tokio::spawn(server.serve(router, std::future::pending()));
        address
    }

    async fn ask(address: SocketAddr) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut text = String::new();
        tokio::time::timeout(PATIENCE, stream.read_to_string(&mut text)).await.expect("an answer").unwrap();
        text
    }

    /// As many slow clients as there are places: they are let go, and others come in.
    async fn check(say: &'static [u8], drip: &'static [u8]) {
        const PLACES: usize = 8;
        let address = server(PLACES).await;
        let mut slow = tokio::task::JoinSet::new();
        for _ in 0..PLACES {
            let mut stream = TcpStream::connect(address).await.unwrap();
            slow.spawn(async move {
                let _ = stream.write_all(say).await;
                // Nothing of an answer is taken: the end is noticed by an error, or by an end without bytes.
                let mut one = [0; 1];
                while stream.write_all(drip).await.is_ok() {
                    let peeked = tokio::time::timeout(Duration::from_millis(20), stream.peek(&mut one)).await;
                    if matches!(peeked, Ok(Ok(0) | Err(_))) {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            });
        }
        let answer = ask(address).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        if !say.starts_with(b"GET /much") {
            tokio::time::timeout(PATIENCE, slow.join_all()).await.expect("slow clients are let go");
        }
    }

    #[tokio::test]
    async fn slow_clients_do_not_keep_others_out() {
        check(b"", b"").await;
        check(b"PRI * HTTP", b"").await;
        check(b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b"a").await;
        check(b"GET /much HTTP/1.1\r\nHost: a\r\n\r\n", b"").await;
    }
}
