//! Builds begin and are stopped.

use api::deliver::BuildState;
use base::{BuildId, Generation, JobId, Problem, Result, ServiceName};
use facts::BuildSeen;
use kernel::{Ctx, Job};
use store::{NewJob, Tx};

use super::build::BuildJob;
use crate::model::{Build, NewStage, Source, Submission, build_word};
use crate::state;

/// A build that is broken off with its control plane is taken up again so many times. That is far more
/// than anything but the build itself explains, even while somebody kills the platform again and again.
const ATTEMPTS: u32 = 20;

/// What a submission changed.
pub(crate) struct Submitted {
    pub build: Build,
    /// Builds that it took the place of.
    replaced: Vec<Build>,
}

impl Submitted {
    /// Ends the work of the builds that were replaced; to be called after the commit.
    pub(crate) async fn settle(&self, ctx: &Ctx) {
        for old in &self.replaced {
            stop_work(ctx, old).await;
        }
    }
}

/// Records source, build and job. A build that is under way for the same place is superseded.
pub(crate) async fn submit(ctx: &Ctx, tx: &mut Tx, submission: &Submission) -> Result<Submitted> {
    let now = ctx.now();
    let Submission { source, service, environment, commit, message, author, bytes, began, actor } = submission;
    let (commit, message, author) = (commit.clone(), message.clone(), author.clone());
    let id = ctx.new_id(BuildId::new);
    let mut replaced = state::active_builds(tx, service, environment).await?;
    for old in &mut replaced {
        end(ctx, tx, old, BuildState::Cancelled, format!("superseded by the newer build {id}")).await?;
    }
    let row = Source {
        id: *source,
        service: service.clone(),
        commit,
        message,
        author,
        bytes: *bytes,
        created: *began,
        actor: actor.clone(),
    };
    state::insert_source(tx, &row).await?;
    let payload = serde_json::json!({ "build": id });
    let job =
        tx.enqueue(NewJob { kind: BuildJob::KIND, key: None, payload, run_at: None, max_attempts: ATTEMPTS }).await?;
    let build = Build {
        id,
        service: service.clone(),
        environment: environment.clone(),
        source: *source,
        job: Some(job),
        state: BuildState::Queued,
        reason: "waits for its turn".to_owned(),
        since: now,
        recipe: None,
        evidence: Vec::new(),
        lines: Vec::new(),
        artifact: None,
        release: None,
        rollout: None,
        task: None,
        task_kept: false,
        log_saved: false,
        created: now,
        ended: None,
        actor: actor.clone(),
    };
    state::insert_build(tx, &build).await?;
    let size = base::Bytes(*bytes);
    state::put_stage(tx, id, &NewStage::received(format!("{size} bytes received")), now).await?;
    publish(ctx, tx, &build).await?;
    Ok(Submitted { build, replaced })
}

/// Stops a build on somebody's behalf. Returns it as it is then.
pub(crate) async fn cancel_build(ctx: &Ctx, tx: &mut Tx, service: &ServiceName, id: BuildId) -> Result<Build> {
    let mut build =
        state::build(tx, id).await?.filter(|build| build.service == *service).ok_or_else(|| not_found(id))?;
    if build.is_final() {
        return Err(Problem::conflict("build-ended", format!("the build has ended: {}", build_word(build.state)))
            .hint("a release that is being rolled out is stopped with `orlop rollout cancel`"));
    }
    let reason = format!("stopped by {}", ctx.actor());
    end(ctx, tx, &mut build, BuildState::Cancelled, reason).await?;
    Ok(build)
}

/// There is no such build.
pub(crate) fn not_found(id: BuildId) -> Problem {
    Problem::not_found("build-not-found", format!("there is no build {id}")).hint("`orlop build list` shows them")
}

/// Ends the job and the task of a build that is final. What fails is done by the garbage collection.
pub(crate) async fn stop_work(ctx: &Ctx, build: &Build) {
    if let Some(job) = build.job
        && let Err(problem) = cancel_job(ctx, job).await
    {
        tracing::warn!(build = %build.id, %problem, "the job of a stopped build could not be called off");
    }
    if let Some(task) = build.task
        && let Err(problem) =
            ctx.platform().ports().engine.stop(task, Generation(2), std::time::Duration::from_secs(5)).await
    {
        tracing::warn!(build = %build.id, %problem, "the task of a stopped build could not be stopped");
    }
}

async fn cancel_job(ctx: &Ctx, job: JobId) -> Result<()> {
    ctx.platform().store().cancel(job).await.map(drop)
}

/// Records that a build is over.
pub(super) async fn end(ctx: &Ctx, tx: &mut Tx, build: &mut Build, to: BuildState, reason: String) -> Result<()> {
    build.state = to;
    build.reason = reason;
    build.since = ctx.now();
    build.ended = Some(build.since);
    state::put_build(tx, build).await?;
    publish(ctx, tx, build).await
}

/// Tells everybody how a build stands.
pub(super) async fn publish(ctx: &Ctx, tx: &mut Tx, build: &Build) -> Result<()> {
    let seen = BuildSeen {
        build: build.id,
        service: build.service.clone(),
        source: build.source,
        state: build_word(build.state).to_owned(),
        reason: build.reason.clone(),
        since: build.since,
    };
    ctx.publish(tx, &seen).await.map(drop)
}
