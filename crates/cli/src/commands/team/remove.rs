use api::access::{RemoveTeam, TeamPath};
use base::{Result, TeamName};

use crate::Exit;
use crate::args::Sure;
use crate::context::Ctx;

/// Remove a team that owns nothing
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop team remove payments --yes")]
pub struct Args {
    /// The team
    #[arg(value_name = "TEAM")]
    team: TeamName,
    #[command(flatten)]
    sure: Sure,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let client = ctx.client().await?;
        ctx.confirm(&format!("Remove the team {}", self.team), self.sure.yes)?;
        let done = client.get::<RemoveTeam>(&TeamPath { team: self.team.clone() }).await?;
        ctx.out.reply(&done, |_| String::new())?;
        ctx.out.say(&format!("Removed the team {}.", self.team));
        Ok(Exit::Done)
    }
}
