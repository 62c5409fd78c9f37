//! Values of this subject.

use std::time::Duration;

use base::{EnvironmentName, Generation, InstanceId, ProcessName, ReleaseId, RolloutId, ServiceName, Time};

/// One process of one set in one place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub service: ServiceName,
    pub environment: EnvironmentName,
    pub rollout: RolloutId,
    pub process: ProcessName,
}

/// An instance that was decided upon. The record is committed before the engine hears of it, so a
/// crash in between leads to the same instance, not to a second one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    pub id: InstanceId,
    pub key: Key,
    pub release: ReleaseId,
    pub generation: Generation,
    pub state: KnownState,
    /// SIGTERM to SIGKILL, as the manifest of its release says.
    pub stop: Duration,
    pub created: Time,
}

/// What was decided about an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KnownState {
    /// It shall run.
    Wanted,
    /// It shall end; it is told once nobody sends it requests any more.
    Stopping { since: Time },
    /// It has ended.
    Ended { at: Time, crashed: bool },
}

impl KnownState {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Wanted => "wanted",
            Self::Stopping { .. } => "stopping",
            Self::Ended { .. } => "ended",
        }
    }
}

/// Crashes of a process of a set since it last ran well.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub crashes: u32,
    pub last_crash: Time,
}
