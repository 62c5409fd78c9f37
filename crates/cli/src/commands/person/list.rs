use api::Nothing;
use api::access::ListPeople;
use base::Result;

use crate::Exit;
use crate::args::Paging;
use crate::context::Ctx;
use crate::output::Table;
use crate::text::{ago, word};

/// List all accounts
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop person list
  orlop person list --json")]
pub struct Args {
    #[command(flatten)]
    paging: Paging,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let page = ctx.client().await?.list::<ListPeople>(&Nothing {}, &self.paging.into()).await?;
        ctx.out.reply(&page, |paint| {
            let mut table = Table::new(["PERSON", "ADMIN", "MADE", "TEAMS"]);
            for p in &page.items {
                let teams: Vec<_> = p.teams.iter().map(|(team, role)| format!("{team} ({})", word(role))).collect();
                let admin = if p.admin { "yes" } else { "no" };
                table.plain([p.person.to_string(), admin.to_owned(), ago(p.created, ctx.host.now()), teams.join(", ")]);
            }
            table.show(*paint, "No accounts.")
        })?;
        ctx.out.more(page.next.as_deref());
        Ok(Exit::Done)
    }
}
