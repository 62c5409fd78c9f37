use api::access::ServicePath;
use api::deliver::{ListRollouts, RolloutQuery};
use base::{EnvironmentName, Result};

use crate::Exit;
use crate::args::{Paging, Which};
use crate::context::Ctx;
use crate::output::{Table, Tone};
use crate::text::{actor, ago, word};

/// List the rollouts of a service, newest first
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop rollout list
  orlop rollout list --env prod --limit 5")]
pub struct Args {
    #[command(flatten)]
    which: Which,
    /// Only in this environment
    #[arg(short, long = "env", value_name = "ENV")]
    environment: Option<EnvironmentName>,
    #[command(flatten)]
    paging: Paging,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let path = ServicePath { service: ctx.service(self.which.service)? };
        let query =
            RolloutQuery { limit: self.paging.limit, after: self.paging.after, environment: self.environment };
        let page = ctx.client().await?.list::<ListRollouts>(&path, &query).await?;
        ctx.out.reply(&page, |paint| {
            let mut table = Table::new(["ROLLOUT", "ENV", "RELEASE", "CAUSE", "STATE", "ASKED", "BY", "WHY"]);
            for r in &page.items {
                let plain = |text: String| (text, Tone::Plain);
                table.row([
                    plain(r.rollout.to_string()),
                    plain(r.environment.to_string()),
                    plain(r.number.to_string()),
                    plain(r.cause.clone()),
                    (word(&r.state), r.state.into()),
                    plain(ago(r.created, ctx.host.now())),
                    plain(actor(&r.actor)),
                    plain(r.reason.clone()),
                ]);
            }
            table.show(*paint, "No rollouts yet: orlop deploy")
        })?;
        ctx.out.more(page.next.as_deref());
        Ok(Exit::Done)
    }
}
