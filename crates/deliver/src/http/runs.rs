use api::Page;
use api::deliver::{BuildState, BuildStep, ListRuns, Run, RunKind};
use base::{BuildId, Problem, Result, RolloutId, ServiceName};
use facts::{RolloutState, ServiceState};
use kernel::{Answer, Call, Ctx};
use store::Read;

use super::view;
use crate::model::{Build, Rollout, api_state};
use crate::state;

/// Where a list of runs goes on: the part of an id that builds and rollouts have in common.
struct Mark {
    build: Option<BuildId>,
    rollout: Option<RolloutId>,
}

impl Mark {
    fn of(after: Option<&str>) -> Result<Self> {
        let Some(after) = after else { return Ok(Self { build: None, rollout: None }) };
        let build = format!("{}_{after}", BuildId::PREFIX).parse().map_err(|_: Problem| view::bad_cursor())?;
        let rollout = format!("{}_{after}", RolloutId::PREFIX).parse().map_err(|_: Problem| view::bad_cursor())?;
        Ok(Self { build: Some(build), rollout: Some(rollout) })
    }
}

enum Row {
    Build(Build),
    Release(Rollout),
}

impl Row {
    fn mark(&self) -> String {
        let id = match self {
            Self::Build(build) => build.id.to_string(),
            Self::Release(rollout) => rollout.id.to_string(),
        };
        id.split_once('_').map_or(id.clone(), |(_, mark)| mark.to_owned())
    }
}

/// Builds and release commands that the caller may see, newest first.
pub(crate) async fn list(ctx: Ctx, call: Call<ListRuns>) -> Result<Answer<Page<Run>>> {
    let query = call.query;
    let size = api::PageQuery { limit: query.limit, after: None }.size();
    let mark = Mark::of(query.after.as_deref())?;
    let mut read = ctx.read().await?;
    let mut rows = Vec::new();
    for service in asked(&ctx, &mut read, query.service.as_ref()).await? {
        if query.kind != Some(RunKind::Release) {
            let builds = state::builds_before(&mut read, service.as_ref(), mark.build, size).await?;
            rows.extend(builds.into_iter().map(Row::Build));
        }
        if query.kind != Some(RunKind::Build) {
            let commands = state::release_commands_before(&mut read, service.as_ref(), mark.rollout, size).await?;
            rows.extend(commands.into_iter().map(Row::Release));
        }
    }
    rows.sort_by_cached_key(|row| std::cmp::Reverse(row.mark()));
    rows.truncate(usize::try_from(size).unwrap_or(usize::MAX));
    let next = api::next_page(&rows, size, Row::mark);
    let mut items = Vec::new();
    for row in rows {
        items.push(match row {
            Row::Build(build) => of_build(&mut read, build).await?,
            Row::Release(rollout) => of_command(&mut read, rollout).await?,
        });
    }
    Ok(Page { items, next }.into())
}

/// Which services are asked about: `None` stands for all of them at once. Whoever may not see all
/// is answered from their own, one after the other, so that no mark of a page names a hidden run.
async fn asked(ctx: &Ctx, read: &mut impl Read, only: Option<&ServiceName>) -> Result<Vec<Option<ServiceName>>> {
    let services: Vec<ServiceState> = match only {
        Some(service) => kernel::latest(read, service.as_str()).await?.into_iter().collect(),
        None if ctx.sees_all() => return Ok(vec![None]),
        None => kernel::all_latest(read).await?.into_iter().map(|(state, _)| state).collect(),
    };
    let seen = services.into_iter().filter(|state| ctx.may_see(&state.team, Some(&state.service)));
    Ok(seen.map(|state| Some(state.service)).collect())
}

async fn of_build(read: &mut impl Read, build: Build) -> Result<Run> {
    let steps = view::build_steps(&state::stages(read, build.id, 0).await?);
    Ok(Run {
        kind: RunKind::Build,
        service: build.service,
        environment: build.environment,
        build: Some(build.id),
        rollout: build.rollout,
        state: build.state,
        reason: build.reason,
        release: build.release,
        steps,
        created: build.created,
        ended: build.ended,
        actor: build.actor,
    })
}

async fn of_command(read: &mut impl Read, rollout: Rollout) -> Result<Run> {
    let steps = state::steps(read, rollout.id, 0).await?;
    let mut behind = steps.iter().skip_while(|step| step.state != RolloutState::Releasing);
    let began = behind.next().map_or(rollout.created, |step| step.at);
    let after = behind.next();
    let state = match after.map(|step| step.state) {
        None if rollout.state == RolloutState::Releasing => BuildState::Running,
        Some(RolloutState::Failed) => BuildState::Failed,
        Some(RolloutState::Cancelled | RolloutState::Superseded) | None => BuildState::Cancelled,
        Some(_) => BuildState::Succeeded,
    };
    let reason = match (state, after) {
        (BuildState::Succeeded, Some(next)) => {
            format!("it ended with status 0; then {:?}", api_state(next.state)).to_lowercase()
        }
        (_, Some(next)) => next.reason.clone(),
        (_, None) => rollout.reason.clone(),
    };
    let took = after.map(|next| next.at.since(began));
    let took_ms = took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    Ok(Run {
        kind: RunKind::Release,
        service: rollout.place.service,
        environment: rollout.place.environment,
        build: None,
        rollout: Some(rollout.id),
        state,
        reason,
        release: Some(rollout.number),
        steps: vec![BuildStep { name: "release command".to_owned(), at: Some(began), took_ms }],
        created: began,
        ended: after.map(|next| next.at),
        actor: rollout.actor,
    })
}
