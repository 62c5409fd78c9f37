use api::access::{RemoveView, ViewPath};
use base::{Result, ViewName};

use crate::Exit;
use crate::context::Ctx;

/// Forget one of your views
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop view remove payments-down")]
pub struct Args {
    /// Its name
    #[arg(value_name = "NAME")]
    view: ViewName,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let path = ViewPath { view: self.view };
        let done = ctx.client().await?.get::<RemoveView>(&path).await?;
        ctx.out.reply(&done, |_| String::new())?;
        ctx.out.say(&format!("Forgot {}.", path.view));
        Ok(Exit::Done)
    }
}
