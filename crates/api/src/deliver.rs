//! Source, build, release, rollout, environments.

mod plans;

use std::collections::BTreeMap;

use base::{Actor, BuildId, Digest, EnvironmentName, ReleaseId, RolloutId, ServiceName, SourceId, Time};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::ServicePath;
use crate::endpoint::endpoints;
use crate::{Access, Action, Page, PageQuery};

pub use plans::*;

endpoints! {
    /// The environments in the order of promotion.
    ListEnvironments = "listEnvironments": Get "/v1/environments", Access::SignedIn, Json { reply: Page<Environment> }
    /// Adds an environment, or moves it in the order.
    PutEnvironment = "putEnvironment": Put "/v1/environments/{environment}", Access::Platform(Action::Admin), Json { path: EnvironmentPath, body: EnvironmentChange, reply: Environment }
    /// Uploads a working tree (gzip-compressed tar) and starts its build and rollout.
    UploadSource = "uploadSource": Post "/v1/services/{service}/sources", Access::Service(Action::Deploy), Upload { path: ServicePath, query: UploadQuery, reply: Deploy }
    /// Follows a deploy from source to traffic: stages, build log, outcome.
    WatchDeploy = "watchDeploy": Get "/v1/services/{service}/deploys/{source}/events", Access::Service(Action::Read), Events { path: SourcePath, reply: Progress }
    /// Builds, newest first.
    ListBuilds = "listBuilds": Get "/v1/services/{service}/builds", Access::Service(Action::Read), Json { path: ServicePath, query: PageQuery, reply: Page<Build> }
    /// One build.
    GetBuild = "getBuild": Get "/v1/services/{service}/builds/{build}", Access::Service(Action::Read), Json { path: BuildPath, reply: Build }
    /// The log of a build, followed to its end.
    WatchBuildLog = "watchBuildLog": Get "/v1/services/{service}/builds/{build}/log", Access::Service(Action::Read), Events { path: BuildPath, reply: crate::run::LogLine }
    /// Stops a build.
    CancelBuild = "cancelBuild": Post "/v1/services/{service}/builds/{build}/cancel", Access::Service(Action::Deploy), Json { path: BuildPath, reply: Build }
    /// Releases, newest first.
    ListReleases = "listReleases": Get "/v1/services/{service}/releases", Access::Service(Action::Read), Json { path: ServicePath, query: PageQuery, reply: Page<Release> }
    /// One release with all that it takes to run it.
    GetRelease = "getRelease": Get "/v1/services/{service}/releases/{number}", Access::Service(Action::Read), Json { path: ReleasePath, reply: Release }
    /// Starts a rollout: of a release, of what another environment runs (promotion), of what ran before (rollback), or of what runs now (restart).
    StartRollout = "startRollout": Post "/v1/services/{service}/rollouts", Access::Service(Action::Deploy), Json { path: ServicePath, body: NewRollout, reply: Rollout }
    /// Rollouts, newest first.
    ListRollouts = "listRollouts": Get "/v1/services/{service}/rollouts", Access::Service(Action::Read), Json { path: ServicePath, query: RolloutQuery, reply: Page<Rollout> }
    /// One rollout.
    GetRollout = "getRollout": Get "/v1/services/{service}/rollouts/{rollout}", Access::Service(Action::Read), Json { path: RolloutPath, reply: Rollout }
    /// Each change of a rollout until it is final.
    WatchRollout = "watchRollout": Get "/v1/services/{service}/rollouts/{rollout}/events", Access::Service(Action::Read), Events { path: RolloutPath, reply: Rollout }
    /// Stops a rollout; what served before serves on.
    CancelRollout = "cancelRollout": Post "/v1/services/{service}/rollouts/{rollout}/cancel", Access::Service(Action::Deploy), Json { path: RolloutPath, reply: Rollout }
    /// What each environment runs of a service, and what differs from the one before it.
    GetBoard = "getBoard": Get "/v1/services/{service}/environments", Access::Service(Action::Read), Json { path: ServicePath, reply: Page<BoardEntry> }
    /// What a rollout would do if it were started now: which release, what changes with it, what happens to traffic. Nothing is started.
    PlanRollout = "planRollout": Get "/v1/services/{service}/rollout-plan", Access::Service(Action::Read), Json { path: ServicePath, query: PlanQuery, reply: RolloutPlan }
    /// What an environment runs of each service beside what another one runs: releases, settings, needs.
    CompareEnvironments = "compareEnvironments": Get "/v1/environments/{environment}/comparison", Access::SignedIn, Json { path: EnvironmentPath, query: ComparisonQuery, reply: Page<Comparison> }
    /// Builds and release commands of all services that the caller may see, newest first.
    ListRuns = "listRuns": Get "/v1/runs", Access::SignedIn, Json { query: RunQuery, reply: Page<Run> }
    /// Advertises the refs of a service's git repository (gitprotocol-http).
    GitRefs = "gitRefs": Get "/git/{repository}/info/refs", Access::ServiceOrNew(Action::Deploy), Raw { path: RepositoryPath, query: GitQuery }
    /// Receives a push (gitprotocol-http).
    GitReceivePack = "gitReceivePack": Post "/git/{repository}/git-receive-pack", Access::ServiceOrNew(Action::Deploy), Raw { path: RepositoryPath }
    /// Serves a clone or fetch (gitprotocol-http).
    GitUploadPack = "gitUploadPack": Post "/git/{repository}/git-upload-pack", Access::Service(Action::Read), Raw { path: RepositoryPath }
}

