use std::collections::BTreeMap;

use base::{EnvironmentName, Generation, InstanceId, ProcessName, ReleaseId, RolloutId, ServiceName, Time};
use ports::{Address, InstanceState};
use serde::{Deserialize, Serialize};

use crate::{Fact, place};

/// What runs of a service in an environment; subject: service/environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstancesSeen {
    /// Which service.
    pub service: ServiceName,
    /// Where.
    pub environment: EnvironmentName,
    /// The generation of the wish ([`crate::InstancesWanted`]) that this is measured against.
    pub generation: Generation,
    /// One entry for each process of each set that is wanted or still there.
    pub processes: Vec<ProcessSeen>,
}

impl Fact for InstancesSeen {
    const KIND: &'static str = "run.instances";
    fn subject(&self) -> String {
        place(&self.service, &self.environment)
    }
}

/// What is seen of one process of one set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessSeen {
    /// Which set.
    pub rollout: RolloutId,
    /// Which release.
    pub release: ReleaseId,
    /// Which process.
    pub process: ProcessName,
    /// Runs once to its end.
    pub task: bool,
    /// How many shall run now (0: the set is on its way out).
    pub wanted: u32,
    /// Crashes since the set was started.
    pub crashes: u32,
    /// Whether it crashes again and again and is restarted ever more slowly.
    pub crash_loop: bool,
    /// Why the process is not as it should be, one line; empty when it is.
    pub trouble: String,
    /// Last log lines of the newest instance that crashed or failed; at most 20.
    pub last_lines: Vec<String>,
    /// The instances, running ones and the last one that ended.
    pub instances: Vec<InstanceView>,
}

impl ProcessSeen {
    /// Instances that answer their probe.
    pub fn ready(&self) -> u32 {
        u32::try_from(self.instances.iter().filter(|i| i.state == InstanceState::Ready).count()).unwrap_or(u32::MAX)
    }

    /// Instances that have a process.
    pub fn running(&self) -> u32 {
        u32::try_from(self.instances.iter().filter(|i| i.state.is_running()).count()).unwrap_or(u32::MAX)
    }
}

/// One instance as others may see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceView {
    /// Which one.
    pub id: InstanceId,
    /// What it is doing.
    pub state: InstanceState,
    /// Since when.
    pub since: Time,
    /// What makes the state true.
    pub evidence: String,
    /// Where its port is.
    pub address: Option<Address>,
}

/// How many instances a person asked for; subject: service/environment. Holds over rollouts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Replicas {
    /// Which service.
    pub service: ServiceName,
    /// Where.
    pub environment: EnvironmentName,
    /// Number for each process that was scaled.
    pub processes: BTreeMap<ProcessName, u32>,
}

impl Fact for Replicas {
    const KIND: &'static str = "run.replicas";
    fn subject(&self) -> String {
        place(&self.service, &self.environment)
    }
}
