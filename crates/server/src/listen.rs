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

/// A client must have sent a request's head within this span.
const HEADER_DEADLINE: Duration = Duration::from_secs(10);
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
}

impl Server {
    /// Takes the port.
    ///
    /// # Errors
    /// `port-in-use` if somebody has it, `listen-failed` for all else.
    pub async fn bind(options: &Options) -> Result<Self> {
        let listener = TcpListener::bind(options.listen).await.map_err(|e| cannot_listen(options.listen, &e))?;
        Ok(Self { listener, places: Arc::new(Semaphore::new(options.connections_max)) })
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
                    let http = http();
                    let connection = http.serve_connection_with_upgrades(TokioIo::new(stream), service);
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

fn http() -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_DEADLINE).max_buf_size(HEAD_BYTES_MAX);
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(128)
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
