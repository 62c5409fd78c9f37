use api::deliver as wire;
use base::{Actor, EnvironmentName, ReleaseId, RolloutId, ServiceName, Time};
use facts::RolloutState;
use ports::SettingRef;

use super::Release;

/// A service in an environment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub service: ServiceName,
    pub environment: EnvironmentName,
}

/// One attempt to make a release current in one environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rollout {
    pub id: RolloutId,
    pub place: Place,
    pub release: ReleaseId,
    pub number: i64,
    pub cause: Cause,
    /// Why, in the words of who asked.
    pub why: String,
    pub state: RolloutState,
    /// Where it is within its state; see `decide::rollout`.
    pub step: i64,
    pub reason: String,
    pub evidence: Vec<String>,
    /// Since when it is in this step of this state.
    pub since: Time,
    pub next: String,
    pub deadline: Option<Time>,
    /// The rollout whose instances had the traffic when this one began; it gets it back on failure.
    pub before: Option<RolloutId>,
    /// Crashes before the instances were ready.
    pub crashes: u32,
    /// What went wrong, kept while traffic moves back.
    pub fault: Option<String>,
    /// Who asked to stop it.
    pub cancel: Option<Actor>,
    pub settings: Vec<SettingRef>,
    pub created: Time,
    pub ended: Option<Time>,
    pub actor: Actor,
    /// Counts its changes.
    pub version: i64,
}

/// Why there is a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    Deploy,
    Promotion,
    Rollback,
    Restart,
    Settings,
}

impl Cause {
    const ALL: [Self; 5] = [Self::Deploy, Self::Promotion, Self::Rollback, Self::Restart, Self::Settings];

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Promotion => "promotion",
            Self::Rollback => "rollback",
            Self::Restart => "restart",
            Self::Settings => "settings",
        }
    }

    pub(crate) fn of(word: &str) -> Self {
        Self::ALL.into_iter().find(|cause| cause.word() == word).unwrap_or(Self::Deploy)
    }
}

/// One state in the history of a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RolloutStep {
    pub place: i64,
    pub state: RolloutState,
    pub reason: String,
    pub at: Time,
}

/// What a place runs: the rollout whose instances were last confirmed to have the traffic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Current {
    pub place: Place,
    pub rollout: RolloutId,
    pub since: Time,
    pub stopped: Stopped,
    /// When that rollout was asked for; its settings are those of that moment.
    pub begun: Time,
}

/// What a place runs, with all that is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Running {
    pub release: Release,
    pub rollout: Rollout,
    pub since: Time,
}

/// Whether what is current was ended with its service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// It runs.
    No,
    /// The service was removed.
    Removed,
    /// The service is back, and a rollout to start it again was begun.
    Restoring,
}

impl Stopped {
    pub(crate) const fn number(self) -> i64 {
        match self {
            Self::No => 0,
            Self::Removed => 1,
            Self::Restoring => 2,
        }
    }

    pub(crate) const fn of(number: i64) -> Self {
        match number {
            0 => Self::No,
            1 => Self::Removed,
            _ => Self::Restoring,
        }
    }
}

const WORDS: [(RolloutState, &str, wire::RolloutState); 11] = {
    use RolloutState as S;
    use wire::RolloutState as W;
    [
        (S::Pending, "pending", W::Pending),
        (S::Releasing, "releasing", W::Releasing),
        (S::Starting, "starting", W::Starting),
        (S::Shifting, "shifting", W::Shifting),
        (S::Verifying, "verifying", W::Verifying),
        (S::Draining, "draining", W::Draining),
        (S::Succeeded, "succeeded", W::Succeeded),
        (S::Undoing, "undoing", W::Undoing),
        (S::Failed, "failed", W::Failed),
        (S::Superseded, "superseded", W::Superseded),
        (S::Cancelled, "cancelled", W::Cancelled),
    ]
};

/// The word of a state.
pub(crate) fn state_word(state: RolloutState) -> &'static str {
    WORDS.iter().find(|(known, _, _)| *known == state).map_or("failed", |(_, word, _)| word)
}

/// The state of a word.
pub(crate) fn word_state(word: &str) -> Option<RolloutState> {
    WORDS.iter().find(|(_, known, _)| *known == word).map(|(state, _, _)| *state)
}

/// The state as the API names it.
pub(crate) fn api_state(state: RolloutState) -> wire::RolloutState {
    WORDS.iter().find(|(known, _, _)| *known == state).map_or(wire::RolloutState::Failed, |(_, _, wire)| *wire)
}
