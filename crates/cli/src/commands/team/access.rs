use api::access::{GetTeamAccess, TeamPath};
use base::{Result, TeamName};

use crate::Exit;
use crate::context::Ctx;
use crate::text::rights;

/// Show who can do what with a team and what it owns, and why; what you can
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop team access payments")]
pub struct Args {
    /// The team
    #[arg(value_name = "TEAM")]
    team: TeamName,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let report = ctx.client().await?.get::<GetTeamAccess>(&TeamPath { team: self.team }).await?;
        ctx.out.reply(&report, |paint| rights(&report, *paint))?;
        Ok(Exit::Done)
    }
}
