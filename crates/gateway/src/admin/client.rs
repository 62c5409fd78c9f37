use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use base::{HostName, Problem, Result, RolloutId, ServiceName};
use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use ports::{AppliedSnapshot, BackendCounters, Gateway, GatewayStatus, ProbeAnswer, Snapshot, SnapshotChange};
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::crowd::Bounds;

use super::SOCKET;
use super::wire::{BOUNDS, COUNTERS, PROBE, ProbeRequest, SNAPSHOT, STATUS, WireProblem};

/// Largest answer, bytes.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Longest call besides probes.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Talks to the gateway that runs in a directory.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// `dir` is the gateway's [`crate::Options::dir`].
    pub fn new(dir: impl AsRef<Path>) -> Self {
        Self { socket: dir.as_ref().join(SOCKET) }
    }

    /// Bounds the connections of one client from now on, and after each start of the gateway.
    ///
    /// # Errors
    /// Where the gateway does not answer, or cannot remember it.
    pub async fn bound_clients(&self, connections_per_client: u64) -> Result<()> {
        let bounds = Bounds { connections_per_client };
        let body = serde_json::to_vec(&bounds).map_err(|e| Problem::internal("bad-bounds", e))?;
        self.call::<Bounds>(Method::PUT, BOUNDS, body, CALL_TIMEOUT).await.map(drop)
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
        within: Duration,
    ) -> Result<T> {
        let exchange = self.exchange(method, path, body);
        let (status, answer) = tokio::time::timeout(within, exchange)
            .await
            .map_err(|_| Problem::timeout("gateway-timeout", format!("the gateway gave no answer in {within:?}")))??;
        if status == 200 {
            return serde_json::from_slice(&answer)
                .map_err(|e| Problem::internal("gateway-answer", format!("the gateway's answer cannot be read: {e}")));
        }
        let problem: WireProblem = serde_json::from_slice(&answer).map_err(|e| {
            Problem::internal(
                "gateway-answer",
                format!("the gateway answered {status} with a body that cannot be read: {e}"),
            )
        })?;
        Err(problem.into_problem(status))
    }

    async fn exchange(&self, method: Method, path: &str, body: Vec<u8>) -> Result<(u16, Bytes)> {
        let unreachable = |e: &dyn std::fmt::Display| {
            Problem::unavailable("gateway-unreachable", format!("no gateway answers at {}: {e}", self.socket.display()))
                .hint("see whether `orlop gateway` runs with this directory; traffic goes on while it does")
        };
        let stream = UnixStream::connect(&self.socket).await.map_err(|e| unreachable(&e))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|e| unreachable(&e))?;
        let driver = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "gateway")
            .body(Full::new(Bytes::from(body)))
            .map_err(|e| Problem::internal("gateway-call", e))?;
        let response = sender.send_request(request).await.map_err(|e| unreachable(&e))?;
        let status = response.status().as_u16();
        let answer = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let answer = answer.map_err(|e| unreachable(&e))?.to_bytes();
        driver.abort();
        Ok((status, answer))
    }
}

#[async_trait]
impl Gateway for Client {
    async fn apply(&self, snapshot: &Snapshot) -> Result<AppliedSnapshot> {
        let body = serde_json::to_vec(snapshot).map_err(|e| Problem::internal("bad-snapshot", e))?;
        self.call(Method::PUT, SNAPSHOT, body, CALL_TIMEOUT).await
    }

    async fn change(&self, change: &SnapshotChange) -> Result<AppliedSnapshot> {
        let body = serde_json::to_vec(change).map_err(|e| Problem::internal("bad-snapshot", e))?;
        match self.call(Method::PATCH, SNAPSHOT, body, CALL_TIMEOUT).await {
            // A gateway of an older version.
            Err(problem) if problem.code == "no-such-call" => {
                Err(ports::other_base(change.base, "this gateway takes whole snapshots only"))
            }
            done => done,
        }
    }

    async fn status(&self) -> Result<GatewayStatus> {
        self.call(Method::GET, STATUS, Vec::new(), CALL_TIMEOUT).await
    }

    async fn probe(&self, host: &HostName, rollout: RolloutId, path: &str, timeout: Duration) -> Result<ProbeAnswer> {
        let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        let probe = ProbeRequest { host: host.clone(), rollout, path: path.to_owned(), timeout_ms };
        let body = serde_json::to_vec(&probe).map_err(|e| Problem::internal("bad-probe", e))?;
        self.call(Method::POST, PROBE, body, timeout.saturating_add(CALL_TIMEOUT)).await
    }

    async fn counters(&self, of: Option<&ServiceName>) -> Result<Vec<BackendCounters>> {
        // A name needs no escaping.
        let path = of.map_or_else(|| COUNTERS.to_owned(), |service| format!("{COUNTERS}?{service}"));
        let mut counters: Vec<BackendCounters> = self.call(Method::GET, &path, Vec::new(), CALL_TIMEOUT).await?;
        // A gateway of an older version tells of all.
        counters.retain(|one| of.is_none_or(|service| one.service == *service));
        Ok(counters)
    }
}
