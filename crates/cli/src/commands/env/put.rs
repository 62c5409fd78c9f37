use api::deliver::{EnvironmentChange, EnvironmentPath, PutEnvironment};
use base::{EnvironmentName, Result};

use crate::Exit;
use crate::context::Ctx;

/// Add an environment, or move it in the order of promotion
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop env put staging --after dev")]
pub struct Args {
    /// The environment
    #[arg(value_name = "ENV")]
    environment: EnvironmentName,
    /// The environment before it; default: none, it becomes the first
    #[arg(long, value_name = "ENV")]
    after: Option<EnvironmentName>,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let path = EnvironmentPath { environment: self.environment };
        let put = ctx.client().await?.send::<PutEnvironment>(&path, &EnvironmentChange { after: self.after }).await?;
        ctx.out.reply(&put, |_| format!("{}  {}", put.order, put.environment))?;
        Ok(Exit::Done)
    }
}
