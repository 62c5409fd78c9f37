use api::Nothing;
use api::catalog::{ListServices, ServiceQuery};
use base::{Result, TeamName};

use crate::Exit;
use crate::args::Paging;
use crate::context::Ctx;
use crate::output::Table;
use crate::text::ago;

/// List the services that you may see
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop service list
  orlop service list --team payments --search check
  orlop service list --removed")]
pub struct Args {
    /// Only this team's
    #[arg(long, value_name = "TEAM")]
    team: Option<TeamName>,
    /// Only those whose name or description contains this
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Removed ones too
    #[arg(long)]
    removed: bool,
    #[command(flatten)]
    paging: Paging,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let query = ServiceQuery {
            limit: self.paging.limit,
            after: self.paging.after,
            team: self.team,
            search: self.search,
            removed: self.removed,
        };
        let page = ctx.client().await?.list::<ListServices>(&Nothing {}, &query).await?;
        ctx.out.reply(&page, |paint| {
            let now = ctx.host.now();
            let mut table = Table::new(["SERVICE", "TEAM", "MADE", "DESCRIPTION"]);
            for s in &page.items {
                let removed = s.removed.map_or_else(String::new, |at| format!("(removed {}) ", ago(at, now)));
                let about = format!("{removed}{}", s.description);
                table.plain([s.service.to_string(), s.team.to_string(), ago(s.created, now), about]);
            }
            table.show(*paint, "No services: orlop new, or orlop deploy in a folder with code.")
        })?;
        ctx.out.more(page.next.as_deref());
        Ok(Exit::Done)
    }
}
