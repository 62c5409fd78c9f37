//! The engine's part of a build: one task that runs all steps.

use std::time::Duration;

use base::{Generation, InstanceId, Problem, Result};
use kernel::Ctx;
use ports::{ExitKind, InstanceState, LogCursor};

use super::watermark;
use crate::decide::{BuildSite, task, verdict};
use crate::model::{Build, MarkedStep, Marker, NewStage};
use crate::recipe::Plan;
use crate::state;

/// The task is looked at at least this often.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Wake-ups of the engine that come within this span lead to one look.
const GATHER: Duration = Duration::from_millis(50);
/// The engine ends a task at its deadline; only if it does not, we do.
const MARGIN: Duration = Duration::from_secs(60);
/// Log lines read at once.
const BATCH: usize = 500;
/// Every instance of a build is started with this generation, and ended with the next.
const STARTED: Generation = Generation(1);

/// How a task ended, if not with a problem.
pub(super) enum Ran {
    /// Every step did.
    Well(InstanceId),
    /// The build was stopped meanwhile.
    Stopped,
}

/// Runs the steps, or goes on watching the task that runs them since before a crash.
pub(super) async fn run(ctx: &Ctx, build: &mut Build, plan: &Plan, site: &BuildSite) -> Result<Ran> {
    let engine = &ctx.platform().ports().engine;
    let id = attach(ctx, build).await?;
    engine.ensure(&task(build, id, plan, site), STARTED).await?;
    let clock = &ctx.platform().ports().clock;
    let began = clock.elapsed();
    let mut tail = Tail { marker: Marker::of(id), id, cursor: None, last: None };
    loop {
        let seen = engine.get(id).await?;
        tail.read(ctx, build, plan).await?;
        match seen {
            Some(seen) => {
                if let InstanceState::Exited { kind } = &seen.state {
                    tail.read(ctx, build, plan).await?;
                    let step = tail.last.and_then(|index| plan.steps.get(index)).map(|step| step.name.as_str());
                    return match kind {
                        ExitKind::Status { status: 0 } => Ok(Ran::Well(id)),
                        ExitKind::Stopped { .. } if is_over(ctx, build).await? => Ok(Ran::Stopped),
                        kind => Err(verdict(kind, &seen.evidence, step, site)),
                    };
                }
            }
            None => {
                return Err(Problem::unavailable("build-lost", "the engine does not know the build's task any more"));
            }
        }
        if is_over(ctx, build).await? {
            engine.stop(id, STARTED.next(), Duration::from_secs(5)).await?;
            return Ok(Ran::Stopped);
        }
        if let Some(problem) = watermark::pressing(ctx.platform().config()) {
            return Err(make_room(ctx, id, problem).await?);
        }
        if clock.elapsed().saturating_sub(began) > site.deadline.saturating_add(MARGIN) {
            engine.stop(id, STARTED.next(), Duration::ZERO).await?;
            return Err(verdict(&ExitKind::Deadline, "", None, site));
        }
        engine.changed(LOOK_EVERY).await;
        clock.sleep(GATHER).await;
    }
}

/// Ends a build for which the disk has no room.
async fn make_room(ctx: &Ctx, id: InstanceId, problem: Problem) -> Result<Problem> {
    let engine = &ctx.platform().ports().engine;
    engine.stop(id, STARTED.next(), Duration::ZERO).await?;
    Ok(problem)
}

/// The build's task. It is recorded before the engine hears of it. One that vanished with the
/// machine is replaced.
async fn attach(ctx: &Ctx, build: &mut Build) -> Result<InstanceId> {
    let engine = &ctx.platform().ports().engine;
    if let Some(id) = build.task {
        let lost =
            engine.get(id).await?.is_some_and(|seen| seen.state == InstanceState::Exited { kind: ExitKind::Lost });
        if !lost {
            return Ok(id);
        }
        engine.remove(id, STARTED.next()).await?;
    }
    let id = ctx.new_id(InstanceId::new);
    let mut tx = ctx.begin().await?;
    state::set_task(&mut tx, build.id, id).await?;
    tx.commit().await?;
    build.task = Some(id);
    build.task_kept = true;
    Ok(id)
}

async fn is_over(ctx: &Ctx, build: &Build) -> Result<bool> {
    Ok(state::build(&mut ctx.read().await?, build.id).await?.is_none_or(|now| now.is_final()))
}

/// Follows the log for the remarks of the step runner.
struct Tail {
    marker: Marker,
    id: InstanceId,
    cursor: Option<LogCursor>,
    /// The step that began last.
    last: Option<usize>,
}

impl Tail {
    async fn read(&mut self, ctx: &Ctx, build: &Build, plan: &Plan) -> Result<()> {
        loop {
            let lines = ctx.platform().ports().engine.logs(self.id, self.cursor, BATCH).await?;
            let Some(last) = lines.last() else { return Ok(()) };
            self.cursor = Some(last.cursor);
            let marked: Vec<(MarkedStep, base::Time)> =
                lines.iter().filter_map(|line| Some((self.marker.read(&line.text)?, line.at))).collect();
            if marked.is_empty() {
                continue;
            }
            let mut tx = ctx.begin().await?;
            for (step, at) in marked {
                let Some(name) = plan.steps.get(step.index).map(|step| &step.name) else { continue };
                let stage = NewStage::step(step.index, name);
                match step.ended_ms {
                    None => {
                        self.last = Some(step.index);
                        state::put_stage(&mut tx, build.id, &stage, at).await?;
                    }
                    Some(took_ms) => state::end_stage(&mut tx, build.id, stage.place, took_ms).await?,
                }
            }
            tx.commit().await?;
        }
    }
}
