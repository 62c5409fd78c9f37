use api::access::{RestoreSetting, SettingPath, SettingQuery, SettingVersion};
use base::{Result, SettingName};

use super::Scope;
use crate::Exit;
use crate::context::Ctx;

/// Bring an earlier version of a setting back, as a new version; a secret without showing it
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop setting restore LOG_LEVEL 2
  orlop setting restore LOG_LEVEL 2 --env prod")]
pub struct Args {
    /// The setting
    #[arg(value_name = "NAME")]
    name: SettingName,
    /// The version; `orlop setting history NAME` lists them
    #[arg(value_name = "VERSION")]
    version: i64,
    #[command(flatten)]
    scope: Scope,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let path = SettingPath { service: ctx.service(self.scope.which.service)?, name: self.name };
        let query = SettingQuery { environment: self.scope.environment };
        let body = SettingVersion { version: self.version };
        let setting = ctx.client().await?.call::<RestoreSetting>(&path, &query, &body).await?;
        ctx.out.reply(&setting, |_| String::new())?;
        ctx.out.say(&format!(
            "Version {} of {} is back, as version {}. Where the service runs, a rollout with it begins by itself: orlop status",
            self.version, setting.name, setting.version
        ));
        Ok(Exit::Done)
    }
}
