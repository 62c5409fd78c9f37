use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use base::{Problem, Result, ServiceName};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use ports::{ProbeAnswer, Snapshot, SnapshotChange};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

use super::socket;
use super::wire::{BOUNDS, COUNTERS, PROBE, PROBE_MAX, ProbeRequest, SNAPSHOT, STATUS, WireProblem};
use crate::crowd::Bounds;
use crate::gate::Shared;
use crate::keep::SNAPSHOT_BYTES_MAX;
use crate::proxy::{self, Aim, Client, Exchange, Switch, UpBody};
use crate::worker::{Peer, Worker};

/// Administration connections at once.
const CONNECTIONS_MAX: usize = 64;
/// Longest time a body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// Serves the administration socket.
pub(super) async fn serve(listener: UnixListener, worker: Arc<Worker>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) if socket::is_own(&stream) => {
                let worker = Arc::clone(&worker);
                tokio::spawn(async move {
                    connection(stream, worker).await;
                    drop(place);
                });
            }
            Ok(_) => tracing::warn!("refused another user at the administration socket"),
            Err(error) => {
                tracing::warn!(%error, "accepting at the administration socket failed");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection(stream: UnixStream, worker: Arc<Worker>) {
    let service = service_fn(move |request| {
        let worker = Arc::clone(&worker);
        async move { Ok::<_, Infallible>(answer(&worker, request).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(BODY_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = served.await {
        tracing::debug!(%error, "administration connection ended");
    }
}

async fn answer(worker: &Arc<Worker>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let result = match (request.method(), request.uri().path()) {
        (&Method::PUT, SNAPSHOT) => put_snapshot(worker, request).await.inspect_err(|p| worker.core.refused(p)),
        (&Method::PATCH, SNAPSHOT) => patch_snapshot(worker, request).await.inspect_err(|p| worker.core.refused(p)),
        (&Method::PUT, BOUNDS) => put_bounds(worker, request).await,
        (&Method::GET, STATUS) => json(&worker.core.status()),
        (&Method::GET, COUNTERS) => get_counters(worker, request.uri().query()),
        (&Method::POST, PROBE) => post_probe(worker, request).await,
        (method, path) => Err(Problem::not_found("no-such-call", format!("there is no {method} {path} here"))),
    };
    result.unwrap_or_else(|problem| {
        let status = StatusCode::from_u16(problem.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let text = serde_json::to_vec(&WireProblem::from(problem)).unwrap_or_default();
        respond(status, text)
    })
}

fn respond(status: StatusCode, text: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn json(value: &impl Serialize) -> Result<Response<Full<Bytes>>> {
    let text = serde_json::to_vec(value).map_err(|e| Problem::internal("bad-answer", e))?;
    Ok(respond(StatusCode::OK, text))
}

async fn read(request: Request<Incoming>, max: u64, code: &'static str) -> Result<Bytes> {
    let body = Limited::new(request.into_body(), usize::try_from(max).unwrap_or(usize::MAX)).collect();
    let body = tokio::time::timeout(BODY_TIMEOUT, body).await;
    let body = body.map_err(|_| Problem::timeout("body-timeout", "the request's body did not come in time"))?;
    let body = body.map_err(|e| match e.is::<LengthLimitError>() {
        true => Problem::unprocessable(code, format!("the body is larger than {max} bytes")),
        false => Problem::invalid("bad-body", e),
    })?;
    Ok(body.to_bytes())
}

fn parse<T: DeserializeOwned>(body: &[u8], code: &'static str) -> Result<T> {
    serde_json::from_slice(body).map_err(|e| Problem::unprocessable(code, format!("the body cannot be read: {e}")))
}

async fn put_snapshot(worker: &Arc<Worker>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>> {
    let snapshot: Snapshot = in_format(&read(request, SNAPSHOT_BYTES_MAX, "bad-snapshot").await?)?;
    json(&worker.core.apply(snapshot).await?)
}

async fn patch_snapshot(worker: &Arc<Worker>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>> {
    let change: SnapshotChange = in_format(&read(request, SNAPSHOT_BYTES_MAX, "bad-snapshot").await?)?;
    json(&worker.core.change(change).await?)
}

async fn put_bounds(worker: &Arc<Worker>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>> {
    let bounds: Bounds = parse(&read(request, 4 << 10, "bad-bounds").await?, "bad-bounds")?;
    let crowd = Arc::clone(&worker.core.crowd);
    let kept = tokio::task::spawn_blocking(move || crowd.bound(bounds)).await;
    match kept {
        Ok(Ok(())) => json(&bounds),
        Ok(Err(e)) => Err(Problem::internal("bounds-not-kept", format!("the bounds count, and cannot be kept: {e}"))),
        Err(e) => Err(Problem::internal("bounds-not-kept", e)),
    }
}

fn get_counters(worker: &Arc<Worker>, query: Option<&str>) -> Result<Response<Full<Bytes>>> {
    let of = query.map(str::parse::<ServiceName>).transpose()?;
    json(&worker.core.counters.read(of.as_ref()))
}

/// Reads a body whose format this gateway knows.
fn in_format<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    /// Looked at first: a newer format may have fields that are unknown here.
    #[derive(serde::Deserialize)]
    struct Format {
        format: u32,
    }
    let format: Format = parse(body, "bad-snapshot")?;
    if format.format > ports::SNAPSHOT_FORMAT {
        let text = format!("the snapshot has format {}, this gateway reads {}", format.format, ports::SNAPSHOT_FORMAT);
        return Err(Problem::unprocessable("newer-snapshot", text).hint("upgrade the gateway first").at("format"));
    }
    parse(body, "bad-snapshot")
}

/// A request of our own through the same pipeline as everybody's.
async fn post_probe(worker: &Arc<Worker>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>> {
    let probe: ProbeRequest = parse(&read(request, 64 << 10, "bad-probe").await?, "bad-probe")?;
    let bad = |e: http::Error| Problem::unprocessable("bad-probe", format!("the path cannot be used: {e}"));
    if !probe.path.starts_with('/') || crate::gate::check_target(probe.path.as_bytes(), false).is_err() {
        return Err(Problem::unprocessable("bad-probe", "the path must be an absolute path of valid characters"));
    }
    let table = worker.core.table.load_full();
    let route = table.route(probe.host.as_str());
    let route = route.ok_or_else(|| Problem::not_found("unknown-host", format!("no route has {}", probe.host)))?;
    let backend = route.backend_of(probe.rollout).filter(|b| !b.instances.is_empty());
    let backend = backend.ok_or_else(|| {
        let text = format!("{} has no instance of rollout {}", probe.host, probe.rollout);
        Problem::not_found("nothing-runs", text)
    })?;
    let first = backend.instances.first().map(|i| i.id);
    let upstream = Request::get(&*probe.path)
        .header(header::HOST, probe.host.as_str())
        .header(header::USER_AGENT, "orlop-probe")
        .header(header::ACCEPT, "*/*")
        .body(UpBody::empty())
        .map_err(bad)?;
    let peer = Peer { address: std::net::SocketAddr::from(([127, 0, 0, 1], 0)), caller: None };
    let client = Arc::new(Client::new(Arc::clone(worker), peer, Arc::new(Shared::default())));
    let exchange = Exchange::begin(client, &upstream, true);
    let started = std::time::Instant::now();
    let within = Duration::from_millis(probe.timeout_ms).min(PROBE_MAX);
    let carried = proxy::carry(exchange, upstream, Switch::default(), Aim::Rollout(probe.rollout));
    let Ok(response) = tokio::time::timeout(within, carried).await else {
        let text = format!("no answer from rollout {} within {} ms", probe.rollout, within.as_millis());
        return Err(Problem::timeout("probe-timeout", text));
    };
    let took_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    let (status, body) = (response.status().as_u16(), response.into_body());
    let (release, instance) = body.origin().unwrap_or((backend.release, None));
    let instance = instance.or(first).ok_or_else(|| Problem::internal("bad-answer", "no instance was tried"))?;
    json(&ProbeAnswer { status, release, instance, took_us, from_gateway: body.is_page() })
}
