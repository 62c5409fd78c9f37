use api::Nothing;
use api::deliver::{ListRuns, RunKind, RunQuery};
use base::Result;

use crate::Exit;
use crate::args::{Paging, Which};
use crate::context::Ctx;
use crate::output::{Table, Tone};
use crate::text::{ago, millis, or_dash, span, word};

/// List builds and release commands of all services, newest first, with where the time went
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop runs
  orlop runs --service shop --kind build")]
pub struct Args {
    #[command(flatten)]
    which: Which,
    /// Only these: build or release
    #[arg(long, value_name = "KIND", value_parser = kind)]
    kind: Option<RunKind>,
    #[command(flatten)]
    paging: Paging,
}

fn kind(text: &str) -> Result<RunKind, String> {
    match text {
        "build" => Ok(RunKind::Build),
        "release" => Ok(RunKind::Release),
        _ => Err("write `build` or `release`".to_owned()),
    }
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let Paging { limit, after } = self.paging;
        let query = RunQuery { limit, after, service: self.which.service, kind: self.kind };
        let page = ctx.client().await?.list::<ListRuns>(&Nothing {}, &query).await?;
        ctx.out.reply(&page, |paint| {
            let mut table = Table::new(["SERVICE", "ENV", "RUN", "STATE", "RELEASE", "BEGUN", "TOOK", "STEPS", "WHY"]);
            for run in &page.items {
                let plain = |text: String| (text, Tone::Plain);
                let steps: Vec<String> = run
                    .steps
                    .iter()
                    .map(|step| format!("{} {}", step.name, step.took_ms.map_or_else(|| "runs".to_owned(), millis)))
                    .collect();
                table.row([
                    plain(run.service.to_string()),
                    plain(run.environment.to_string()),
                    plain(word(&run.kind)),
                    (word(&run.state), run.state.into()),
                    plain(or_dash(run.release)),
                    plain(ago(run.created, ctx.host.now())),
                    plain(or_dash(run.ended.map(|ended| span(ended.since(run.created))))),
                    plain(steps.join(", ")),
                    plain(run.reason.clone()),
                ]);
            }
            table.show(*paint, "Nothing has run yet: orlop deploy")
        })?;
        ctx.out.more(page.next.as_deref());
        Ok(Exit::Done)
    }
}
