use std::time::Duration;

use async_trait::async_trait;
use base::Result;
use base::limits::IDEMPOTENCY_KEPT;
use serde::Serialize;

use crate::promises::promises;
use crate::{Capability, Ctx, Reconciler};

/// Ended jobs are kept this long for people to look at.
const JOBS_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
/// Rows forgotten in one run.
const AT_ONCE: u32 = 1_000;

/// Forgets what the machinery keeps for a while only: answers under idempotency keys, ended jobs.
struct Housekeeping;

/// What a run did.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    answers: u64,
    jobs: u64,
}

/// What the machinery itself registers.
pub fn housekeeping() -> Capability {
    let (promises, kept) = promises();
    Capability::named("kernel").reconciler(Housekeeping).service_reconciler(promises).check(kept)
}

#[async_trait]
impl Reconciler for Housekeeping {
    const NAME: &'static str = "kernel.housekeeping";
    const EVERY: Duration = Duration::from_secs(600);
    const WAKES: &'static [&'static str] = &[];
    type Status = Status;

    async fn reconcile(&self, ctx: &Ctx) -> Result<Status> {
        let store = ctx.platform().store();
        Ok(Status {
            answers: store.purge_idempotency(ctx.now().minus(IDEMPOTENCY_KEPT), AT_ONCE).await?,
            jobs: store.purge_jobs(ctx.now().minus(JOBS_KEPT), AT_ONCE).await?,
        })
    }
}
