use api::access::ServicePath;
use api::catalog::GetStatus;
use base::{EnvironmentName, Problem, Result};
use serde::Serialize;

use crate::args::Which;
use crate::context::Ctx;
use crate::text::clean;
use crate::{Exit, Stream};

/// Show the URL of the service, and open it where there is a browser
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop open
  orlop open staging
  curl \"$(orlop open prod --service shop)\"")]
pub struct Args {
    /// The environment; default: the first where the service has a URL
    #[arg(value_name = "ENV")]
    environment: Option<EnvironmentName>,
    #[command(flatten)]
    which: Which,
}

/// The reply of `--json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Address {
    environment: EnvironmentName,
    url: String,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let service = ctx.service(self.which.service)?;
        let status = ctx.client().await?.get::<GetStatus>(&ServicePath { service: service.clone() }).await?;
        let wanted = |e: &EnvironmentName| self.environment.as_ref().is_none_or(|w| w == e);
        let found = status.environments.into_iter().filter(|e| wanted(&e.environment)).find_map(|e| {
            let (environment, url) = (e.environment, e.url?);
            Some(Address { environment, url })
        });
        let Some(address) = found else {
            let place = self.environment.map_or_else(String::new, |e| format!(" in {e}"));
            return Err(Problem::not_found("no-url", format!("`{service}` has no URL{place}"))
                .hint(format!("orlop status {service}")));
        };
        ctx.out.reply(&address, |_| clean(&address.url))?;
        let is_page = address.url.starts_with("http://") || address.url.starts_with("https://");
        if is_page && !ctx.out.json && ctx.host.is_terminal(Stream::Out) {
            ctx.host.browse(&address.url);
        }
        Ok(Exit::Done)
    }
}
