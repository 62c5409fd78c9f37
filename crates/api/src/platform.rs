//! The installation itself.

use base::Time;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::endpoint::endpoints;
use crate::{Access, Action, Page};

endpoints! {
    /// Whether the control plane runs.
    Healthz = "healthz": Get "/healthz", Access::Public, Json { reply: Alive }
    /// Whether the control plane can do its work.
    Readyz = "readyz": Get "/readyz", Access::Public, Json { reply: Alive }
    /// What the platform says about itself: roles, reconcilers, queues.
    GetPlatform = "getPlatform": Get "/v1/platform", Access::Platform(Action::Admin), Json { reply: Platform }
    /// Checks everything that can be wrong with the installation and says how to mend it.
    Doctor = "doctor": Get "/v1/doctor", Access::SignedIn, Json { query: DoctorQuery, reply: Page<Check> }
}

/// How closely the doctor looks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DoctorQuery {
    /// Look through all pages of the database now, which takes as long as reading it. Otherwise what the
    /// last look found is told, with its age; it is renewed in the background once it is older than an hour.
    #[serde(default)]
    pub thorough: bool,
}

/// A sign of life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Alive {
    /// Whether all is well.
    pub ok: bool,
    /// Version of the binary.
    pub version: String,
    /// What is not well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting_for: Vec<String>,
}

/// The platform's own state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Platform {
    /// Version of the binary.
    pub version: String,
    /// When the control plane started.
    pub started: Time,
    /// Where state is kept.
    pub database: String,
    /// The address of the API.
    pub api: String,
    /// The address beneath which services answer.
    pub gateway: String,
    /// The domain of services' host names.
    pub domain: String,
    /// Reconcilers.
    pub reconcilers: Vec<Reconciler>,
    /// Jobs not finished.
    pub jobs: Vec<Job>,
}

/// One reconciler.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reconciler {
    /// Name.
    pub name: String,
    /// Runs so far.
    pub runs: u64,
    /// Runs that failed.
    pub failures: u64,
    /// When it last ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run: Option<Time>,
    /// How long that took, microseconds.
    pub last_took_us: u64,
    /// What went wrong in the last run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// What it returned.
    #[schema(value_type = Object)]
    pub status: serde_json::Value,
}

/// One job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// Id.
    pub job: base::JobId,
    /// Kind.
    pub kind: String,
    /// State word.
    pub state: String,
    /// Attempts so far.
    pub attempts: u32,
    /// What went wrong last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Works, with less than there could be.
    Limited,
    /// Does not work.
    Broken,
}

/// One check of the doctor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// What was checked: `engine.memory-limit`.
    pub name: String,
    /// How it came out.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}
