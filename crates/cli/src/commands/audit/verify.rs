use api::Nothing;
use api::access::VerifyAudit;
use base::Result;

use crate::Exit;
use crate::context::Ctx;
use crate::output::Tone;
use crate::text::{clean, count, or_dash};

/// Check the hash chain of the audit trail from its beginning
///
/// Fails when a record is not what was written.
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop audit verify")]
pub struct Args {}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let found = ctx.client().await?.get::<VerifyAudit>(&Nothing {}).await?;
        ctx.out.reply(&found, |paint| {
            let checked = count(found.checked.unsigned_abs(), "record");
            if found.ok {
                return format!("{} {checked} checked, each as it was written", paint.tone(Tone::Good, "ok"));
            }
            let problem = clean(found.problem.as_deref().unwrap_or("it is not as it was written"));
            format!("{} record {}: {problem} ({checked} checked)", paint.tone(Tone::Bad, "broken"), or_dash(found.first_bad))
        })?;
        Ok(if found.ok { Exit::Done } else { Exit::Failed })
    }
}
