use api::access::{MemberPath, RemoveMember};
use base::{PersonName, Result, TeamName};

use crate::Exit;
use crate::args::Sure;
use crate::commands::team::describe;
use crate::context::Ctx;

/// Take a person out of a team
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop team member remove payments ada --yes")]
pub struct Args {
    /// The team
    #[arg(value_name = "TEAM")]
    team: TeamName,
    /// The person
    #[arg(value_name = "PERSON")]
    person: PersonName,
    #[command(flatten)]
    sure: Sure,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let client = ctx.client().await?;
        ctx.confirm(&format!("Take {} out of the team {}", self.person, self.team), self.sure.yes)?;
        let team = client.get::<RemoveMember>(&MemberPath { team: self.team, person: self.person }).await?;
        ctx.out.reply(&team, |paint| describe(&team, *paint))?;
        Ok(Exit::Done)
    }
}
