use api::access::{CompareSettings, ServicePath, Setting, SettingComparisonQuery};
use base::{EnvironmentName, Result};

use super::one_line;
use crate::Exit;
use crate::args::Which;
use crate::context::Ctx;
use crate::output::Table;
use crate::text::word;

/// Compare what is set in two environments; values of secrets are neither shown nor compared
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop setting compare staging prod
  orlop setting compare staging prod --service shop")]
pub struct Args {
    /// One environment
    #[arg(value_name = "FROM")]
    from: EnvironmentName,
    /// The other one
    #[arg(value_name = "TO")]
    to: EnvironmentName,
    #[command(flatten)]
    which: Which,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let path = ServicePath { service: ctx.service(self.which.service)? };
        let query = SettingComparisonQuery { from: self.from.clone(), to: self.to.clone() };
        let page = ctx.client().await?.list::<CompareSettings>(&path, &query).await?;
        ctx.out.reply(&page, |paint| {
            let mut table = Table::new(["NAME", "VERDICT", self.from.as_str(), self.to.as_str()]);
            for one in &page.items {
                let (from, to) = (side(one.from.as_ref()), side(one.to.as_ref()));
                table.plain([one.name.to_string(), word(&one.verdict), from, to]);
            }
            table.show(*paint, "No settings in either of them.")
        })?;
        Ok(Exit::Done)
    }
}

fn side(setting: Option<&Setting>) -> String {
    let Some(setting) = setting else { return "-".to_owned() };
    match &setting.value {
        Some(value) => one_line(value),
        None if setting.secret => format!("(secret, version {})", setting.version),
        None => format!("(of the installation, version {})", setting.version),
    }
}
