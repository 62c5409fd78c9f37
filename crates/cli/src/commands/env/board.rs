use api::access::ServicePath;
use api::deliver::GetBoard;
use base::Result;

use crate::Exit;
use crate::args::WhichFirst;
use crate::context::Ctx;
use crate::output::Table;
use crate::text::{ago, commit, or_dash};

/// Show what each environment runs of a service, and what differs from the one before it
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop env board
  orlop env board shop")]
pub struct Args {
    #[command(flatten)]
    which: WhichFirst,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let path = ServicePath { service: ctx.service(self.which.service)? };
        let page = ctx.client().await?.get::<GetBoard>(&path).await?;
        ctx.out.reply(&page, |paint| {
            let mut table = Table::new(["ENV", "RELEASE", "COMMIT", "SINCE", "MESSAGE", "DIFFERS"]);
            for e in &page.items {
                table.plain([
                    e.environment.to_string(),
                    or_dash(e.release),
                    commit(e.commit.as_deref()),
                    or_dash(e.since.map(|at| ago(at, ctx.host.now()))),
                    e.message.clone().unwrap_or_default(),
                    e.differs.join("; "),
                ]);
            }
            table.show(*paint, "No environments.")
        })?;
        Ok(Exit::Done)
    }
}
