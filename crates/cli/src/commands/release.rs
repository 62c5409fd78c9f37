mod show;

use base::Result;
use clap::Subcommand;

use super::releases;
use crate::Exit;
use crate::context::Ctx;

/// List and show releases
#[derive(Debug, Subcommand)]
#[command(disable_help_subcommand = true)]
pub enum Verb {
    List(releases::Args),
    Show(show::Args),
}

impl Verb {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        match self {
            Self::List(args) => args.run(ctx).await,
            Self::Show(args) => args.run(ctx).await,
        }
    }
}
