use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use base::{
    EnvironmentName, Generation, HostName, InstanceId, Problem, ReleaseId, Result, RolloutId, ServiceName, Time,
};
use serde::{Deserialize, Serialize};

use crate::Address;

/// The version of the [`Snapshot`] format that this build writes. A gateway reads its own and older
/// ones. With format 2 the address of an instance may be a socket that hands out connections.
pub const SNAPSHOT_FORMAT: u32 = 2;

/// Upper bounds of the buckets of a latency histogram, milliseconds; one more bucket lies above them.
pub const LATENCY_BOUNDS_MS: [u32; 12] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000];

/// The traffic data plane. It needs nothing but the last [`Snapshot`] that it accepted.
#[async_trait]
pub trait Gateway: Send + Sync {
    /// Hands over a whole snapshot. The gateway validates it, keeps it on disk, then serves it. An
    /// invalid one is refused (`bad-snapshot`, `newer-snapshot`), and the status is degraded until a
    /// good one comes; an older generation is refused too (`stale-generation`). The last good one stays.
    async fn apply(&self, snapshot: &Snapshot) -> Result<AppliedSnapshot>;

    /// Hands over what differs from the snapshot that is served, and nothing else. The same rules
    /// hold for what comes of it as for a whole one (`bad-snapshot`). A gateway that does not serve
    /// exactly [`SnapshotChange::base`], is degraded, or knows whole snapshots only refuses
    /// (`other-base`) and serves on: hand over the whole.
    async fn change(&self, change: &SnapshotChange) -> Result<AppliedSnapshot> {
        Err(other_base(change.base, "this gateway takes whole snapshots only"))
    }

    /// What the gateway serves and how it feels.
    async fn status(&self) -> Result<GatewayStatus>;

    /// Sends `GET path` for this host through the gateway's whole pipeline to a backend of this
    /// rollout, whatever its weight, and tells what came back.
    async fn probe(&self, host: &HostName, rollout: RolloutId, path: &str, timeout: Duration) -> Result<ProbeAnswer>;

    /// Counters per route and rollout since the gateway started, of one service or of all. Whatever
    /// counted nothing is left out: the answer costs what there was to count.
    async fn counters(&self, of: Option<&ServiceName>) -> Result<Vec<BackendCounters>>;
}

/// All that a gateway needs to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Snapshot {
    /// [`SNAPSHOT_FORMAT`] of the writer.
    pub format: u32,
    /// Rises with every change.
    pub generation: Generation,
    /// Every host name appears in at most one route.
    pub routes: Vec<Route>,
}

/// The way from one snapshot to the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SnapshotChange {
    /// [`SNAPSHOT_FORMAT`] of the writer.
    pub format: u32,
    /// The generation that it begins from.
    pub base: Generation,
    /// The generation that it leads to; above `base`.
    pub generation: Generation,
    /// Routes that are new, or other than before: each whole.
    pub routes: Vec<Route>,
    /// Routes that are no longer there. One that never was is no fault.
    pub gone: Vec<RouteName>,
}

/// Which route: there is one at most for a service in an environment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteName {
    /// The service.
    pub service: ServiceName,
    /// The environment.
    pub environment: EnvironmentName,
}

/// The refusal of a change that does not fit to what is served.
pub fn other_base(base: Generation, why: &str) -> Problem {
    Problem::conflict("other-base", format!("a change from generation {base} cannot be taken: {why}"))
        .hint("hand over the whole snapshot")
}

/// One service in one environment, as traffic sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Route {
    /// The service.
    pub service: ServiceName,
    /// The environment.
    pub environment: EnvironmentName,
    /// The host names it answers for.
    pub hosts: Vec<HostName>,
    /// Where traffic goes; the weights are relative. Empty: the route exists and nothing runs.
    pub backends: Vec<Backend>,
}

impl Route {
    /// Which route this is.
    pub fn name(&self) -> RouteName {
        RouteName { service: self.service.clone(), environment: self.environment.clone() }
    }
}

/// The instances of one rollout behind a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Backend {
    /// The rollout that started these instances.
    pub rollout: RolloutId,
    /// The release they run; requests are attributed to it.
    pub release: ReleaseId,
    /// Share of the traffic relative to the other backends, 0–10000. 0: only probes and existing connections.
    pub weight: u16,
    /// Ready instances.
    pub instances: Vec<Instance>,
}

/// One instance behind a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Instance {
    /// Which one.
    pub id: InstanceId,
    /// Where its port is.
    pub address: Address,
}

/// The answer to a snapshot that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AppliedSnapshot {
    /// The generation now served.
    pub generation: Generation,
}

/// What a gateway says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayStatus {
    /// The generation served.
    pub generation: Generation,
    /// When this gateway process started.
    pub started: Time,
    /// Its process id.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// Where it listens.
    pub listeners: Vec<ListenerStatus>,
    /// Why it is not serving what it was last given, if so.
    pub degraded: Option<String>,
    /// Open client connections.
    pub connections: u64,
    /// Client connections refused since the start: beyond the bound of all, or of one client. Gateways of earlier
    /// versions do not tell.
    #[serde(default)]
    pub refused: u64,
    /// Routes served.
    pub routes: u64,
    /// Requests under way per instance that still has some, draining ones included.
    pub in_flight: Vec<(InstanceId, u64)>,
}

/// One listening socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerStatus {
    /// Its address.
    pub address: SocketAddr,
}

/// What a probe through the gateway saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProbeAnswer {
    /// HTTP status of the answer.
    pub status: u16,
    /// The release that answered.
    pub release: ReleaseId,
    /// The instance that answered.
    pub instance: InstanceId,
    /// Time to the response head, microseconds.
    pub took_us: u64,
    /// Whose answer it is: `true` where the gateway itself answered because no instance did.
    pub from_gateway: bool,
}

/// Counters of one route and rollout since the gateway started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendCounters {
    /// The service.
    pub service: ServiceName,
    /// The environment.
    pub environment: EnvironmentName,
    /// The rollout; `None` counts what no instance answered.
    pub rollout: Option<RolloutId>,
    /// The release.
    pub release: Option<ReleaseId>,
    /// Finished requests by status class: 1xx (upgrades), 2xx, 3xx, 4xx, 5xx.
    pub by_class: [u64; 5],
    /// Requests that failed for a fault of the gateway or the way to the instance; those that were
    /// answered with 502, 503 or 504 for it are in `by_class` too.
    pub gateway_errors: u64,
    /// Time to the response head: counts in the buckets up to [`LATENCY_BOUNDS_MS`] and above.
    pub latency_buckets: [u64; 13],
    /// Bytes of request bodies.
    pub bytes_in: u64,
    /// Bytes of response bodies.
    pub bytes_out: u64,
}
