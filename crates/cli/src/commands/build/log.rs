use api::access::ServicePath;
use api::deliver::{BuildPath, ListBuilds, WatchBuildLog};
use api::{Nothing, PageQuery};
use base::{BuildId, Problem, Result, ServiceName};

use crate::Exit;
use crate::args::Which;
use crate::client::Ending;
use crate::context::Ctx;
use crate::text::clean;

/// Show the log of a build; follow it while it runs
///
/// With --json, one line for each line of the log.
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop build log
  orlop build log bld_01kb… --service shop")]
pub struct Args {
    /// The build; default: the newest
    #[arg(value_name = "BUILD")]
    build: Option<BuildId>,
    #[command(flatten)]
    which: Which,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let service = ctx.service(self.which.service)?;
        let build = match self.build {
            Some(build) => build,
            None => newest(ctx, &service).await?,
        };
        let path = BuildPath { service, build };
        let mut events = ctx.client().await?.events::<WatchBuildLog>(path, Nothing {}, Ending::Complete);
        let mut interrupted = ctx.host.interrupted();
        loop {
            let line = tokio::select! {
                line = events.next() => line?,
                () = &mut interrupted => None,
            };
            let Some(line) = line else { return Ok(Exit::Done) };
            ctx.out.event(&line, |_| clean(&line.text))?;
        }
    }
}

async fn newest(ctx: &Ctx<'_>, service: &ServiceName) -> Result<BuildId> {
    let query = PageQuery { limit: Some(1), after: None };
    let page = ctx.client().await?.list::<ListBuilds>(&ServicePath { service: service.clone() }, &query).await?;
    let newest = page.items.first().map(|build| build.build);
    newest.ok_or_else(|| Problem::not_found("no-build", format!("`{service}` was never built")).hint("orlop deploy"))
}
