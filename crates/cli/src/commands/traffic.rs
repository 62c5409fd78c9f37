use api::access::ServicePath;
use api::route::GetTraffic;
use base::Result;

use crate::Exit;
use crate::args::WhichFirst;
use crate::context::Ctx;
use crate::output::Table;
use crate::text::{bytes, or_dash};

/// Show the requests to a service since the gateway started, by release
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop traffic
  orlop traffic shop --json")]
pub struct Args {
    #[command(flatten)]
    which: WhichFirst,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let path = ServicePath { service: ctx.service(self.which.service)? };
        let page = ctx.client().await?.get::<GetTraffic>(&path).await?;
        ctx.out.reply(&page, |paint| {
            let head = ["ENV", "RELEASE", "REQUESTS", "OK", "4XX", "5XX", "LOST", "P50", "P99", "IN", "OUT"];
            let mut table = Table::new(head);
            let ms = |p: Option<u32>| or_dash(p.map(|ms| format!("≤{ms} ms")));
            for t in &page.items {
                table.plain([
                    t.environment.to_string(),
                    or_dash(t.release.map(|r| r.short())),
                    t.requests.to_string(),
                    t.ok.to_string(),
                    t.client_errors.to_string(),
                    t.server_errors.to_string(),
                    t.gateway_errors.to_string(),
                    ms(t.p50_ms),
                    ms(t.p99_ms),
                    bytes(t.bytes_in),
                    bytes(t.bytes_out),
                ]);
            }
            table.show(*paint, "No requests yet.")
        })?;
        Ok(Exit::Done)
    }
}
