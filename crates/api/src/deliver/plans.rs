//! What a rollout would do, how environments differ, and what ran: views over deliveries.

use base::{Actor, BuildId, EnvironmentName, RolloutId, ServiceName, Time};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{BuildState, BuildStep, NewRollout};

/// What to plan, and where. Name exactly one of `release`, `from`, `rollback`, `restart`, as for a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlanQuery {
    /// Where.
    pub environment: EnvironmentName,
    /// This release, by number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<i64>,
    /// What this environment runs now: a promotion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<EnvironmentName>,
    /// What ran here before, with the settings it had; together with `release` (number): that one.
    #[serde(default)]
    pub rollback: bool,
    /// What runs here now, started anew with the settings of now.
    #[serde(default)]
    pub restart: bool,
}

impl From<PlanQuery> for NewRollout {
    fn from(plan: PlanQuery) -> Self {
        let PlanQuery { environment, release, from, rollback, restart } = plan;
        Self { environment, release, from, rollback, restart, reason: None }
    }
}

/// What a rollout would do if it were started now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutPlan {
    /// Of which service.
    pub service: ServiceName,
    /// Where.
    pub environment: EnvironmentName,
    /// `deploy`, `promotion`, `rollback`, `restart`.
    pub cause: String,
    /// What would become current.
    pub to: Standing,
    /// What is current now; absent: nothing runs here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<Standing>,
    /// Settings that would differ from those that run now.
    pub settings: Vec<SettingDifference>,
    /// Needs that would differ from those that run now.
    pub needs: Vec<NeedDifference>,
    /// What happens, in order, one line each.
    pub steps: Vec<String>,
    /// What a rollout under way here would become.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supersedes: Option<RolloutId>,
}

/// Which comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ComparisonQuery {
    /// The environment to compare with: what a promotion would come from.
    pub from: EnvironmentName,
    /// Only this service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceName>,
    /// Items a page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// The `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// One service in two environments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    /// Which.
    pub service: ServiceName,
    /// Whose.
    pub team: base::TeamName,
    /// What the environment of the path runs; absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Standing>,
    /// What `from` runs; absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Standing>,
    /// Releases made after what `to` runs, up to what `from` runs, newest first; at most 20.
    pub ahead: Vec<Standing>,
    /// How many there are of them; negative: `to` runs the newer release.
    pub behind: i64,
    /// Settings in which they differ.
    pub settings: Vec<SettingDifference>,
    /// Needs in which they differ.
    pub needs: Vec<NeedDifference>,
    /// A rollout under way in `to`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutId>,
}

/// A release as far as it is compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// Its number.
    pub release: i64,
    /// Its commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// First line of the commit's message.
    pub message: String,
    /// The commit's author.
    pub author: String,
    /// When the release was made.
    pub created: Time,
    /// Since when it is current, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
}

/// How a setting differs. Values are not compared: what is one version of one setting is equal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SettingDifference {
    /// Its name.
    pub name: String,
    /// The version there or then; absent: it is not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<SettingPointer>,
    /// The version here or from then on; absent: it is not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<SettingPointer>,
}

/// Which version of a setting, and of which scope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SettingPointer {
    /// The version.
    pub version: i64,
    /// `platform`, `service`, or `environment` where the environment has a value of its own.
    pub scope: String,
}

/// How a need differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NeedDifference {
    /// Its name.
    pub name: String,
    /// What it is there or then: `service inventory`, `https://api.example.com`; absent: it is not needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// What it is here or from then on; absent: it is not needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// Which runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RunQuery {
    /// Items a page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// The `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Only of this service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceName>,
    /// Only of this kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<RunKind>,
}

/// What ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum RunKind {
    /// A build.
    Build,
    /// A release command.
    Release,
}

/// One run of something to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// What ran.
    pub kind: RunKind,
    /// Of which service.
    pub service: ServiceName,
    /// For which environment.
    pub environment: EnvironmentName,
    /// The build, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<BuildId>,
    /// The rollout of the release command, or the one that the build began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutId>,
    /// Its state; a release command is never queued.
    pub state: BuildState,
    /// Why, one line.
    pub reason: String,
    /// The release that was built, or whose command ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<i64>,
    /// Where the time went.
    pub steps: Vec<BuildStep>,
    /// When it was asked for (a build) or began (a release command).
    pub created: Time,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Time>,
    /// Who asked.
    pub actor: Actor,
}
