use api::deliver::{CancelRollout, RolloutPath};
use base::{Result, RolloutId};

use crate::Exit;
use crate::args::Which;
use crate::context::Ctx;
use crate::text::{clean, word};

/// Stop a rollout; what served before serves on
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop rollout cancel ro_01kb…")]
pub struct Args {
    /// The rollout
    #[arg(value_name = "ROLLOUT")]
    rollout: RolloutId,
    #[command(flatten)]
    which: Which,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let path = RolloutPath { service: ctx.service(self.which.service)?, rollout: self.rollout };
        let rollout = ctx.client().await?.get::<CancelRollout>(&path).await?;
        ctx.out.reply(&rollout, |_| format!("{}  {}  {}", rollout.rollout, word(&rollout.state), clean(&rollout.reason)))?;
        Ok(Exit::Done)
    }
}