/// `{environment}` in a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentPath {
    /// The environment.
    pub environment: EnvironmentName,
}

/// `{service}` and `{source}` in a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourcePath {
    /// The service.
    pub service: ServiceName,
    /// The source.
    pub source: SourceId,
}

/// `{service}` and `{build}` in a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BuildPath {
    /// The service.
    pub service: ServiceName,
    /// The build.
    pub build: BuildId,
}

/// `{service}` and `{number}` in a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleasePath {
    /// The service.
    pub service: ServiceName,
    /// The release's number.
    pub number: i64,
}

/// `{service}` and `{rollout}` in a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutPath {
    /// The service.
    pub service: ServiceName,
    /// The rollout.
    pub rollout: RolloutId,
}

/// `{repository}` in a path: a service's name, with or without `.git`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryPath {
    /// `checkout.git`
    pub repository: String,
}

/// The query of git's smart HTTP protocol.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct GitQuery {
    /// `git-receive-pack` or `git-upload-pack`.
    #[serde(default)]
    pub service: String,
}

/// An environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Environment {
    /// Name.
    pub environment: EnvironmentName,
    /// Place in the order of promotion, from 1.
    pub order: i64,
}

/// A place in the order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnvironmentChange {
    /// Behind which environment it comes; absent: first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<EnvironmentName>,
}

/// What an upload is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UploadQuery {
    /// Where to roll out; default: the first environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentName>,
    /// The commit that the tree is based on, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// A line about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A deploy that has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Deploy {
    /// The source; follow the deploy with it.
    pub source: SourceId,
    /// The service.
    pub service: ServiceName,
    /// Where it goes.
    pub environment: EnvironmentName,
    /// The build.
    pub build: BuildId,
    /// What the last successful deploy of this service took, source to traffic, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_took_ms: Option<u64>,
}

/// One step of a deploy as it happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Progress {
    /// A stage began.
    #[serde(rename_all = "camelCase")]
    Stage {
        /// `detect`, `build`, `package`, `release`, `start`, `shift`, `verify`, `drain`, …
        stage: String,
        /// One line about it.
        text: String,
        /// When.
        at: Time,
    },
    /// A line of output.
    #[serde(rename_all = "camelCase")]
    Line {
        /// The text.
        text: String,
        /// When.
        at: Time,
    },
    /// It is over.
    #[serde(rename_all = "camelCase")]
    Done {
        /// Whether the new release is current, observed healthy on its route.
        ok: bool,
        /// One line: what is so now, or why it failed.
        text: String,
        /// What was observed.
        evidence: Vec<String>,
        /// The address.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        url: Option<String>,
        /// Number of the new release.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        release: Option<i64>,
        /// Number of the release that has the traffic now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        serving: Option<i64>,
        /// The rollout.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rollout: Option<RolloutId>,
        /// Source to now, milliseconds.
        took_ms: u64,
        /// When.
        at: Time,
    },
}

