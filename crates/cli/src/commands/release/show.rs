use api::deliver::{GetRelease, ReleasePath};
use base::Result;

use crate::Exit;
use crate::args::Which;
use crate::context::Ctx;
use crate::output::Table;
use crate::text::{actor, clean, instant};

/// Show one release with all that it takes to run it
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop release show 41
  orlop release show 41 --service shop --json")]
pub struct Args {
    /// The release's number
    #[arg(value_name = "N")]
    number: i64,
    #[command(flatten)]
    which: Which,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let path = ReleasePath { service: ctx.service(self.which.service)?, number: self.number };
        let release = ctx.client().await?.get::<GetRelease>(&path).await?;
        ctx.out.reply(&release, |paint| {
            let current: Vec<_> = release.current_in.iter().map(ToString::to_string).collect();
            let head = Table::pairs([
                ("release", format!("{} of {} ({})", release.number, release.service, release.release)),
                ("current in", if current.is_empty() { "none".to_owned() } else { current.join(", ") }),
                ("artifact", release.artifact.to_string()),
                ("recipe", release.recipe.clone()),
                ("commit", release.commit.clone().unwrap_or_default()),
                ("message", release.message.clone()),
                ("author", release.author.clone()),
                ("made", instant(release.created)),
                ("by", actor(&release.actor)),
            ]);
            let manifest = serde_json::to_string_pretty(&release.manifest).unwrap_or_default();
            let manifest: Vec<_> = manifest.lines().map(|line| format!("  {}", clean(line))).collect();
            format!("{}\nmanifest\n{}", head.text(*paint), manifest.join("\n"))
        })?;
        Ok(Exit::Done)
    }
}
