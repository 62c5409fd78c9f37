use api::access::ServicePath;
use api::catalog::{ChangeService, ServiceChange};
use base::{Result, TeamName};

use super::describe;
use crate::Exit;
use crate::args::WhichFirst;
use crate::context::Ctx;

/// Change the description of a service, or hand it to another team of yours
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop service change shop --description 'Sells things'
  orlop service change shop --team payments")]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true).args(["description", "team"]))]
pub struct Args {
    #[command(flatten)]
    which: WhichFirst,
    /// The new description, one line
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// The new owner
    #[arg(long, value_name = "TEAM")]
    team: Option<TeamName>,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let path = ServicePath { service: ctx.service(self.which.service)? };
        let body = ServiceChange { description: self.description, team: self.team };
        let changed = ctx.client().await?.send::<ChangeService>(&path, &body).await?;
        ctx.out.reply(&changed, |paint| describe(&changed, ctx.host.now(), *paint))?;
        Ok(Exit::Done)
    }
}
