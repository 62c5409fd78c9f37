use api::access::{RevokeToken, TokenPath};
use base::{Result, TokenId};

use crate::Exit;
use crate::args::Sure;
use crate::context::Ctx;

/// Revoke a token; it stops working at once
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop token revoke tok_01kb… --yes")]
pub struct Args {
    /// The token's id
    #[arg(value_name = "TOKEN")]
    token: TokenId,
    #[command(flatten)]
    sure: Sure,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let client = ctx.client().await?;
        ctx.confirm(&format!("Revoke the token {}", self.token), self.sure.yes)?;
        let done = client.get::<RevokeToken>(&TokenPath { token: self.token }).await?;
        ctx.out.reply(&done, |_| String::new())?;
        ctx.out.say(&format!("Revoked {}.", self.token));
        Ok(Exit::Done)
    }
}
