use api::access::{IssueSignIn, PersonPath};
use base::{PersonName, Result};

use crate::Exit;
use crate::context::Ctx;
use crate::sign_in::address;
use crate::text::{clean, until};

/// Make a one-time sign-in code for a person
///
/// Give it to that person over a channel that nobody else reads; it works once.
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop person sign-in ada")]
pub struct Args {
    /// The person
    #[arg(value_name = "PERSON")]
    person: PersonName,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let client = ctx.client().await?;
        let link = client.get::<IssueSignIn>(&PersonPath { person: self.person.clone() }).await?;
        ctx.out.reply(&link, |_| clean(&link.code))?;
        let (server, ends) = (address(client.url()), until(link.expires, ctx.host.now()));
        ctx.out.say(&format!("{} signs in with this code, which ends {ends}:\n  orlop login {server}", self.person));
        Ok(Exit::Done)
    }
}
