use async_trait::async_trait;
use base::Result;
use kernel::{Ctx, Takeover};

use super::begin::resume;
use super::landing;
use crate::state;

/// What was under way when the control plane ended: rollouts are not judged by time in which nobody
/// watched them, and pushes whose ref has moved are deployed.
pub(crate) struct Resume;

#[async_trait]
impl Takeover for Resume {
    async fn take_over(&self, ctx: &Ctx) -> Result<()> {
        let mut tx = ctx.begin().await?;
        let (open, pushed) = (state::open_rollouts(&mut tx).await?, state::landings(&mut tx).await?);
        if open.is_empty() && pushed.is_empty() {
            return Ok(());
        }
        for rollout in open {
            resume(ctx, &mut tx, rollout).await?;
        }
        for landing in pushed {
            landing::enqueue(&mut tx, &landing).await?;
        }
        tx.commit().await
    }
}
