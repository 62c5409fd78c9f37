//! All SQL of this capability's own tables.

mod artifact;
mod build;
mod condemned;
mod environment;
mod landing;
mod needed;
mod release;
mod rollout;
mod source;

pub(crate) use artifact::{blobs, forget_blob, kept_artifacts, put_artifact, touch_blobs};
pub(crate) use build::{
    active_builds, build, build_of_source, builds, builds_before, end_stage, ended_with_task, insert_build,
    last_took_ms, old_logs, open_builds, put_build, put_stage, set_log_saved, set_task, set_task_gone, stages,
};
pub(crate) use condemned::{condemn, condemned, let_off};
pub(crate) use environment::{environments, put_environments};
pub(crate) use landing::{has_source_since, landing, landings, put_landing, take_landing};
pub(crate) use needed::{saved_logs, stored_sources};
pub(crate) use release::{insert_release, next_number, release, release_numbered, releases};
pub(crate) use rollout::{
    active_in, current, currents_of, insert_rollout, latest_in, open_rollouts, open_rollouts_of, previous_success,
    put_current, put_rollout, release_commands_before, remove_current, rollout, rollouts, services_under_way, steps,
};
pub(crate) use source::{insert_source, set_source_gone, source, sources_to_forget};

use base::{Problem, Result};
use serde::Serialize;

/// A value as the JSON text of a column.
fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Problem::internal("value-not-json", e))
}
