use std::time::Duration;

use async_trait::async_trait;
use base::{Problem, Result};
use kernel::{Ctx, Reconciler};
use serde::Serialize;
use store::JobState;

use super::build::fail;
use crate::state;

/// Ends builds whose job was buried: the last attempt died with its worker, so nobody was left to
/// say that it failed.
pub(crate) struct Buried;

/// What a run did.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    open: usize,
    ended: usize,
}

#[async_trait]
impl Reconciler for Buried {
    const NAME: &'static str = "deliver.buried";
    const EVERY: Duration = Duration::from_secs(15);
    const WAKES: &'static [&'static str] = &[];
    type Status = Status;

    async fn reconcile(&self, ctx: &Ctx) -> Result<Status> {
        let open = state::open_builds(&mut ctx.read().await?).await?;
        let mut status = Status { open: open.len(), ended: 0 };
        for build in open {
            let Some(id) = build.job else { continue };
            let job = ctx.platform().store().job(id).await?;
            if job.is_some_and(|job| matches!(job.state, JobState::Waiting | JobState::Running)) {
                continue;
            }
            let problem = Problem::unavailable("build-broken-off", "the platform ended in every attempt at this build")
                .hint("deploy again; `orlop doctor` and the platform's log say what ended it");
            fail(ctx, build.id, &problem, None).await?;
            status.ended += 1;
        }
        Ok(status)
    }
}
