use api::access::{PersonPath, RemovePerson};
use base::{PersonName, Result};

use crate::Exit;
use crate::args::Sure;
use crate::context::Ctx;

/// Remove an account; its tokens stop working at once
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop person remove ada --yes")]
pub struct Args {
    /// The person
    #[arg(value_name = "PERSON")]
    person: PersonName,
    #[command(flatten)]
    sure: Sure,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let client = ctx.client().await?;
        ctx.confirm(&format!("Remove the account {} and all its tokens", self.person), self.sure.yes)?;
        let done = client.get::<RemovePerson>(&PersonPath { person: self.person.clone() }).await?;
        ctx.out.reply(&done, |_| String::new())?;
        ctx.out.say(&format!("Removed the account {}.", self.person));
        Ok(Exit::Done)
    }
}
