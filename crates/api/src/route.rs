//! Where traffic goes.

use base::{EnvironmentName, HostName, ReleaseId, ServiceName, Time};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::ServicePath;
use crate::endpoint::endpoints;
use crate::{Access, Action, Page};

endpoints! {
    /// The routes of a service, as read back from the gateway.
    ListRoutes = "listRoutes": Get "/v1/services/{service}/routes", Access::Service(Action::Read), Json { path: ServicePath, reply: Page<Route> }
    /// Requests to a service since the gateway started, by release.
    GetTraffic = "getTraffic": Get "/v1/services/{service}/traffic", Access::Service(Action::Read), Json { path: ServicePath, reply: Page<Traffic> }
}

/// A route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// Of which service.
    pub service: ServiceName,
    /// Where.
    pub environment: EnvironmentName,
    /// Its address.
    pub url: String,
    /// All host names it answers for.
    pub hosts: Vec<HostName>,
    /// Shares of releases.
    pub shares: Vec<Share>,
    /// Why it is not as wanted; empty when it is.
    pub problem: String,
    /// Since when.
    pub since: Time,
}

/// The share of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Share {
    /// Which release.
    pub release: ReleaseId,
    /// Percent of the traffic.
    pub percent: u32,
    /// Instances behind it.
    pub instances: u32,
    /// What a request through the gateway saw.
    pub probe: String,
}

/// Counters of one route and release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Traffic {
    /// Where.
    pub environment: EnvironmentName,
    /// Which release; absent: what no instance answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseId>,
    /// Requests.
    pub requests: u64,
    /// Answers 200–399 and upgrades.
    pub ok: u64,
    /// Answers 400–499.
    pub client_errors: u64,
    /// Answers 500–599.
    pub server_errors: u64,
    /// Requests that failed on the way to an instance.
    pub gateway_errors: u64,
    /// Half of the answers began within this many milliseconds (upper bound of the bucket).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_ms: Option<u32>,
    /// 99 of 100 answers began within this many milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99_ms: Option<u32>,
    /// Bytes of request bodies.
    pub bytes_in: u64,
    /// Bytes of response bodies.
    pub bytes_out: u64,
}
