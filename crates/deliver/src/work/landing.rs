//! From a ref that has moved to a source that is recorded. The push is on record before its ref moves,
//! because git never sends again what a ref points to already: what a control plane leaves undone here
//! nobody else would do.

use async_trait::async_trait;
use base::{Problem, Result, SourceId};
use facts::ServiceState;
use kernel::{Ctx, JobOutcome};
use serde_json::json;
use store::{NewJob, Tx};

use super::archive::{Packed, store};
use super::build::{finish, is_ours};
use super::submit::first;
use crate::model::{Landing, Submission};
use crate::state;

/// A landing that fails is tried again so many times.
const ATTEMPTS: u32 = 10;

/// Deploys pushes that were cut short.
pub(crate) struct Land;

#[async_trait]
impl kernel::Job for Land {
    const KIND: &'static str = "deliver.land";
    const CONCURRENCY: usize = 2;

    async fn run(&self, ctx: &Ctx, job: &store::Job) -> Result<JobOutcome> {
        let part = |name: &str| job.payload.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
        let (service, reference, commit) = (part("service"), part("reference"), part("commit"));
        let Some(landing) = state::landing(&mut ctx.read().await?, service, reference, commit).await? else {
            finish(ctx, job).await?;
            return Ok(JobOutcome::Done);
        };
        if is_wanted(ctx, &landing).await? {
            match deploy(ctx, &landing, Some(job)).await {
                Ok(_) => return Ok(JobOutcome::Done),
                Err(problem) if is_ours(&problem) => return Err(problem),
                Err(problem) => tracing::warn!(service, commit, %problem, "a push cannot be deployed"),
            }
        }
        let mut tx = ctx.begin().await?;
        state::take_landing(&mut tx, &landing).await?;
        tx.finish(job.id, job.worker.as_deref().unwrap_or_default()).await?;
        tx.commit().await?;
        Ok(JobOutcome::Done)
    }

    /// It stays on record: the next control plane tries again.
    async fn gave_up(&self, _: &Ctx, job: &store::Job, problem: &Problem) {
        tracing::error!(job = %job.id, %problem, "a push could not be deployed");
    }
}

/// Whether the ref points to the commit, nothing was deployed since, and the service is there.
async fn is_wanted(ctx: &Ctx, landing: &Landing) -> Result<bool> {
    let mut read = ctx.read().await?;
    let service: Option<ServiceState> = kernel::latest(&mut read, landing.service.as_str()).await?;
    if service.is_none_or(|service| service.removed)
        || state::has_source_since(&mut read, &landing.service, landing.created).await?
    {
        return Ok(false);
    }
    drop(read);
    let head = ctx.platform().ports().sources.head(&landing.service, &landing.reference).await?;
    Ok(head.as_ref() == Some(&landing.commit))
}

/// Stores the source of a push and records what becomes of it, and the end of the job that does it.
/// Nothing where somebody else has deployed it.
pub(super) async fn deploy(ctx: &Ctx, landing: &Landing, job: Option<&store::Job>) -> Result<Option<SourceId>> {
    let environment = first(&state::environments(&mut ctx.read().await?).await?)?;
    let source = ctx.new_id(SourceId::new);
    let content = ctx.platform().ports().sources.export(&landing.service, &landing.commit).await?;
    let bytes = store(ctx, source, content, Packed::Plain).await?;
    let submission = Submission {
        source,
        service: landing.service.clone(),
        environment,
        commit: Some(landing.commit.clone()),
        message: landing.message.clone(),
        author: landing.author.clone(),
        bytes,
        began: landing.created,
        actor: landing.actor.clone(),
    };
    let mut tx = ctx.begin().await?;
    if !state::take_landing(&mut tx, landing).await? {
        return Ok(None);
    }
    let submitted = super::submit(ctx, &mut tx, &submission).await?;
    if let Some(job) = job {
        tx.finish(job.id, job.worker.as_deref().unwrap_or_default()).await?;
    }
    tx.commit().await?;
    submitted.settle(ctx).await;
    Ok(Some(source))
}

/// Asks for a landing to be tried again.
pub(super) async fn enqueue(tx: &mut Tx, landing: &Landing) -> Result<()> {
    let Landing { service, reference, commit, .. } = landing;
    let payload = json!({ "service": service, "reference": reference, "commit": commit });
    let key = Some(format!("{service} {reference} {commit}"));
    tx.enqueue(NewJob { kind: <Land as kernel::Job>::KIND, key, payload, run_at: None, max_attempts: ATTEMPTS })
        .await
        .map(drop)
}
