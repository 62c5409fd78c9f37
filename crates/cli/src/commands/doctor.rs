use api::Nothing;
use api::platform::{Doctor, DoctorQuery, Verdict};
use base::Result;

use crate::Exit;
use crate::context::Ctx;
use crate::output::{Table, Tone};
use crate::text::{clean, word};

/// Check everything that can be wrong with the installation and say how to mend it
///
/// Fails when anything is broken.
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop doctor
  orlop doctor --json")]
pub struct Args {}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let page = ctx.client().await?.list::<Doctor>(&Nothing {}, &DoctorQuery { thorough: true }).await?;
        ctx.out.reply(&page, |paint| {
            let mut table = Table::new(["CHECK", "VERDICT", "FOUND"]);
            for check in &page.items {
                let plain = |text: &str| (text.to_owned(), Tone::Plain);
                table.row([plain(&check.name), (word(&check.verdict), check.verdict.into()), plain(&check.found)]);
            }
            let fixes = page
                .items
                .iter()
                .filter(|c| c.verdict > Verdict::Ok)
                .filter_map(|c| Some(format!("\n  fix   {}: {}", clean(&c.name), clean(c.fix.as_deref()?))));
            table.show(*paint, "No checks.") + &fixes.collect::<String>()
        })?;
        let broken = page.items.iter().any(|check| check.verdict == Verdict::Broken);
        Ok(if broken { Exit::Failed } else { Exit::Done })
    }
}
