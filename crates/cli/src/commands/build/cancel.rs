use api::deliver::{BuildPath, CancelBuild};
use base::{BuildId, Result};

use crate::Exit;
use crate::args::Which;
use crate::context::Ctx;
use crate::text::{clean, word};

/// Stop a build
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop build cancel bld_01kb…")]
pub struct Args {
    /// The build
    #[arg(value_name = "BUILD")]
    build: BuildId,
    #[command(flatten)]
    which: Which,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let path = BuildPath { service: ctx.service(self.which.service)?, build: self.build };
        let build = ctx.client().await?.get::<CancelBuild>(&path).await?;
        ctx.out.reply(&build, |_| format!("{}  {}  {}", build.build, word(&build.state), clean(&build.reason)))?;
        Ok(Exit::Done)
    }
}
