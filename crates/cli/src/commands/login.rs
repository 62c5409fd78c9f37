use base::{Problem, Result};
use reqwest::Url;

use crate::client::is_local;
use crate::context::{Ctx, unreadable};
use crate::exit::usage;
use crate::sign_in::{self, LocalSignIn, address, named_server, no_server, server};
use crate::{Exit, Stream};

/// Sign in to a server
///
/// With the one-time code of a sign-in link, or with a token on standard input. On the machine
/// where `orlop up` runs, neither is needed. The token is kept in
/// $XDG_CONFIG_HOME/orlop/credentials.json, readable by you alone.
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop login                                    the server on this machine
  orlop login https://orlop.example.com          asks for the one-time code
  orlop login https://orlop.example.com --code 4f7k-…
  orlop login https://orlop.example.com --token < token.txt")]
pub struct Args {
    /// The server, or a whole sign-in link; default: the one on this machine
    #[arg(value_name = "URL")]
    address: Option<String>,
    /// The one-time code of a sign-in link
    #[arg(long, value_name = "CODE", conflicts_with = "token")]
    code: Option<String>,
    /// Read a token from standard input
    #[arg(long)]
    token: bool,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let local = LocalSignIn::find(ctx.host);
        let named = match &self.address {
            Some(text) => Some(server(text)?),
            None => named_server(ctx)?,
        };
        let in_link = named.as_ref().and_then(code_of);
        let url = named.or_else(|| local.as_ref().map(|l| l.url.clone())).ok_or_else(no_server)?;
        if url.scheme() == "http" && !is_local(&url) {
            ctx.out.say("Warning: this address is not encrypted; whoever is on the way can read the token.");
        }
        let local = local.filter(|l| address(&l.url) == address(&url));
        if self.token {
            sign_in::with_token(ctx, &url, token_from_input(ctx)?).await?;
        } else if let Some(code) = self.code.or(in_link) {
            sign_in::with_code(ctx, &url, code).await?;
        } else if let Some(local) = local {
            sign_in::with_local(ctx, &local).await?;
        } else {
            sign_in::with_code(ctx, &url, asked(ctx, &url)?).await?;
        }
        signed_in(ctx, &url)
    }
}

fn signed_in(ctx: &Ctx<'_>, url: &Url) -> Result<Exit> {
    #[derive(serde::Serialize)]
    struct SignedIn {
        url: String,
        person: String,
    }
    let known = crate::credentials::Credentials::load(ctx.host)?;
    let person = known.servers.get(&address(url)).map(|c| c.person.clone()).unwrap_or_default();
    let reply = SignedIn { url: address(url), person };
    ctx.out.reply(&reply, |_| String::new())?;
    ctx.out.say(&format!("Signed in to {} as {}.", reply.url, reply.person));
    Ok(Exit::Done)
}

/// The code in a sign-in link: `https://…/sign-in?code=…`.
fn code_of(link: &Url) -> Option<String> {
    link.query_pairs().find(|(key, _)| key == "code").map(|(_, code)| code.into_owned())
}

fn token_from_input(ctx: &Ctx<'_>) -> Result<String> {
    let bytes = ctx.host.read_all(4096).map_err(unreadable)?;
    let token = String::from_utf8(bytes).unwrap_or_default().trim().to_owned();
    if token.is_empty() || token.len() > 4096 || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(
            Problem::invalid("no-token", "standard input holds no token").hint("orlop login URL --token < token.txt")
        );
    }
    Ok(token)
}

fn asked(ctx: &Ctx<'_>, url: &Url) -> Result<String> {
    if !ctx.host.is_interactive() || !ctx.host.is_terminal(Stream::Err) {
        return Err(usage("neither --code nor --token is given, and nobody is here to be asked")
            .hint(format!("orlop login {} --code CODE", address(url))));
    }
    ctx.out.ask("One-time code of the sign-in link: ")?;
    let code = ctx.host.read_line(false).map_err(unreadable)?.trim().to_owned();
    if code.is_empty() { Err(usage("no code was typed")) } else { Ok(code) }
}
