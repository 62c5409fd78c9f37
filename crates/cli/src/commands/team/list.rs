use api::Nothing;
use api::access::ListTeams;
use base::Result;

use crate::Exit;
use crate::args::Paging;
use crate::context::Ctx;
use crate::output::Table;
use crate::text::{ago, word};

/// List the teams that you may see
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop team list
  orlop team list --json")]
pub struct Args {
    #[command(flatten)]
    paging: Paging,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let page = ctx.client().await?.list::<ListTeams>(&Nothing {}, &self.paging.into()).await?;
        ctx.out.reply(&page, |paint| {
            let mut table = Table::new(["TEAM", "MADE", "MEMBERS"]);
            for t in &page.items {
                let members: Vec<_> =
                    t.members.iter().map(|(person, role)| format!("{person} ({})", word(role))).collect();
                table.plain([t.team.to_string(), ago(t.created, ctx.host.now()), members.join(", ")]);
            }
            table.show(*paint, "No teams: orlop team create NAME")
        })?;
        ctx.out.more(page.next.as_deref());
        Ok(Exit::Done)
    }
}
