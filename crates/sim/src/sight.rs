//! Everything that the promises look at, of one moment.

use std::collections::{BTreeMap, BTreeSet};

use base::{EnvironmentName, Generation, InstanceId, ProcessName, ReleaseId, RolloutId, ServiceName, Time};
use facts::{Fact, RolloutSeen};
use ports::{InstanceSeen, Snapshot};
use store::StoredFact;

use crate::{Call, ProbeRecord};

/// One moment of a world: the ledger, what was decided, and what the outside really does.
#[derive(Debug, Clone, Default)]
pub struct Sight {
    /// Now.
    pub now: Time,
    /// Since when nothing interferes: no fault, no death, nobody away.
    pub calm_since: Time,
    /// The whole ledger, oldest first.
    pub facts: Vec<StoredFact>,
    /// What checking the ledger's chain found wrong.
    pub chain: Option<String>,
    /// What the machine knows, ended ones included.
    pub instances: Vec<InstanceSeen>,
    /// The orders that the machine carried out.
    pub calls: Vec<Call>,
    /// Releases of which an instance was ready at some time.
    pub served: BTreeSet<ReleaseId>,
    /// What the gateway serves.
    pub snapshot: Option<Snapshot>,
    /// Generations that the gateway took since it started, in order.
    pub taken: Vec<Generation>,
    /// Requests of the control plane that the gateway carried.
    pub probes: Vec<ProbeRecord>,
    /// What was decided about instances.
    pub decided: Vec<Decided>,
    /// What each place runs, as recorded.
    pub current: Vec<(ServiceName, EnvironmentName, RolloutId)>,
    /// Actions of people that were acknowledged.
    pub acks: Vec<Ack>,
    /// Calls that a stranger should have been refused.
    pub leaks: Vec<Leak>,
    /// Whether somebody removed these services.
    pub removed: BTreeSet<ServiceName>,
}

/// An instance that was decided upon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// Which.
    pub id: InstanceId,
    /// Of which rollout; `None`: the task of a build.
    pub rollout: Option<RolloutId>,
    /// Which process.
    pub process: ProcessName,
    /// Whether it shall (still) run.
    pub wanted: bool,
}

/// An action of a person that was answered with success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// Its idempotency key.
    pub key: String,
    /// Which endpoint.
    pub endpoint: String,
    /// The ids of all requests under this key, repetitions included.
    pub requests: Vec<String>,
}

/// Something that a stranger was shown or allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leak {
    /// Which endpoint.
    pub endpoint: String,
    /// About what.
    pub subject: String,
}

impl Sight {
    /// All facts of a type, oldest first.
    pub fn all<F: Fact>(&self) -> Vec<(&StoredFact, F)> {
        let of_kind = self.facts.iter().filter(|fact| fact.kind == F::KIND);
        of_kind.filter_map(|fact| Some((fact, serde_json::from_value(fact.body.clone()).ok()?))).collect()
    }

    /// The newest facts of a type, one for each subject.
    pub fn latest<F: Fact>(&self) -> Vec<F> {
        let mut seen = BTreeSet::new();
        let newest_first = self.facts.iter().rev().filter(|fact| fact.kind == F::KIND);
        let newest = newest_first.filter(|fact| seen.insert(&fact.subject));
        newest.filter_map(|fact| serde_json::from_value(fact.body.clone()).ok()).collect()
    }

    /// The newest fact of each rollout, oldest rollout first. The subject is the place, so that older
    /// rollouts are found in the history alone.
    pub fn rollouts(&self) -> Vec<RolloutSeen> {
        let all = self.all::<RolloutSeen>().into_iter();
        let newest: BTreeMap<_, _> = all.map(|(_, seen)| (seen.rollout, seen)).collect();
        newest.into_values().collect()
    }

    /// Rollouts that are not final.
    pub fn open_rollouts(&self) -> Vec<RolloutSeen> {
        self.rollouts().into_iter().filter(|seen| !seen.state.is_final()).collect()
    }

    /// Which rollout an instance was decided for.
    pub fn rollout_of(&self, id: InstanceId) -> Option<RolloutId> {
        self.decided.iter().find(|one| one.id == id)?.rollout
    }
}
