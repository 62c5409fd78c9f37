use api::access::{MemberPath, Membership, Role, SetMember};
use base::{PersonName, Result, TeamName};
use clap::builder::PossibleValue;

use crate::Exit;
use crate::commands::team::describe;
use crate::context::Ctx;

/// Give a person a role in a team
///
/// A viewer sees; a developer also deploys, operates and configures; an owner does everything
/// about the team.
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop team member set payments ada owner")]
pub struct Args {
    /// The team
    #[arg(value_name = "TEAM")]
    team: TeamName,
    /// The person
    #[arg(value_name = "PERSON")]
    person: PersonName,
    /// The role
    #[arg(value_name = "ROLE")]
    role: RoleWord,
}

/// A role as it is typed.
#[derive(Debug, Clone, Copy)]
struct RoleWord(Role);

impl clap::ValueEnum for RoleWord {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self(Role::Viewer), Self(Role::Developer), Self(Role::Owner)]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.word()))
    }
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let path = MemberPath { team: self.team, person: self.person };
        let team = ctx.client().await?.send::<SetMember>(&path, &Membership { role: self.role.0 }).await?;
        ctx.out.reply(&team, |paint| describe(&team, *paint))?;
        Ok(Exit::Done)
    }
}
