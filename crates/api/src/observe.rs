//! Recent history: requests as the gateway counted them, and what instances use.

use base::{Bytes, EnvironmentName, InstanceId, ProcessName, ReleaseId, ServiceName, Span, Time};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::ServicePath;
use crate::endpoint::endpoints;
use crate::{Access, Action, Page};

endpoints! {
    /// Recent requests to a service and what its instances use, as series of equal steps.
    GetMetrics = "getMetrics": Get "/v1/services/{service}/metrics", Access::Service(Action::Read), Json { path: ServicePath, query: MetricsQuery, reply: Metrics }
    /// Rate, errors and latency now of every place with a route that the caller may see.
    ListMetrics = "listMetrics": Get "/v1/metrics", Access::SignedIn, Json { query: OverviewQuery, reply: Page<PlaceMetrics> }
}

/// Which part of the history.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MetricsQuery {
    /// The environment; default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentName>,
    /// How far back, 1 minute to 24 hours; default 1 hour. What lies beyond is taken as the nearest of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Span>,
    /// Length of a step; default: so that there are 60 to 120. At least what is kept, and at most 720 steps are told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<Span>,
    /// The end of the window; default: now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
}

/// Which places, and over what span.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OverviewQuery {
    /// Services a page, 1–500; default 100. Each comes with all its environments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// The `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Only these services, joined by commas, at most 500; there is one page then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub services: Option<String>,
    /// Only this environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentName>,
    /// How far back, 1 minute to 24 hours; default 5 minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Span>,
}

/// Recent history of a service. Step `i` begins at `start + i × stepMs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Metrics {
    /// Of which service.
    pub service: ServiceName,
    /// Begin of the first step.
    pub start: Time,
    /// Length of a step, milliseconds.
    pub step_ms: u64,
    /// For each step how long the gateway was observed, milliseconds. 0: nobody looked, and the
    /// counts of that step say nothing. More than the step: looks were missed before, and the counts
    /// are those of the whole span. A rate is the count divided by this.
    pub observed_ms: Vec<u64>,
    /// When the gateway was last looked at; absent: not since the platform started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Time>,
    /// The environments that have a route or had requests.
    pub environments: Vec<EnvironmentMetrics>,
}

/// Recent history of a service in one environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentMetrics {
    /// Where.
    pub environment: EnvironmentName,
    /// Requests of the whole window.
    pub total: Counted,
    /// Requests of each step.
    pub points: Vec<Counted>,
    /// The same by release.
    pub releases: Vec<ReleaseMetrics>,
    /// What each instance used.
    pub instances: Vec<InstanceMetrics>,
}

/// Requests to one release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseMetrics {
    /// Which; absent: what no instance answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseId>,
    /// Requests of the whole window.
    pub total: Counted,
    /// Requests of each step.
    pub points: Vec<Counted>,
}

/// Requests counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Counted {
    /// Finished requests.
    pub requests: u64,
    /// Answers 200–399 and upgrades.
    pub ok: u64,
    /// Answers 400–499.
    pub client_errors: u64,
    /// Answers 500–599, those of the gateway included.
    pub server_errors: u64,
    /// Requests that failed for a fault of the gateway or of the way to the instance.
    pub gateway_errors: u64,
    /// Half of the answers began within this time; absent without requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50: Option<Latency>,
    /// 90 of 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p90: Option<Latency>,
    /// 99 of 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99: Option<Latency>,
    /// Bytes of request bodies.
    pub bytes_in: u64,
    /// Bytes of response bodies.
    pub bytes_out: u64,
}

/// A quantile of a histogram: it is known between which bounds it lies, and not where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Latency {
    /// More than so many milliseconds; 0: any.
    pub above_ms: u32,
    /// At most so many; absent: no bound is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most_ms: Option<u32>,
}

/// What one instance used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstanceMetrics {
    /// Which.
    pub instance: InstanceId,
    /// Which process.
    pub process: ProcessName,
    /// Of which release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseId>,
    /// One for each step.
    pub points: Vec<Used>,
}

/// What was used in a step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Used {
    /// How long it was observed, milliseconds; 0: not at all, and the rest says nothing.
    pub observed_ms: u64,
    /// Processor time, microseconds. Divided by `observedMs`: thousandths of a core.
    pub cpu_us: u64,
    /// Most resident memory seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Bytes>,
}

/// What a service does now in one environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlaceMetrics {
    /// Which service.
    pub service: ServiceName,
    /// Where.
    pub environment: EnvironmentName,
    /// How much of the window was observed, milliseconds. 0: the counts say nothing.
    pub observed_ms: u64,
    /// Requests of the window.
    pub total: Counted,
    /// Length of a step of `recent`, milliseconds.
    pub step_ms: u64,
    /// Requests of each step; null where nobody looked.
    pub recent: Vec<Option<u64>>,
}

impl Counted {
    /// Requests a second over a span that was observed; nothing where it was not.
    pub fn per_second(&self, observed_ms: u64) -> Option<f64> {
        (observed_ms > 0).then(|| self.requests as f64 * 1000.0 / observed_ms as f64)
    }

    /// Which part of the requests failed for the service or the platform; nothing without requests.
    pub fn failing(&self) -> Option<f64> {
        (self.requests > 0).then(|| self.server_errors.max(self.gateway_errors) as f64 / self.requests as f64)
    }
}

impl Used {
    /// Thousandths of a core; nothing where it was not observed.
    pub fn millicores(&self) -> Option<f64> {
        (self.observed_ms > 0).then(|| self.cpu_us as f64 / self.observed_ms as f64)
    }
}
