use api::access::{GetAccess, ServicePath};
use base::Result;

use crate::Exit;
use crate::args::WhichFirst;
use crate::context::Ctx;
use crate::text::rights;

/// Show who can do what with a service, and why; what you can
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop service access
  orlop service access shop --json")]
pub struct Args {
    #[command(flatten)]
    which: WhichFirst,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let path = ServicePath { service: ctx.service(self.which.service)? };
        let report = ctx.client().await?.get::<GetAccess>(&path).await?;
        ctx.out.reply(&report, |paint| rights(&report, *paint))?;
        Ok(Exit::Done)
    }
}
