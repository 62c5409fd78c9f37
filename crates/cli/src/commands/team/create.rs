use api::Nothing;
use api::access::{CreateTeam, NewTeam};
use base::{Result, TeamName};

use super::describe;
use crate::Exit;
use crate::context::Ctx;

/// Make a team; you become its owner
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop team create payments")]
pub struct Args {
    /// Its name
    #[arg(value_name = "TEAM")]
    team: TeamName,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let team = ctx.client().await?.send::<CreateTeam>(&Nothing {}, &NewTeam { team: self.team }).await?;
        ctx.out.reply(&team, |paint| describe(&team, *paint))?;
        Ok(Exit::Done)
    }
}
