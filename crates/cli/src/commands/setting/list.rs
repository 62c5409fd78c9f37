use api::access::{ListPlatformSettings, ListSettings, ServicePath, SettingQuery};
use api::{Nothing, PageQuery};
use base::Result;

use super::{Scope, table};
use crate::Exit;
use crate::context::Ctx;

/// List the settings of a service; the values of secrets are never shown
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop setting list
  orlop setting list --env prod --service shop
  orlop setting list --platform")]
pub struct Args {
    #[command(flatten)]
    scope: Scope,
    /// Those of the whole installation
    #[arg(long, conflicts_with_all = ["service", "environment"])]
    platform: bool,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let client = ctx.client().await?;
        let page = if self.platform {
            client.list::<ListPlatformSettings>(&Nothing {}, &PageQuery { limit: Some(500), after: None }).await?
        } else {
            let path = ServicePath { service: ctx.service(self.scope.which.service)? };
            client.list::<ListSettings>(&path, &SettingQuery { environment: self.scope.environment }).await?
        };
        ctx.out.reply(&page, |paint| {
            table(&page.items, ctx.host.now(), *paint, "No settings: orlop setting set NAME=VALUE")
        })?;
        Ok(Exit::Done)
    }
}
