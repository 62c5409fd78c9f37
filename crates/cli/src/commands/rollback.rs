use api::deliver::NewRollout;
use base::Result;

use super::rollout::start;
use crate::Exit;
use crate::args::{Waiting, Where, Which};
use crate::context::Ctx;

/// Go back to what ran before, with the settings it had; nothing is built
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop rollback
  orlop rollback --env prod --to 41
  orlop rollback --env prod --reason 'Checkout answers 500'")]
pub struct Args {
    #[command(flatten)]
    place: Where,
    /// The release to go back to; default: the one before
    #[arg(long, value_name = "N")]
    to: Option<i64>,
    #[command(flatten)]
    which: Which,
    /// Why, for those who read the history
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    waiting: Waiting,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let service = ctx.service(self.which.service)?;
        let environment = ctx.environment(&service, self.place.environment).await?;
        let (release, reason) = (self.to, self.reason);
        let wanted = NewRollout { environment, release, from: None, rollback: true, restart: false, reason };
        start(ctx, service, wanted, &self.waiting).await
    }
}
