use api::deliver::{GetRollout, RolloutPath};
use base::{Result, RolloutId, Span};

use crate::args::Which;
use crate::context::Ctx;
use crate::{Exit, follow};

/// Follow a rollout until it is final
///
/// With --json, one line for each change.
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop rollout watch ro_01kb…")]
pub struct Args {
    /// The rollout
    #[arg(value_name = "ROLLOUT")]
    rollout: RolloutId,
    #[command(flatten)]
    which: Which,
    /// Wait at most so long
    #[arg(long, value_name = "SPAN", default_value = "30m")]
    wait: Span,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let path = RolloutPath { service: ctx.service(self.which.service)?, rollout: self.rollout };
        let begun = ctx.client().await?.get::<GetRollout>(&path).await?;
        follow::rollout(ctx, &begun, self.wait.0).await
    }
}
