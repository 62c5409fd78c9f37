use api::access::ServicePath;
use api::catalog::RestoreService;
use base::{Result, ServiceName};

use super::describe;
use crate::Exit;
use crate::context::Ctx;

/// Bring a removed service back
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop service restore shop")]
pub struct Args {
    /// The service
    #[arg(value_name = "SERVICE")]
    service: ServiceName,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let restored = ctx.client().await?.get::<RestoreService>(&ServicePath { service: self.service }).await?;
        ctx.out.reply(&restored, |paint| describe(&restored, ctx.host.now(), *paint))?;
        Ok(Exit::Done)
    }
}
