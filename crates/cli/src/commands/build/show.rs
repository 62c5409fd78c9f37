use api::deliver::{BuildPath, GetBuild};
use base::{BuildId, Result};

use crate::Exit;
use crate::args::Which;
use crate::context::Ctx;
use crate::output::Table;
use crate::text::{actor, clean, commit, instant, millis, or_dash, word};

/// Show one build: what was found, which recipe, where the time went
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop build show bld_01kb…")]
pub struct Args {
    /// The build
    #[arg(value_name = "BUILD")]
    build: BuildId,
    #[command(flatten)]
    which: Which,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let path = BuildPath { service: ctx.service(self.which.service)?, build: self.build };
        let build = ctx.client().await?.get::<GetBuild>(&path).await?;
        ctx.out.reply(&build, |paint| {
            let mut text = Table::pairs([
                ("build", build.build.to_string()),
                ("state", format!("{}: {}", word(&build.state), build.reason)),
                ("recipe", or_dash(build.recipe.clone())),
                ("found", build.evidence.join("; ")),
                ("commit", commit(build.commit.as_deref())),
                ("artifact", or_dash(build.artifact)),
                ("release", or_dash(build.release)),
                ("begun", instant(build.created)),
                ("by", actor(&build.actor)),
            ])
            .text(*paint);
            for step in &build.steps {
                let took = step.took_ms.map_or_else(|| "running".to_owned(), millis);
                text.push_str(&format!("\n{took:>10}  {}", clean(&step.name)));
            }
            text
        })?;
        Ok(Exit::Done)
    }
}
