use api::PageQuery;
use api::access::ServicePath;
use api::deliver::{
    Build, BuildPath, BuildState, CancelBuild, CancelRollout, ListBuilds, ListRollouts, Rollout, RolloutPath,
    RolloutQuery,
};
use base::{EnvironmentName, Kind, Problem, Result};
use serde::Serialize;

use crate::Exit;
use crate::args::Which;
use crate::context::Ctx;
use crate::follow::is_final;
use crate::text::{clean, word};

/// Stop the builds and rollouts that are under way; what served before serves on
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop cancel
  orlop cancel --env prod --service shop")]
pub struct Args {
    /// Only rollouts in this environment, and no builds
    #[arg(short, long = "env", value_name = "ENV")]
    environment: Option<EnvironmentName>,
    #[command(flatten)]
    which: Which,
}

/// The reply of `--json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Cancelled {
    builds: Vec<Build>,
    rollouts: Vec<Rollout>,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let service = ctx.service(self.which.service)?;
        let (client, path) = (ctx.client().await?, ServicePath { service: service.clone() });
        let mut cancelled = Cancelled { builds: Vec::new(), rollouts: Vec::new() };
        if self.environment.is_none() {
            let page = client.list::<ListBuilds>(&path, &PageQuery { limit: Some(20), after: None }).await?;
            for build in page.items.iter().filter(|b| matches!(b.state, BuildState::Queued | BuildState::Running)) {
                let path = BuildPath { service: service.clone(), build: build.build };
                cancelled.builds.extend(unless_over(client.get::<CancelBuild>(&path).await)?);
            }
        }
        let query = RolloutQuery { limit: Some(20), after: None, environment: self.environment };
        let page = client.list::<ListRollouts>(&path, &query).await?;
        for rollout in page.items.iter().filter(|r| !is_final(r.state)) {
            let path = RolloutPath { service: service.clone(), rollout: rollout.rollout };
            cancelled.rollouts.extend(unless_over(client.get::<CancelRollout>(&path).await)?);
        }
        if cancelled.builds.is_empty() && cancelled.rollouts.is_empty() {
            return Err(Problem::conflict(
                "nothing-under-way",
                format!("no build or rollout of `{service}` is under way"),
            ));
        }
        ctx.out.reply(&cancelled, |_| lines(&cancelled))?;
        Ok(Exit::Done)
    }
}

/// What ended by itself between looking and stopping needs no stop.
fn unless_over<T>(outcome: Result<T>) -> Result<Option<T>> {
    match outcome {
        Ok(done) => Ok(Some(done)),
        Err(problem) if problem.kind == Kind::Conflict => Ok(None),
        Err(problem) => Err(problem),
    }
}

fn lines(cancelled: &Cancelled) -> String {
    let builds = cancelled.builds.iter().map(|b| format!("{}  {}  {}", b.build, word(&b.state), clean(&b.reason)));
    let rollouts =
        cancelled.rollouts.iter().map(|r| format!("{}  {}  {}", r.rollout, word(&r.state), clean(&r.reason)));
    builds.chain(rollouts).collect::<Vec<_>>().join("\n")
}
