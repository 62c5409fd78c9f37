use api::deliver::{Deploy, Progress, UploadSource, WatchDeploy};
use base::Result;
use kernel::{Answer, Call, Ctx, EventStream};
use ports::ByteStream;

use crate::state;
use crate::work::{self, Follow, Position};

/// Takes an upload and starts its build.
pub(crate) async fn upload(ctx: Ctx, call: Call<UploadSource>, body: ByteStream) -> Result<Answer<Deploy>> {
    let submission = work::upload(&ctx, call.path.service, call.query, body).await?;
    let mut tx = ctx.begin().await?;
    let submitted = work::submit(&ctx, &mut tx, &submission).await?;
    let last_took_ms = state::last_took_ms(&mut tx, &submission.service).await?;
    let deploy = Deploy {
        source: submission.source,
        service: submission.service,
        environment: submission.environment,
        build: submitted.build.id,
        last_took_ms,
    };
    let answer = ctx.commit(tx, deploy).await?;
    submitted.settle(&ctx).await;
    Ok(answer)
}

/// Follows a deploy from source to traffic.
pub(crate) async fn watch(ctx: Ctx, call: Call<WatchDeploy>) -> Result<EventStream<Progress>> {
    let (service, source) = (call.path.service, call.path.source);
    let build = state::build_of_source(&mut ctx.read().await?, &service, source).await?;
    build.ok_or_else(|| work::deploy_not_found(source))?;
    let position: Position = call.last_event_id.as_deref().map(str::parse).transpose()?.unwrap_or_default();
    Ok(Follow::new(ctx, service, source, position).stream())
}
