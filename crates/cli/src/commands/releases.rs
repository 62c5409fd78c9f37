use api::access::ServicePath;
use api::deliver::ListReleases;
use base::Result;

use crate::Exit;
use crate::args::{Paging, Which};
use crate::context::Ctx;
use crate::output::Table;
use crate::text::{actor, ago, commit};

/// List the releases of a service, newest first
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop releases
  orlop releases --service shop --limit 10
  orlop release list")]
pub struct Args {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    paging: Paging,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let path = ServicePath { service: ctx.service(self.which.service)? };
        let page = ctx.client().await?.list::<ListReleases>(&path, &self.paging.into()).await?;
        ctx.out.reply(&page, |paint| {
            let mut table = Table::new(["RELEASE", "CURRENT IN", "COMMIT", "MADE", "BY", "MESSAGE"]);
            for r in &page.items {
                let current: Vec<_> = r.current_in.iter().map(ToString::to_string).collect();
                table.plain([
                    r.number.to_string(),
                    current.join(", "),
                    commit(r.commit.as_deref()),
                    ago(r.created, ctx.host.now()),
                    actor(&r.actor),
                    r.message.clone(),
                ]);
            }
            table.show(*paint, "No releases yet: orlop deploy")
        })?;
        ctx.out.more(page.next.as_deref());
        Ok(Exit::Done)
    }
}
