//! Our values as the API shows them.

use api::deliver as wire;
use base::{EnvironmentName, Problem, Result};

use crate::model::{Build, NewStage, Release, Rollout, RolloutStep, Source, Stage, api_state};

pub(super) fn build(build: Build, source: Option<Source>, stages: &[Stage]) -> wire::Build {
    let steps = stages
        .iter()
        .filter(|stage| (NewStage::STEPS..NewStage::AFTER_STEPS).contains(&stage.place))
        .map(|stage| wire::BuildStep { name: stage.text.clone(), took_ms: stage.took_ms })
        .collect();
    wire::Build {
        build: build.id,
        service: build.service,
        source: build.source,
        commit: source.and_then(|source| source.commit),
        state: build.state,
        reason: build.reason,
        recipe: build.recipe,
        evidence: build.evidence,
        artifact: build.artifact,
        release: build.release,
        steps,
        created: build.created,
        ended: build.ended,
        actor: build.actor,
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
