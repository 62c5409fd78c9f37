use std::time::Duration;

use base::{Result, RolloutId};
use futures_util::{Stream, stream};
use kernel::Ctx;

use crate::model::{Rollout, RolloutStep};
use crate::state;

/// News are looked for this often.
const LOOK_EVERY: Duration = Duration::from_millis(200);

struct State {
    ctx: Ctx,
    id: RolloutId,
    version: i64,
    over: bool,
}

/// Each change of a rollout behind a version, until it is final; a final one is told at least once.
pub(crate) fn watch(
    ctx: Ctx,
    id: RolloutId,
    version: i64,
) -> impl Stream<Item = Result<(Rollout, Vec<RolloutStep>)>> + Send {
    stream::try_unfold(State { ctx, id, version, over: false }, |mut state| async move {
        loop {
            if state.over {
                return Ok(None);
            }
            let mut read = state.ctx.read().await?;
            let Some(rollout) = state::rollout(&mut read, state.id).await? else { return Ok(None) };
            let steps = state::steps(&mut read, state.id, 0).await?;
            drop(read);
            state.over = rollout.state.is_final();
            if rollout.version > state.version {
                state.version = rollout.version;
                return Ok(Some(((rollout, steps), state)));
            }
            if !state.over {
                state.ctx.platform().ports().clock.sleep(LOOK_EVERY).await;
            }
        }
    })
}
