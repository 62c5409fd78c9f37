//! What capabilities tell each other: facts (what happened, what is now) and wishes (what shall
//! become). A fact is keyed by kind and subject; the latest one per key is the public state, the
//! whole log is the history. Kinds of wishes end in `.wanted`.

mod access;
mod catalog;
mod deliver;
pub mod promise;
mod route;
mod run;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use access::{PersonChanged, SettingChanged, TeamState, TokenChanged, ViewChanged};
pub use catalog::{ServiceKind, ServiceState, ServiceWanted};
pub use deliver::{
    BuildSeen, EnvironmentState, Health, InstanceSet, InstancesWanted, Need, NeedKind, ProcessWanted, ReleaseMade,
    RolloutSeen, RolloutState, TrafficShare, TrafficWanted,
};
pub use route::{RouteSeen, ServedShare};
pub use run::{InstanceView, InstancesSeen, ProcessSeen, Replicas};

/// A typed fact or wish.
pub trait Fact: Serialize + DeserializeOwned + Send + Sync {
    /// Its kind: `<capability>.<noun>` or, for a wish, `<owner>.<noun>.wanted`.
    const KIND: &'static str;
    /// What it is about, within its kind.
    fn subject(&self) -> String;
}

/// The subject of everything that is about one service in one environment.
pub fn place(service: &base::ServiceName, environment: &base::EnvironmentName) -> String {
    format!("{service}/{environment}")
}

/// Every kind in use, for subscribers and for the test that no two types share one.
pub const KINDS: &[&str] = &[
    PersonChanged::KIND,
    SettingChanged::KIND,
    TeamState::KIND,
    TokenChanged::KIND,
    ViewChanged::KIND,
    ServiceState::KIND,
    ServiceWanted::KIND,
    BuildSeen::KIND,
    EnvironmentState::KIND,
    InstancesWanted::KIND,
    ReleaseMade::KIND,
    RolloutSeen::KIND,
    TrafficWanted::KIND,
    RouteSeen::KIND,
    InstancesSeen::KIND,
    Replicas::KIND,
];

#[cfg(test)]
mod tests {
    #[test]
    fn kinds_are_unique() {
        let mut kinds = super::KINDS.to_vec();
        kinds.sort_unstable();
        kinds.dedup();
        assert_eq!(kinds.len(), super::KINDS.len());
    }
}
