use api::access::{RemoveSetting, SettingPath, SettingQuery};
use base::{Result, SettingName};

use super::Scope;
use crate::Exit;
use crate::context::Ctx;

/// Remove a setting; its versions stay for the releases that use them
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop setting unset LOG_LEVEL
  orlop setting unset LOG_LEVEL --env prod")]
pub struct Args {
    /// The setting
    #[arg(value_name = "NAME")]
    name: SettingName,
    #[command(flatten)]
    scope: Scope,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let path = SettingPath { service: ctx.service(self.scope.which.service)?, name: self.name.clone() };
        let query = SettingQuery { environment: self.scope.environment };
        let done = ctx.client().await?.list::<RemoveSetting>(&path, &query).await?;
        ctx.out.reply(&done, |_| String::new())?;
        ctx.out.say(&format!("Removed {}. Where the service runs, a rollout without it begins by itself: orlop status", self.name));
        Ok(Exit::Done)
    }
}
