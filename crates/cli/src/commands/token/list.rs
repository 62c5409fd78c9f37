use api::Nothing;
use api::access::{ListTokens, TokenKind};
use base::Result;

use crate::Exit;
use crate::args::Paging;
use crate::context::Ctx;
use crate::output::Table;
use crate::text::{ago, or_dash, until, word};

/// List your tokens, and your sessions of the portal
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop token list")]
pub struct Args {
    #[command(flatten)]
    paging: Paging,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let page = ctx.client().await?.list::<ListTokens>(&Nothing {}, &self.paging.into()).await?;
        ctx.out.reply(&page, |paint| {
            let now = ctx.host.now();
            let mut table = Table::new(["TOKEN", "KIND", "NAME", "MAY", "ONLY FOR", "EXPIRES", "USED"]);
            for t in &page.items {
                let services: Vec<_> = t.services.iter().map(ToString::to_string).collect();
                table.plain([
                    t.token.to_string(),
                    if t.kind == TokenKind::Session { "session" } else { "token" }.to_owned(),
                    t.name.clone(),
                    t.scopes.iter().map(word).collect::<Vec<_>>().join(","),
                    services.join(","),
                    or_dash(t.lapses.into_iter().chain(t.expires).min().map(|at| until(at, now))),
                    t.used.map_or_else(|| "never".to_owned(), |at| ago(at, now)),
                ]);
            }
            table.show(*paint, "No tokens.")
        })?;
        ctx.out.more(page.next.as_deref());
        Ok(Exit::Done)
    }
}