/// States of a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum BuildState {
    /// Waits for its turn.
    Queued,
    /// Runs.
    Running,
    /// Made an artifact.
    Succeeded,
    /// Made none; the reason says why.
    Failed,
    /// A person stopped it, or a newer push took its place.
    Cancelled,
}

/// A build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Build {
    /// Which.
    pub build: BuildId,
    /// Of which service.
    pub service: ServiceName,
    /// Where its release is to be rolled out.
    pub environment: EnvironmentName,
    /// From which source.
    pub source: SourceId,
    /// When the source arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pushed: Option<Time>,
    /// The commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// First line of the commit's message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Its state.
    pub state: BuildState,
    /// Why, one line.
    pub reason: String,
    /// The recipe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<String>,
    /// What was found that chose the recipe.
    pub evidence: Vec<String>,
    /// The artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<Digest>,
    /// The release made of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<i64>,
    /// The rollout that it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutId>,
    /// Where the time went.
    pub steps: Vec<BuildStep>,
    /// When it was asked for.
    pub created: Time,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Time>,
    /// Who asked.
    pub actor: Actor,
}

/// One step of a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BuildStep {
    /// Name.
    pub name: String,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// Time it took, milliseconds; absent while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
}

/// A release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    /// Which.
    pub release: ReleaseId,
    /// Counts from 1 within the service.
    pub number: i64,
    /// Of which service.
    pub service: ServiceName,
    /// The artifact.
    pub artifact: Digest,
    /// From which source.
    pub source: SourceId,
    /// The commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// First line of the commit's message.
    pub message: String,
    /// The commit's author.
    pub author: String,
    /// The recipe that built it.
    pub recipe: String,
    /// The resolved manifest: all that it takes to run it.
    #[schema(value_type = Object)]
    pub manifest: serde_json::Value,
    /// When it was made.
    pub created: Time,
    /// By whom.
    pub actor: Actor,
    /// Environments where it is current.
    pub current_in: Vec<EnvironmentName>,
}

/// What to roll out. Name exactly one of `release`, `from`, `rollback`, `restart`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewRollout {
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
    /// Why, for those who read the history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Which rollouts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RolloutQuery {
    /// Items a page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// The `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Only in this environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentName>,
}

/// States of a rollout; these and no others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum RolloutState {
    /// Accepted.
    Pending,
    /// The release command runs.
    Releasing,
    /// New instances start.
    Starting,
    /// Traffic moves.
    Shifting,
    /// The new release is watched under all traffic.
    Verifying,
    /// Old instances finish and end.
    Draining,
    /// Current, observed healthy on its route.
    Succeeded,
    /// Traffic moves back.
    Undoing,
    /// Failed; what served before serves still.
    Failed,
    /// A newer rollout took its place.
    Superseded,
    /// A person stopped it.
    Cancelled,
}

/// A rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    /// Which.
    pub rollout: RolloutId,
    /// Of which service.
    pub service: ServiceName,
    /// Where.
    pub environment: EnvironmentName,
    /// Which release.
    pub release: ReleaseId,
    /// Its number.
    pub number: i64,
    /// `deploy`, `promotion`, `rollback`, `restart`, `settings`.
    pub cause: String,
    /// Its state.
    pub state: RolloutState,
    /// Why it is in this state.
    pub reason: String,
    /// What was observed.
    pub evidence: Vec<String>,
    /// Since when.
    pub since: Time,
    /// What happens next.
    pub next: String,
    /// By when it leaves this state by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Time>,
    /// The states so far, with the time each began.
    pub history: Vec<RolloutStep>,
    /// Settings (name → version) that it runs with.
    pub settings: BTreeMap<String, i64>,
    /// When it was asked for.
    pub created: Time,
    /// When it became final.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Time>,
    /// Who asked.
    pub actor: Actor,
}

/// One state in the history of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStep {
    /// The state.
    pub state: RolloutState,
    /// Why.
    pub reason: String,
    /// When it began.
    pub at: Time,
}

/// What an environment runs of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BoardEntry {
    /// Where.
    pub environment: EnvironmentName,
    /// Number of the current release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<i64>,
    /// Its artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<Digest>,
    /// Its commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// First line of the commit's message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Since when it is current.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// What differs from the environment before it, one line each: release, commit, settings.
    pub differs: Vec<String>,
    /// A rollout under way here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutId>,
}
