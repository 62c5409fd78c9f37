//! The job that turns a source into a release. It may be stopped anywhere and run again.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::deliver::BuildState;
use api::manifest::{self, Manifest};
use async_trait::async_trait;
use base::{BuildId, Kind, Problem, Result};
use facts::ServiceState;
use kernel::{Ctx, JobOutcome};
use ports::ByteStream;

use super::build_task::{self, Ran};
use super::package::package;
use super::{Shared, archive, builds, log, release};
use crate::decide::{BuildSite, belongs, resolve, wish};
use crate::model::{Build, Marker, NewStage, Spec, one_line, source_key};
use crate::recipe::{Plan, WORKSPACE, detect_for};
use crate::state;

/// Last lines kept of a build that failed.
const LAST_LINES: usize = 20;

/// Builds.
pub(crate) struct BuildJob {
    shared: Arc<Shared>,
}

impl BuildJob {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared) }
    }
}

#[async_trait]
impl kernel::Job for BuildJob {
    const KIND: &'static str = "deliver.build";
    /// Most that can wait or run here; `build.concurrency` of them run.
    const CONCURRENCY: usize = 8;

    async fn run(&self, ctx: &Ctx, job: &store::Job) -> Result<JobOutcome> {
        let id = id_of(job)?;
        let _slot = self.shared.slots(ctx.platform().config().build.concurrency).acquire().await;
        let build = state::build(&mut ctx.read().await?, id).await?;
        match build {
            Some(build) if !build.is_final() => match self.build(ctx, job, build).await {
                Ok(()) => {}
                Err(problem) if is_ours(&problem) => return Err(problem),
                Err(problem) => fail(ctx, id, &problem, Some(job)).await?,
            },
            _ => finish(ctx, job).await?,
        }
        tidy(ctx, id).await;
        Ok(JobOutcome::Done)
    }

    async fn gave_up(&self, ctx: &Ctx, job: &store::Job, problem: &Problem) {
        let failed = match id_of(job) {
            Ok(id) => fail(ctx, id, problem, None).await,
            Err(problem) => Err(problem),
        };
        if let Err(problem) = failed {
            tracing::error!(job = %job.id, %problem, "a build that was given up could not be recorded as failed");
        }
    }
}

/// Faults of the platform are tried again; faults of the source are told.
pub(super) fn is_ours(problem: &Problem) -> bool {
    problem.kind == Kind::Internal || problem.kind.may_retry() || problem.code == "lease-lost"
}

fn id_of(job: &store::Job) -> Result<BuildId> {
    let text = job.payload.get("build").and_then(serde_json::Value::as_str).unwrap_or_default();
    text.parse().map_err(|_| Problem::internal("job-unreadable", "the job names no build"))
}

/// The job has nothing (more) to do.
pub(super) async fn finish(ctx: &Ctx, job: &store::Job) -> Result<()> {
    let mut tx = ctx.begin().await?;
    match tx.finish(job.id, job.worker.as_deref().unwrap_or_default()).await {
        Ok(()) => tx.commit().await,
        // It was called off: that is how it should be.
        Err(problem) if problem.code == "lease-lost" => Ok(()),
        Err(problem) => Err(problem),
    }
}

impl BuildJob {
    async fn build(&self, ctx: &Ctx, job: &store::Job, mut build: Build) -> Result<()> {
        let looked = archive::look(ctx, build.source).await?;
        let service: Option<ServiceState> = kernel::latest(&mut ctx.read().await?, build.service.as_str()).await?;
        let manifest = match &looked.manifest {
            Some(bytes) => manifest::parse_bytes(bytes, manifest::FILE)?,
            None => Manifest::default(),
        };
        let team = service.map(|service| service.team);
        belongs(&manifest, &build.service, team.as_ref())?;
        let plan = detect_for(&looked.tree, &wish(&manifest)?)?;
        let (plan, spec) = resolve(plan, &manifest, &build.service, team.as_ref())?;
        begin(ctx, &mut build, &plan).await?;
        let Some(content) = self.content(ctx, &mut build, &plan).await? else { return finish(ctx, job).await };
        self.finish(ctx, job, &build, &plan, spec, content).await
    }

    /// What the artifact is made of; nothing if the build was stopped meanwhile.
    async fn content(&self, ctx: &Ctx, build: &mut Build, plan: &Plan) -> Result<Option<ByteStream>> {
        if plan.steps.is_empty() {
            return Ok(Some(ctx.platform().ports().objects.get(&source_key(build.source)).await?));
        }
        match build_task::run(ctx, build, plan, &self.site(ctx)).await? {
            Ran::Well(task) => Ok(Some(ctx.platform().ports().engine.export(task, WORKSPACE).await?)),
            Ran::Stopped => Ok(None),
        }
    }

