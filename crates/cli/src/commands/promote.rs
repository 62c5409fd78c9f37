use api::Nothing;
use api::deliver::{ListEnvironments, NewRollout};
use base::{EnvironmentName, Result};

use super::rollout::start;
use crate::Exit;
use crate::args::{Waiting, Which};
use crate::context::Ctx;
use crate::exit::usage;

/// Bring what one environment runs to another, without building again
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop promote --to prod
  orlop promote --from dev --to prod --service shop")]
pub struct Args {
    /// The environment that gets it
    #[arg(long, value_name = "ENV")]
    to: EnvironmentName,
    /// The environment that has it; default: the one before
    #[arg(long, value_name = "ENV")]
    from: Option<EnvironmentName>,
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
        let from = match self.from {
            Some(from) => from,
            None => before(ctx, &self.to).await?,
        };
        let wanted = NewRollout {
            environment: self.to,
            release: None,
            from: Some(from),
            rollback: false,
            restart: false,
            reason: self.reason,
        };
        start(ctx, service, wanted, &self.waiting).await
    }
}

/// The environment before another in the order of promotion.
async fn before(ctx: &Ctx<'_>, to: &EnvironmentName) -> Result<EnvironmentName> {
    let mut environments = ctx.client().await?.get::<ListEnvironments>(&Nothing {}).await?.items;
    environments.sort_by_key(|e| e.order);
    let names: Vec<_> = environments.into_iter().map(|e| e.environment).collect();
    let known: Vec<_> = names.iter().map(ToString::to_string).collect();
    match names.iter().position(|name| name == to) {
        Some(i) if i > 0 => names.get(i - 1).cloned().ok_or_else(|| usage("no environment comes before it")),
        Some(_) => Err(usage(format!("`{to}` is the first environment; nothing comes before it"))
            .hint(format!("name another: --to with one of {}", known.join(", ")))),
        None => Err(usage(format!("there is no environment `{to}`")).hint(format!("there are {}", known.join(", ")))),
    }
}
