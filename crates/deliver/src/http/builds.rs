use api::Page;
use api::deliver::{Build as Wire, CancelBuild, GetBuild, ListBuilds, WatchBuildLog};
use api::run::LogLine;
use base::{BuildId, Problem, Result, ServiceName};
use kernel::{Answer, Call, Ctx, EventStream};
use ports::LogCursor;
use store::Read;

use super::view;
use crate::model::Build;
use crate::state;
use crate::work;

/// Builds, newest first.
pub(crate) async fn list(ctx: Ctx, call: Call<ListBuilds>) -> Result<Answer<Page<Wire>>> {
    let size = call.query.size();
    let after = call.query.after.as_deref().map(str::parse::<BuildId>).transpose()?;
    let mut read = ctx.read().await?;
    let builds = state::builds(&mut read, &call.path.service, after, size).await?;
    let next = api::next_page(&builds, size, |build| build.id.to_string());
    let mut items = Vec::new();
    for build in builds {
        items.push(with_parts(&mut read, build).await?);
    }
    Ok(Page { items, next }.into())
}

/// One build.
pub(crate) async fn get(ctx: Ctx, call: Call<GetBuild>) -> Result<Answer<Wire>> {
    let mut read = ctx.read().await?;
    let build = find(&mut read, &call.path.service, call.path.build).await?;
    Ok(with_parts(&mut read, build).await?.into())
}

/// The log of a build, followed to its end.
pub(crate) async fn log(ctx: Ctx, call: Call<WatchBuildLog>) -> Result<EventStream<LogLine>> {
    let from = call
        .last_event_id
        .as_deref()
        .map(str::parse::<u64>)
        .transpose()
        .map_err(|_| Problem::unprocessable("bad-event-id", "`Last-Event-ID` is not one that this stream gave"))?;
    let build = find(&mut ctx.read().await?, &call.path.service, call.path.build).await?;
    Ok(work::follow_log(ctx, build.id, from.map(LogCursor)))
}

/// Stops a build.
pub(crate) async fn cancel(ctx: Ctx, call: Call<CancelBuild>) -> Result<Answer<Wire>> {
    let mut tx = ctx.begin().await?;
    let build = work::cancel_build(&ctx, &mut tx, &call.path.service, call.path.build).await?;
    let wire = with_parts(&mut tx, build.clone()).await?;
    let answer = ctx.commit(tx, wire).await?;
    work::stop_work(&ctx, &build).await;
    Ok(answer)
}

async fn find(read: &mut impl Read, service: &ServiceName, id: BuildId) -> Result<Build> {
    let build = state::build(read, id).await?.filter(|build| build.service == *service);
    build.ok_or_else(|| work::build_not_found(id))
}

async fn with_parts(read: &mut impl Read, build: Build) -> Result<Wire> {
    let stages = state::stages(read, build.id, 0).await?;
    let source = state::source(read, build.source).await?;
    Ok(view::build(build, source, &stages))
}
