use api::access::ServicePath;
use api::deliver::{NewRollout, StartRollout};
use base::{EnvironmentName, Result, ServiceName};

use crate::args::{Waiting, Which};
use crate::context::Ctx;
use crate::{Exit, follow};

/// Roll out a release by its number
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop rollout start 41 --env staging")]
pub struct Args {
    /// The release's number
    #[arg(value_name = "N")]
    number: i64,
    /// The environment
    #[arg(short, long = "env", value_name = "ENV")]
    environment: EnvironmentName,
    #[command(flatten)]
    which: Which,
    /// Why, for those who read the history
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    waiting: Waiting,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let service = ctx.service(self.which.service)?;
        let wanted = NewRollout {
            environment: self.environment,
            release: Some(self.number),
            from: None,
            rollback: false,
            restart: false,
            reason: self.reason,
        };
        start(ctx, service, wanted, &self.waiting).await
    }
}

/// Starts a rollout and follows it unless told not to.
pub async fn start(ctx: &Ctx<'_>, service: ServiceName, wanted: NewRollout, waiting: &Waiting) -> Result<Exit> {
    let path = ServicePath { service: service.clone() };
    let begun = ctx.client().await?.send::<StartRollout>(&path, &wanted).await?;
    ctx.out.say(&format!("{} of release {} of {service} in {}", begun.cause, begun.number, begun.environment));
    if !waiting.detach {
        return follow::rollout(ctx, &begun, waiting.wait.0).await;
    }
    ctx.out.reply(&begun, |_| begun.rollout.to_string())?;
    ctx.out.say(&format!("The rollout goes on. Follow it: orlop rollout watch {} --service {service}", begun.rollout));
    Ok(Exit::Done)
}
