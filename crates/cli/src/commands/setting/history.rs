use api::access::{ListSettingVersions, SettingPath, SettingQuery};
use base::{Result, SettingName};

use super::{Scope, table};
use crate::Exit;
use crate::context::Ctx;

/// List all versions of a setting, newest first
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop setting history LOG_LEVEL --env prod")]
pub struct Args {
    /// The setting
    #[arg(value_name = "NAME")]
    name: SettingName,
    #[command(flatten)]
    scope: Scope,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let path = SettingPath { service: ctx.service(self.scope.which.service)?, name: self.name };
        let query = SettingQuery { environment: self.scope.environment };
        let page = ctx.client().await?.list::<ListSettingVersions>(&path, &query).await?;
        ctx.out.reply(&page, |paint| table(&page.items, ctx.host.now(), *paint, "It was never set."))?;
        Ok(Exit::Done)
    }
}
