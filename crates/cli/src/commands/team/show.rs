use api::access::{GetTeam, TeamPath};
use base::{Result, TeamName};

use super::describe;
use crate::Exit;
use crate::context::Ctx;

/// Show a team with its members
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop team show payments")]
pub struct Args {
    /// The team
    #[arg(value_name = "TEAM")]
    team: TeamName,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let team = ctx.client().await?.get::<GetTeam>(&TeamPath { team: self.team }).await?;
        ctx.out.reply(&team, |paint| describe(&team, *paint))?;
        Ok(Exit::Done)
    }
}
