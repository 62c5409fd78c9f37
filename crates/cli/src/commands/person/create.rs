use api::Nothing;
use api::access::{CreatePerson, NewPerson};
use base::{PersonName, Result};

use crate::Exit;
use crate::context::Ctx;

/// Make an account
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop person create ada && orlop person sign-in ada
  orlop person create root --admin")]
pub struct Args {
    /// The login name
    #[arg(value_name = "PERSON")]
    person: PersonName,
    /// Make a platform admin
    #[arg(long)]
    admin: bool,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let body = NewPerson { person: self.person, admin: self.admin };
        let made = ctx.client().await?.send::<CreatePerson>(&Nothing {}, &body).await?;
        ctx.out.reply(&made, |_| made.person.to_string())?;
        ctx.out.say(&format!("Next: orlop person sign-in {}", made.person));
        Ok(Exit::Done)
    }
}
