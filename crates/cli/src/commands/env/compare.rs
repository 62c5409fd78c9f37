use api::deliver::{CompareEnvironments, Comparison, ComparisonQuery, EnvironmentPath, SettingDifference, SettingPointer};
use base::{EnvironmentName, Result};

use crate::Exit;
use crate::args::{Paging, Which};
use crate::context::Ctx;
use crate::output::Table;
use crate::text::or_dash;

/// Compare what two environments run: releases, settings, needs
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop env compare staging prod
  orlop env compare staging prod --service shop")]
pub struct Args {
    /// Where a promotion would come from
    #[arg(value_name = "FROM")]
    from: EnvironmentName,
    /// Where it would go
    #[arg(value_name = "TO")]
    to: EnvironmentName,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    paging: Paging,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let path = EnvironmentPath { environment: self.to.clone() };
        let Paging { limit, after } = self.paging;
        let query = ComparisonQuery { from: self.from.clone(), service: self.which.service, limit, after };
        let page = ctx.client().await?.list::<CompareEnvironments>(&path, &query).await?;
        ctx.out.reply(&page, |paint| {
            let (from, to) = (self.from.as_str(), self.to.as_str());
            let mut table = Table::new(["SERVICE", from, to, "BEHIND", "DIFFERS"]);
            for one in &page.items {
                let number = |side: Option<i64>| or_dash(side);
                table.plain([
                    one.service.to_string(),
                    number(one.from.as_ref().map(|s| s.release)),
                    number(one.to.as_ref().map(|s| s.release)),
                    one.behind.to_string(),
                    differences(one).join("; "),
                ]);
            }
            table.show(*paint, "Nothing runs in either of them.")
        })?;
        ctx.out.more(page.next.as_deref());
        Ok(Exit::Done)
    }
}

fn differences(one: &Comparison) -> Vec<String> {
    let settings = one.settings.iter().map(setting);
    let needs = one.needs.iter().map(|need| {
        let side = |side: &Option<String>| side.clone().unwrap_or_else(|| "not needed".to_owned());
        format!("need {}: {} | {}", need.name, side(&need.from), side(&need.to))
    });
    settings.chain(needs).collect()
}

/// How a setting differs, in one line.
pub fn setting(difference: &SettingDifference) -> String {
    let side = |side: &Option<SettingPointer>| match side {
        Some(side) => format!("version {} of the {}", side.version, side.scope),
        None => "not set".to_owned(),
    };
    format!("setting {}: {} | {}", difference.name, side(&difference.from), side(&difference.to))
}
