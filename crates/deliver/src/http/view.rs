//! Our values as the API shows them.

use api::deliver as wire;
use base::{EnvironmentName, Problem, Result, Time};

use crate::model::{Build, NewStage, Release, Rollout, RolloutStep, Source, Stage, api_state};

pub(super) fn build(build: Build, source: Option<Source>, stages: &[Stage]) -> wire::Build {
    let (pushed, commit, message) = match source {
        Some(source) => (Some(source.created), source.commit, Some(source.message).filter(|m| !m.is_empty())),
        None => (None, None, None),
    };
    wire::Build {
        build: build.id,
        service: build.service,
        environment: build.environment,
        source: build.source,
        pushed,
        commit,
        message,
        state: build.state,
        reason: build.reason,
        recipe: build.recipe,
        evidence: build.evidence,
        artifact: build.artifact,
        release: build.release,
        rollout: build.rollout,
        steps: build_steps(stages),
        created: build.created,
        ended: build.ended,
        actor: build.actor,
    }
}

/// The steps of a recipe among the stages of its build.
pub(super) fn build_steps(stages: &[Stage]) -> Vec<wire::BuildStep> {
    stages
        .iter()
        .filter(|stage| (NewStage::STEPS..NewStage::AFTER_STEPS).contains(&stage.place))
        .map(|stage| wire::BuildStep { name: stage.text.clone(), at: Some(stage.at), took_ms: stage.took_ms })
        .collect()
}

/// A release as far as it is compared.
pub(super) fn standing(release: &Release, since: Option<Time>) -> wire::Standing {
    wire::Standing {
        release: release.number,
        commit: release.commit.clone(),
        message: release.message.clone(),
        author: release.author.clone(),
        created: release.created,
        since,
    }
}

pub(super) fn release(release: Release, current_in: Vec<EnvironmentName>) -> Result<wire::Release> {
    let manifest = serde_json::to_value(&release.spec).map_err(|e| Problem::internal("value-not-json", e))?;
    Ok(wire::Release {
        release: release.id,
        number: release.number,
        service: release.service,
        artifact: release.artifact,
        source: release.source,
        commit: release.commit,
        message: release.message,
        author: release.author,
        recipe: release.recipe,
        manifest,
        created: release.created,
        actor: release.actor,
        current_in,
    })
}

pub(super) fn rollout(rollout: Rollout, steps: &[RolloutStep]) -> wire::Rollout {
    let history = steps
        .iter()
        .map(|step| wire::RolloutStep { state: api_state(step.state), reason: step.reason.clone(), at: step.at })
        .collect();
    let why = if rollout.why.is_empty() { String::new() } else { format!(" ({})", rollout.why) };
    let stopping = if rollout.cancel.is_some() && rollout.ended.is_none() { "; it is being stopped" } else { "" };
    wire::Rollout {
        rollout: rollout.id,
        service: rollout.place.service,
        environment: rollout.place.environment,
        release: rollout.release,
        number: rollout.number,
        cause: rollout.cause.word().to_owned(),
        state: api_state(rollout.state),
        reason: format!("{}{why}{stopping}", rollout.reason),
        evidence: rollout.evidence,
        since: rollout.since,
        next: rollout.next,
        deadline: rollout.deadline,
        history,
        settings: rollout.settings.into_iter().map(|setting| (setting.name.to_string(), setting.version)).collect(),
        created: rollout.created,
        ended: rollout.ended,
        actor: rollout.actor,
    }
}

pub(super) fn bad_cursor() -> Problem {
    Problem::unprocessable("bad-cursor", "`after` is not a cursor that this list gave").at("query.after")
}