    async fn finish(
        &self,
        ctx: &Ctx,
        job: &store::Job,
        build: &Build,
        plan: &Plan,
        spec: Spec,
        content: ByteStream,
    ) -> Result<()> {
        let packaged = package(ctx, &self.shared, build.id, &plan.output, content).await?;
        let (digest, size) = (packaged.artifact.manifest, base::Bytes(packaged.size));
        let text = format!("{} files, {size} bytes, sha256:{}", packaged.files, digest.short());
        let made = release::Made { job, build: build.id, recipe: plan.recipe.to_string(), spec, artifact: digest };
        release::make(ctx, made, &NewStage::package(text)).await
    }

    fn site(&self, ctx: &Ctx) -> BuildSite {
        let config = ctx.platform().config();
        let vars: &BTreeMap<String, String> = &self.shared.environment.vars;
        let path = match config.build.path.as_str() {
            "" => vars.get("PATH").cloned().unwrap_or_default(),
            path => path.to_owned(),
        };
        BuildSite {
            path,
            passed: BuildSite::passed(vars, &config.build.pass_env),
            host_paths: config.build.host_paths.clone(),
            cpu: config.build.cpu,
            memory: config.build.memory,
            disk: config.build.disk,
            tasks: config.instance.tasks.saturating_mul(4),
            deadline: config.build.deadline.0,
        }
    }
}

/// Records that the build runs and what was found.
async fn begin(ctx: &Ctx, build: &mut Build, plan: &Plan) -> Result<()> {
    let mut tx = ctx.begin().await?;
    if state::build(&mut tx, build.id).await?.is_none_or(|now| now.is_final()) {
        return Err(Problem::conflict("lease-lost", "the build was stopped"));
    }
    build.recipe = Some(plan.recipe.to_string());
    build.evidence.clone_from(&plan.evidence);
    build.reason = format!("builds with the recipe `{}`", plan.recipe);
    if build.state != BuildState::Running {
        build.state = BuildState::Running;
        build.since = ctx.now();
    }
    state::put_build(&mut tx, build).await?;
    let found = plan.evidence.first().cloned().unwrap_or_default();
    let stage = NewStage::detect(format!("recipe `{}`: {}", plan.recipe, one_line(&found, 200)));
    state::put_stage(&mut tx, build.id, &stage, ctx.now()).await?;
    builds::publish(ctx, &mut tx, build).await?;
    tx.commit().await
}

/// Records that there is no artifact, and why.
pub(super) async fn fail(ctx: &Ctx, id: BuildId, problem: &Problem, job: Option<&store::Job>) -> Result<()> {
    let Some(build) = state::build(&mut ctx.read().await?, id).await? else { return Ok(()) };
    let lines = last_lines(ctx, &build).await;
    let mut tx = ctx.begin().await?;
    let Some(mut build) = state::build(&mut tx, id).await?.filter(|build| !build.is_final()) else {
        drop(tx);
        return match job {
            Some(job) => finish(ctx, job).await,
            None => Ok(()),
        };
    };
    build.lines = lines;
    builds::end(ctx, &mut tx, &mut build, BuildState::Failed, problem.to_string()).await?;
    if let Some(job) = job {
        tx.finish(job.id, job.worker.as_deref().unwrap_or_default()).await?;
    }
    tx.commit().await
}

/// What the build said last. Telling it is help, not duty.
async fn last_lines(ctx: &Ctx, build: &Build) -> Vec<String> {
    let Some(task) = build.task.filter(|_| build.task_kept) else { return Vec::new() };
    let marker = Marker::of(task);
    let tail = ctx.platform().ports().engine.log_tail(task, LAST_LINES.saturating_mul(2)).await.unwrap_or_default();
    let said: Vec<String> = tail.into_iter().map(|line| line.text).filter(|text| !marker.hides(text)).collect();
    said.get(said.len().saturating_sub(LAST_LINES)..).unwrap_or_default().to_vec()
}

/// Saves the log and lets the engine forget the task. What fails here is done by the garbage collection.
async fn tidy(ctx: &Ctx, id: BuildId) {
    if let Err(problem) = log::settle(ctx, id).await {
        tracing::warn!(build = %id, %problem, "the task of an ended build could not be cleared away yet");
    }
}
