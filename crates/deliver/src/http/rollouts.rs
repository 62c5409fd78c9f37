use api::Page;
use api::deliver::{
    CancelRollout, GetRollout, ListRollouts, PlanRollout, Rollout as Wire, RolloutPlan, StartRollout, WatchRollout,
};
use base::{Problem, Result, RolloutId, ServiceName};
use futures_util::StreamExt;
use kernel::{Answer, Call, Ctx, Event, EventStream, event_stream};
use store::Read;

use super::view;
use crate::decide::{compare, steps_ahead};
use crate::model::Rollout;
use crate::state;
use crate::work;

/// Starts a rollout.
pub(crate) async fn start(ctx: Ctx, call: Call<StartRollout>) -> Result<Answer<Wire>> {
    let (mut tx, rollout) = work::prepare(&ctx, &call.path.service, call.body).await?;
    let wire = with_history(&mut tx, rollout).await?;
    ctx.commit(tx, wire).await
}

/// What a rollout would do.
pub(crate) async fn plan(ctx: Ctx, call: Call<PlanRollout>) -> Result<Answer<RolloutPlan>> {
    let plan = work::plan(&ctx, &call.path.service, call.query.into()).await?;
    let now = plan.running.as_ref();
    let (settings, needs) = match now {
        Some(now) => (
            compare::settings(&now.rollout.settings, &plan.settings),
            compare::needs(&now.release.spec.needs, &plan.release.spec.needs),
        ),
        None => (Vec::new(), Vec::new()),
    };
    Ok(RolloutPlan {
        cause: plan.cause.word().to_owned(),
        to: view::standing(&plan.release, None),
        now: now.map(|now| view::standing(&now.release, Some(now.since))),
        settings,
        needs,
        steps: steps_ahead(&plan.release, now.map(|now| now.release.number), &work::limits(&ctx)),
        supersedes: plan.open,
        service: plan.place.service,
        environment: plan.place.environment,
    }
    .into())
}

/// Rollouts, newest first.
pub(crate) async fn list(ctx: Ctx, call: Call<ListRollouts>) -> Result<Answer<Page<Wire>>> {
    let query = call.query;
    let size = api::PageQuery { limit: query.limit, after: None }.size();
    let after = query.after.as_deref().map(str::parse::<RolloutId>).transpose()?;
    let mut read = ctx.read().await?;
    let rollouts = state::rollouts(&mut read, &call.path.service, query.environment.as_ref(), after, size).await?;
    let next = api::next_page(&rollouts, size, |rollout| rollout.id.to_string());
    let mut items = Vec::new();
    for rollout in rollouts {
        items.push(with_history(&mut read, rollout).await?);
    }
    Ok(Page { items, next }.into())
}

/// One rollout.
pub(crate) async fn get(ctx: Ctx, call: Call<GetRollout>) -> Result<Answer<Wire>> {
    let mut read = ctx.read().await?;
    let rollout = find(&mut read, &call.path.service, call.path.rollout).await?;
    let version = rollout.version;
    Ok(Answer::from(with_history(&mut read, rollout).await?).at_version(version))
}

/// Each change of a rollout until it is final.
pub(crate) async fn watch(ctx: Ctx, call: Call<WatchRollout>) -> Result<EventStream<Wire>> {
    let rollout = find(&mut ctx.read().await?, &call.path.service, call.path.rollout).await?;
    let after = call
        .last_event_id
        .as_deref()
        .map(str::parse::<i64>)
        .transpose()
        .map_err(|_| Problem::unprocessable("bad-event-id", "`Last-Event-ID` is not one that this stream gave"))?;
    let changes = work::watch_rollout(ctx, rollout.id, after.unwrap_or(0));
    Ok(event_stream(changes.map(|change| {
        change.map(|(rollout, steps)| Event {
            id: Some(rollout.version.to_string()),
            data: view::rollout(rollout, &steps),
        })
    })))
}

/// Stops a rollout; what served before serves on.
pub(crate) async fn cancel(ctx: Ctx, call: Call<CancelRollout>) -> Result<Answer<Wire>> {
    let (mut tx, rollout) = work::cancel_rollout(&ctx, &call.path.service, call.path.rollout).await?;
    let wire = with_history(&mut tx, rollout).await?;
    ctx.commit(tx, wire).await
}

async fn find(read: &mut impl Read, service: &ServiceName, id: RolloutId) -> Result<Rollout> {
    let rollout = state::rollout(read, id).await?.filter(|rollout| rollout.place.service == *service);
    rollout.ok_or_else(|| {
        Problem::not_found("rollout-not-found", format!("there is no rollout {id}"))
            .hint("`orlop rollout list` shows them")
    })
}

async fn with_history(read: &mut impl Read, rollout: Rollout) -> Result<Wire> {
    let steps = state::steps(read, rollout.id, 0).await?;
    Ok(view::rollout(rollout, &steps))
}
