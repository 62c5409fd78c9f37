use std::time::Duration;

use base::{HostName, Problem, RolloutId};
use serde::{Deserialize, Serialize};

pub(super) const SNAPSHOT: &str = "/v1/snapshot";
pub(super) const STATUS: &str = "/v1/status";
pub(super) const COUNTERS: &str = "/v1/counters";
pub(super) const BOUNDS: &str = "/v1/bounds";
pub(super) const PROBE: &str = "/v1/probe";

/// Longest probe.
pub(super) const PROBE_MAX: Duration = Duration::from_secs(120);

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ProbeRequest {
    pub(super) host: HostName,
    pub(super) rollout: RolloutId,
    pub(super) path: String,
    pub(super) timeout_ms: u64,
}

/// A problem on its way through the socket; its kind is the HTTP status.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireProblem {
    code: String,
    message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    place: Option<String>,
}

impl From<Problem> for WireProblem {
    fn from(p: Problem) -> Self {
        Self { code: p.code.into_owned(), message: p.message, hint: p.hint, place: p.place }
    }
}

impl WireProblem {
    pub(super) fn into_problem(self, status: u16) -> Problem {
        let mut problem = Problem::new(base::Kind::from_status(status), self.code, self.message);
        problem.hint = self.hint;
        problem.place = self.place;
        problem
    }
}
