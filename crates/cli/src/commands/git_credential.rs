use base::{Problem, Result};

use crate::Exit;
use crate::context::{Ctx, unreadable};
use crate::credentials::Credentials;
use crate::sign_in::{address, named_server};

/// Answer git's question for a credential (gitcredentials(7)); git runs this, people do not
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  git config credential.https://orlop.example.com.helper '!orlop git-credential'")]
pub struct Args {
    /// What git wants: get, store or erase
    #[arg(value_name = "OPERATION")]
    operation: String,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        // What cannot be stored or erased is to be ignored, and so is every operation to come (git-credential(1)).
        if self.operation != "get" {
            return Ok(Exit::Done);
        }
        let bytes = ctx.host.read_all(64 << 10).map_err(unreadable)?;
        let asked = String::from_utf8_lossy(&bytes);
        let field = |name: &str| asked.lines().filter_map(|line| line.split_once('=')).find(|(key, _)| *key == name);
        let (Some((_, protocol)), Some((_, host))) = (field("protocol"), field("host")) else {
            return Err(Problem::invalid("bad-question", "git named no protocol and host on standard input"));
        };
        let Ok(url) = reqwest::Url::parse(&format!("{protocol}://{host}")) else { return Ok(Exit::Done) };
        // Silence is the answer for servers that are not known: git then asks elsewhere.
        if let Some(token) = token(ctx, &address(&url))? {
            ctx.out.data(&format!("username=orlop\npassword={token}"))?;
        }
        Ok(Exit::Done)
    }
}

/// The token for exactly this server.
fn token(ctx: &Ctx<'_>, server: &str) -> Result<Option<String>> {
    let named = named_server(ctx)?.map(|url| address(&url));
    match ctx.host.variable("ORLOP_TOKEN") {
        Some(token) if named.as_deref() == Some(server) => Ok(Some(token)),
        _ => Ok(Credentials::load(ctx.host)?.servers.remove(server).map(|credential| credential.token)),
    }
}
