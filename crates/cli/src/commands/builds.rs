use api::access::ServicePath;
use api::deliver::ListBuilds;
use base::Result;

use crate::Exit;
use crate::args::{Paging, Which};
use crate::context::Ctx;
use crate::output::{Table, Tone};
use crate::text::{ago, commit, or_dash, span, word};

/// List the builds of a service, newest first
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop builds
  orlop builds --service shop --json")]
pub struct Args {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    paging: Paging,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let path = ServicePath { service: ctx.service(self.which.service)? };
        let page = ctx.client().await?.list::<ListBuilds>(&path, &self.paging.into()).await?;
        ctx.out.reply(&page, |paint| {
            let mut table = Table::new(["BUILD", "STATE", "RELEASE", "COMMIT", "BEGUN", "TOOK", "RECIPE", "WHY"]);
            for b in &page.items {
                let plain = |text: String| (text, Tone::Plain);
                table.row([
                    plain(b.build.to_string()),
                    (word(&b.state), b.state.into()),
                    plain(or_dash(b.release)),
                    plain(commit(b.commit.as_deref())),
                    plain(ago(b.created, ctx.host.now())),
                    plain(or_dash(b.ended.map(|ended| span(ended.since(b.created))))),
                    plain(or_dash(b.recipe.clone())),
                    plain(b.reason.clone()),
                ]);
            }
            table.show(*paint, "No builds yet: orlop deploy")
        })?;
        ctx.out.more(page.next.as_deref());
        Ok(Exit::Done)
    }
}
