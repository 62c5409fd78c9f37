use api::Nothing;
use api::access::Whoami;
use base::Result;

use crate::Exit;
use crate::context::Ctx;
use crate::output::Table;
use crate::sign_in::address;
use crate::text::{until, word};

/// Show who you are to the server, and what you may do
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop whoami
  orlop whoami --json")]
pub struct Args {}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let client = ctx.client().await?;
        let me = client.get::<Whoami>(&Nothing {}).await?;
        ctx.out.reply(&me, |paint| {
            let teams: Vec<_> = me.teams.iter().map(|(team, role)| format!("{team} ({})", word(role))).collect();
            let scopes: Vec<_> = me.token.scopes.iter().map(word).collect();
            let services: Vec<_> = me.token.services.iter().map(ToString::to_string).collect();
            Table::pairs([
                ("person", format!("{}{}", me.person, if me.admin { ", platform admin" } else { "" })),
                ("server", address(client.url())),
                ("teams", teams.join(", ")),
                ("token", format!("{} {}", me.token.token, me.token.name)),
                ("may", scopes.join(", ")),
                ("only for", services.join(", ")),
                ("expires", me.token.expires.map_or_else(String::new, |at| until(at, ctx.host.now()))),
            ])
            .text(*paint)
        })?;
        Ok(Exit::Done)
    }
}
