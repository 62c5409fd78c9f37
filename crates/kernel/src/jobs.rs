use std::time::Duration;

use async_trait::async_trait;
use base::{Result, Time};

use crate::Ctx;

/// Work that takes long, is done once, and survives the control plane: a build. Idempotent; it is
/// run again after a crash.
#[async_trait]
pub trait Job: Send + Sync + 'static {
    /// `capability.verb`; the kind under which it is enqueued.
    const KIND: &'static str;
    /// How many run at once.
    const CONCURRENCY: usize;

    /// Does the work. An error is retried with growing delay until the job's attempts are used up.
    async fn run(&self, ctx: &Ctx, job: &store::Job) -> Result<JobOutcome>;

    /// Called when the last attempt failed.
    async fn gave_up(&self, ctx: &Ctx, job: &store::Job, problem: &base::Problem);
}

/// How a run of a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobOutcome {
    /// The job committed its result and its own end in one transaction.
    Done,
    /// Not yet: run it again then.
    Again(Time),
}

/// A lease is renewed this often in its lifetime.
pub(crate) const HEARTBEATS_PER_LEASE: u32 = 3;
/// How long a worker that has died keeps others from its job.
pub(crate) const LEASE: Duration = Duration::from_secs(30);
