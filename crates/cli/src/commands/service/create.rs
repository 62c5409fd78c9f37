use api::access::TeamPath;
use api::catalog::{CreateService, NewService};
use base::{Result, ServiceName, TeamName};

use super::describe;
use crate::Exit;
use crate::context::Ctx;

/// Make a service that belongs to a team; `orlop deploy` does this by itself
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop service create shop --team payments --description 'Sells things'")]
pub struct Args {
    /// Its name
    #[arg(value_name = "NAME")]
    name: ServiceName,
    /// Its owner
    #[arg(long, value_name = "TEAM")]
    team: TeamName,
    /// One line about it
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    description: String,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let body = NewService { service: self.name, description: self.description };
        let made = ctx.client().await?.send::<CreateService>(&TeamPath { team: self.team }, &body).await?;
        ctx.out.reply(&made, |paint| describe(&made, ctx.host.now(), *paint))?;
        Ok(Exit::Done)
    }
}
