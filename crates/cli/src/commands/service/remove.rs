use api::access::ServicePath;
use api::catalog::RemoveService;
use base::{Result, ServiceName};

use super::describe;
use crate::Exit;
use crate::args::Sure;
use crate::context::Ctx;

/// Take a service out of use; history and name stay, and `restore` brings it back
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop service remove shop
  orlop service remove shop --yes")]
pub struct Args {
    /// The service
    #[arg(value_name = "SERVICE")]
    service: ServiceName,
    #[command(flatten)]
    sure: Sure,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let service = self.service;
        let client = ctx.client().await?;
        ctx.confirm(&format!("Take {service} out of use: end its instances, close its routes"), self.sure.yes)?;
        let removed = client.get::<RemoveService>(&ServicePath { service: service.clone() }).await?;
        ctx.out.reply(&removed, |paint| describe(&removed, ctx.host.now(), *paint))?;
        ctx.out.say(&format!("Nothing of it is deleted. To bring it back: orlop service restore {service}"));
        Ok(Exit::Done)
    }
}
