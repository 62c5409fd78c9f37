use api::deliver::{GetRollout, RolloutPath};
use base::{Result, RolloutId};

use crate::Exit;
use crate::args::Which;
use crate::context::Ctx;
use crate::follow::describe;

/// Show one rollout: its state, why, what was seen, what comes next, and its history
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop rollout show ro_01kb…")]
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
        let rollout = ctx.client().await?.get::<GetRollout>(&path).await?;
        ctx.out.reply(&rollout, |paint| describe(&rollout, ctx.host.now(), *paint))?;
        Ok(Exit::Done)
    }
}
