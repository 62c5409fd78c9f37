use api::Nothing;
use api::access::{RevokeToken, TokenPath, Whoami};
use base::{Problem, Result, Secret};
use serde::Serialize;

use crate::Exit;
use crate::client::Client;
use crate::context::Ctx;
use crate::credentials::Credentials;
use crate::sign_in::{address, known_server, named_server, no_server};

/// Sign out: revoke the token of this machine and forget it
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop logout
  orlop logout --url https://orlop.example.com")]
pub struct Args {}

/// The reply of `--json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SignedOut {
    url: String,
    /// Whether the server revoked the token.
    revoked: bool,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let url = match named_server(ctx)? {
            Some(url) => url,
            None => known_server(ctx.host)?.ok_or_else(no_server)?,
        };
        let mut known = Credentials::load(ctx.host)?;
        let Some(credential) = known.servers.remove(&address(&url)) else {
            return Err(Problem::conflict("not-signed-in", format!("nobody is signed in to {}", address(&url))));
        };
        let client = Client::new(&url, Some(Secret::new(credential.token)), ctx.host)?;
        let revoked = revoke(&client).await;
        if known.current.as_deref() == Some(&address(&url)) {
            known.current = known.servers.keys().next().cloned();
        }
        known.save(ctx.host)?;
        if let Err(problem) = &revoked {
            ctx.out.say(&format!("The token is forgotten here but was not revoked: {}", problem.message));
        }
        let reply = SignedOut { url: address(&url), revoked: revoked.is_ok() };
        ctx.out.reply(&reply, |_| String::new())?;
        ctx.out.say(&format!("Signed out of {}.", reply.url));
        Ok(Exit::Done)
    }
}

async fn revoke(client: &Client) -> Result<()> {
    let me = client.get::<Whoami>(&Nothing {}).await?;
    client.get::<RevokeToken>(&TokenPath { token: me.token.token }).await?;
    Ok(())
}
