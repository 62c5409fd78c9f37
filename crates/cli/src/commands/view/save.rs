use api::access::{SaveView, ViewPath};
use base::{Result, ViewName};

use crate::Exit;
use crate::args::Filter;
use crate::context::Ctx;

/// Keep what you look for under a name; it stands above the portal's list too
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop view save payments-down --team payments --health down
  orlop status --view payments-down")]
pub struct Args {
    /// Its name
    #[arg(value_name = "NAME")]
    view: ViewName,
    #[command(flatten)]
    filter: Filter,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let view = ctx.client().await?.send::<SaveView>(&ViewPath { view: self.view }, &self.filter.query()).await?;
        ctx.out.reply(&view, |_| String::new())?;
        ctx.out.say(&format!("Kept. To see it: orlop status --view {}", view.view));
        Ok(Exit::Done)
    }
}
