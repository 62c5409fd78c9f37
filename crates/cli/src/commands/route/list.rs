use api::access::ServicePath;
use api::route::ListRoutes;
use base::Result;

use crate::Exit;
use crate::args::WhichFirst;
use crate::context::Ctx;
use crate::output::{Table, Tone};
use crate::text::ago;

/// List the routes of a service, as read back from the gateway
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop route list
  orlop route list shop --json")]
pub struct Args {
    #[command(flatten)]
    which: WhichFirst,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let path = ServicePath { service: ctx.service(self.which.service)? };
        let page = ctx.client().await?.get::<ListRoutes>(&path).await?;
        ctx.out.reply(&page, |paint| {
            let mut table = Table::new(["ENV", "URL", "SHARES", "SINCE", "STATE"]);
            for r in &page.items {
                let shares = r.shares.iter().map(|s| format!("{}% {} ×{}", s.percent, s.release.short(), s.instances));
                let plain = |text: String| (text, Tone::Plain);
                let state = if r.problem.is_empty() {
                    ("as wanted".to_owned(), Tone::Good)
                } else {
                    (r.problem.clone(), Tone::Bad)
                };
                table.row([
                    plain(r.environment.to_string()),
                    plain(r.url.clone()),
                    plain(shares.collect::<Vec<_>>().join(", ")),
                    plain(ago(r.since, ctx.host.now())),
                    state,
                ]);
            }
            table.show(*paint, "No routes.")
        })?;
        Ok(Exit::Done)
    }
}
