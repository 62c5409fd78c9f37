use api::Nothing;
use api::access::{AuditQuery, ListAudit};
use base::Result;

use crate::Exit;
use crate::args::Paging;
use crate::context::Ctx;
use crate::output::Table;
use crate::text::{actor, instant};

/// List what happened and who caused it, newest first
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop audit list
  orlop audit list --kind deliver.rollout --subject shop --json")]
pub struct Args {
    /// Only this kind
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// Only subjects that begin so
    #[arg(long, value_name = "TEXT")]
    subject: Option<String>,
    #[command(flatten)]
    paging: Paging,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let (limit, after) = (self.paging.limit, self.paging.after);
        let query = AuditQuery { limit, after, kind: self.kind, subject: self.subject };
        let page = ctx.client().await?.list::<ListAudit>(&Nothing {}, &query).await?;
        ctx.out.reply(&page, |paint| {
            let mut table = Table::new(["SEQ", "WHEN", "WHO", "WHAT", "ABOUT"]);
            for a in &page.items {
                table.plain([a.seq.to_string(), instant(a.at), actor(&a.actor), a.kind.clone(), a.subject.clone()]);
            }
            table.show(*paint, "Nothing happened yet.")
        })?;
        ctx.out.more(page.next.as_deref());
        Ok(Exit::Done)
    }
}
