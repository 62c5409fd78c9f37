use std::collections::BTreeMap;

use base::{
    BuildId, Bytes, Digest, EnvironmentName, HostName, MilliCpu, NeedName, ProcessName, ReleaseId, RolloutId,
    ServiceName, SettingName, SourceId, Span, Time,
};
use ports::SettingRef;
use serde::{Deserialize, Serialize};

use crate::{Fact, ServiceKind, place};

/// An environment was added or moved in the order of promotion; subject: its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentState {
    /// Which one.
    pub environment: EnvironmentName,
    /// All environments in the order of promotion, from now on.
    pub order: Vec<EnvironmentName>,
}

impl Fact for EnvironmentState {
    const KIND: &'static str = "deliver.environment";
    fn subject(&self) -> String {
        self.environment.to_string()
    }
}

/// How a build stands; subject: its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildSeen {
    /// Which build.
    pub build: BuildId,
    /// Of which service.
    pub service: ServiceName,
    /// From which source.
    pub source: SourceId,
    /// `queued`, `running`, `succeeded`, `failed`, `cancelled`.
    pub state: String,
    /// Why it is in this state, one line.
    pub reason: String,
    /// Since when.
    pub since: Time,
}

impl Fact for BuildSeen {
    const KIND: &'static str = "deliver.build";
    fn subject(&self) -> String {
        self.build.to_string()
    }
}

/// A release was made; subject: its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseMade {
    /// Which release.
    pub release: ReleaseId,
    /// Of which service.
    pub service: ServiceName,
    /// Counts from 1 within the service.
    pub number: i64,
    /// The artifact.
    pub artifact: Digest,
    /// From which source.
    pub source: SourceId,
    /// The commit, where it came from git.
    pub commit: Option<String>,
    /// Web, worker or site.
    pub kind: ServiceKind,
    /// What it needs from others.
    pub needs: BTreeMap<NeedName, Need>,
}

impl Fact for ReleaseMade {
    const KIND: &'static str = "deliver.release";
    fn subject(&self) -> String {
        self.release.to_string()
    }
}

/// Something that a service needs from outside itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Need {
    /// What it is.
    pub kind: NeedKind,
    /// The environment variable that holds its URL.
    pub variable: SettingName,
    /// The URL that the instances get.
    pub url: String,
    /// Host to connect to.
    pub host: String,
    /// TCP port to connect to.
    pub port: u16,
}

/// What sort of need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum NeedKind {
    /// Another service of the installation, in the same environment.
    Service(ServiceName),
    /// Something outside the installation.
    External,
}

/// The states of a rollout; the machine is closed: these and no others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RolloutState {
    /// Accepted; nothing has been done yet.
    Pending,
    /// The release command runs; no traffic moves before it has succeeded.
    Releasing,
    /// New instances start beside the old ones.
    Starting,
    /// Traffic moves to the new instances.
    Shifting,
    /// All traffic is on the new instances and they are watched.
    Verifying,
    /// Old instances finish what they have and end.
    Draining,
    /// The release is current, observed healthy on its route.
    Succeeded,
    /// Something failed after traffic had begun to move: it moves back.
    Undoing,
    /// It failed; what served before serves still.
    Failed,
    /// A newer rollout took its place.
    Superseded,
    /// A person stopped it.
    Cancelled,
}

impl RolloutState {
    /// Whether nothing more will happen.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Superseded | Self::Cancelled)
    }
}

/// How the newest rollout of a place stands; subject: service/environment. Each rollout's own
/// history is in the log: its facts carry its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RolloutSeen {
    /// Which rollout.
    pub rollout: RolloutId,
    /// Of which service.
    pub service: ServiceName,
    /// Where.
    pub environment: EnvironmentName,
    /// Which release shall become current.
    pub release: ReleaseId,
    /// The release's number.
    pub number: i64,
    /// Its state.
    pub state: RolloutState,
    /// Why it is in this state, one line.
    pub reason: String,
    /// What was observed, one line each: probes, exit statuses, last log lines.
    pub evidence: Vec<String>,
    /// Since when.
    pub since: Time,
    /// What happens next.
    pub next: String,
    /// By when it leaves this state by itself; `None` in final states.
    pub deadline: Option<Time>,
}

impl Fact for RolloutSeen {
    const KIND: &'static str = "deliver.rollout";
    fn subject(&self) -> String {
        place(&self.service, &self.environment)
    }
}

/// Wish to `run`: exactly these sets of instances shall exist; subject: service/environment.
/// A set that is not named shall end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstancesWanted {
    /// Which service.
    pub service: ServiceName,
    /// Where.
    pub environment: EnvironmentName,
    /// The sets, oldest first.
    pub sets: Vec<InstanceSet>,
}

impl Fact for InstancesWanted {
    const KIND: &'static str = "run.instances.wanted";
    fn subject(&self) -> String {
        place(&self.service, &self.environment)
    }
}

/// The instances of one rollout: everything needed to start one, but no secret value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceSet {
    /// The rollout that wants them.
    pub rollout: RolloutId,
    /// The release they run.
    pub release: ReleaseId,
    /// The release's number, for people.
    pub number: i64,
    /// The artifact.
    pub artifact: Digest,
    /// What shall run.
    pub processes: Vec<ProcessWanted>,
    /// Versions of settings whose values become environment variables.
    pub settings: Vec<SettingRef>,
    /// Settings given in the manifest, as templates: `${needs.db.url}`, `${settings.NAME}`.
    pub variables: BTreeMap<SettingName, String>,
    /// What may be reached, and under which variable its URL is given.
    pub needs: BTreeMap<NeedName, Need>,
}

/// One process of a set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessWanted {
    /// Its name; `web` gets the traffic.
    pub process: ProcessName,
    /// Web gets a port, worker none, site is run by the platform's file server, and
    /// a release command is a worker with `task`.
    pub kind: ServiceKind,
    /// Runs once to its end (a release command) instead of serving.
    pub task: bool,
    /// Program and arguments; `${PORT}` in an argument is replaced.
    pub command: Vec<String>,
    /// Plain environment from the recipe.
    pub env: BTreeMap<String, String>,
    /// How readiness is found out (`web` and `site`).
    pub health: Option<Health>,
    /// Fewest instances.
    pub instances_min: u32,
    /// Most instances.
    pub instances_max: u32,
    /// Processor limit of one.
    pub cpu: MilliCpu,
    /// Memory limit of one.
    pub memory: Bytes,
    /// SIGTERM to SIGKILL.
    pub stop: Span,
}

/// How readiness is found out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// `GET` of this path answers 200–399; `None`: the port accepts a connection.
    pub path: Option<String>,
}

/// Wish to `route`: where traffic of a service in an environment shall go; subject: service/environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrafficWanted {
    /// Which service.
    pub service: ServiceName,
    /// Where.
    pub environment: EnvironmentName,
    /// Host names beside the platform's own.
    pub hosts: Vec<HostName>,
    /// Shares; empty: the route exists and answers that nothing runs.
    pub shares: Vec<TrafficShare>,
    /// Whether the route shall not exist at all (workers, removed services).
    pub closed: bool,
}

impl Fact for TrafficWanted {
    const KIND: &'static str = "route.traffic.wanted";
    fn subject(&self) -> String {
        place(&self.service, &self.environment)
    }
}

/// The share of one rollout in the traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrafficShare {
    /// Which rollout's instances.
    pub rollout: RolloutId,
    /// The release they run.
    pub release: ReleaseId,
    /// Relative weight, 0–10000; 0: reachable only for probes.
    pub weight: u16,
}
