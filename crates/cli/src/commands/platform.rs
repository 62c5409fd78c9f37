use api::Nothing;
use api::platform::GetPlatform;
use base::Result;

use crate::Exit;
use crate::context::Ctx;
use crate::output::{Table, Tone};
use crate::text::{ago, or_dash};

/// Show what the platform says about itself: addresses, reconcilers, jobs
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop platform
  orlop platform --json")]
pub struct Args {}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let platform = ctx.client().await?.get::<GetPlatform>(&Nothing {}).await?;
        ctx.out.reply(&platform, |paint| {
            let now = ctx.host.now();
            let head = Table::pairs([
                ("version", platform.version.clone()),
                ("started", ago(platform.started, now)),
                ("api", platform.api.clone()),
                ("gateway", platform.gateway.clone()),
                ("domain", platform.domain.clone()),
                ("database", platform.database.clone()),
            ]);
            let mut reconcilers = Table::new(["RECONCILER", "RUNS", "FAILED", "LAST", "TOOK", "ERROR"]);
            for r in &platform.reconcilers {
                let plain = |text: String| (text, Tone::Plain);
                let error = r.last_error.clone().map_or((String::new(), Tone::Plain), |e| (e, Tone::Bad));
                reconcilers.row([
                    plain(r.name.clone()),
                    plain(r.runs.to_string()),
                    plain(r.failures.to_string()),
                    plain(or_dash(r.last_run.map(|at| ago(at, now)))),
                    plain(format!("{}.{} ms", r.last_took_us / 1000, r.last_took_us % 1000 / 100)),
                    error,
                ]);
            }
            let mut jobs = Table::new(["JOB", "KIND", "STATE", "ATTEMPTS", "ERROR"]);
            for job in &platform.jobs {
                let error = job.error.clone().unwrap_or_default();
                jobs.plain([job.job.to_string(), job.kind.clone(), job.state.clone(), job.attempts.to_string(), error]);
            }
            [head.text(*paint), reconcilers.show(*paint, "No reconcilers."), jobs.show(*paint, "No jobs wait.")]
                .join("\n\n")
        })?;
        Ok(Exit::Done)
    }
}
