use api::deliver::NewRollout;
use base::Result;

use super::rollout::start;
use crate::Exit;
use crate::args::{Waiting, Where, Which};
use crate::context::Ctx;

/// Start what runs anew, with the settings of now, without a gap in service
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop restart
  orlop restart --env prod --service shop")]
pub struct Args {
    #[command(flatten)]
    place: Where,
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
        let reason = self.reason;
        let wanted = NewRollout { environment, release: None, from: None, rollback: false, restart: true, reason };
        start(ctx, service, wanted, &self.waiting).await
    }
}
