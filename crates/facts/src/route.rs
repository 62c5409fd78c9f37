use base::{EnvironmentName, Generation, HostName, InstanceId, ReleaseId, RolloutId, ServiceName, Time};
use serde::{Deserialize, Serialize};

use crate::{Fact, place};

/// What the gateway serves of a service in an environment, as read back from it; subject: service/environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteSeen {
    /// Which service.
    pub service: ServiceName,
    /// Where.
    pub environment: EnvironmentName,
    /// The generation of the wish ([`crate::TrafficWanted`]) that the gateway has taken.
    pub generation: Generation,
    /// The generation of the snapshot with which the route came; it is the same in every newer one.
    pub snapshot: Generation,
    /// Host names it answers for.
    pub hosts: Vec<HostName>,
    /// Its address for people: `http://shop-dev.localhost:8080`.
    pub url: String,
    /// What is served.
    pub shares: Vec<ServedShare>,
    /// Why the wish could not be carried out, one line; empty when it was.
    pub problem: String,
    /// Since when.
    pub since: Time,
}

impl Fact for RouteSeen {
    const KIND: &'static str = "route.served";
    fn subject(&self) -> String {
        place(&self.service, &self.environment)
    }
}

/// One rollout behind a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServedShare {
    /// Which rollout.
    pub rollout: RolloutId,
    /// Which release.
    pub release: ReleaseId,
    /// Relative weight.
    pub weight: u16,
    /// Instances that the gateway may use.
    pub instances: u32,
    /// Which ones: what was answered says nothing about others. Facts of earlier versions do not tell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<InstanceId>,
    /// Requests of instances of this rollout still under way, when last asked.
    pub in_flight: u64,
    /// What a request through the gateway to this rollout saw, one line.
    pub probe: String,
    /// Whether that request was answered well (200–399, or any answer where no health path is named).
    pub probe_ok: bool,
}
