use api::access::{IssueToken, NewToken};
use api::{ACTIONS, Action, Nothing};
use base::{Result, ServiceName, Span};

use crate::Exit;
use crate::context::Ctx;
use crate::text::word;

/// Issue a token, for example to a pipeline; it is shown once
///
/// It can do no more than you can.
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop token create ci --service shop --lifetime 30d
  orlop token create dashboard --scope read")]
pub struct Args {
    /// What it is for
    #[arg(value_name = "NAME")]
    name: String,
    /// What it may do at most: read, deploy, operate, configure, manage, admin; default: read and deploy
    #[arg(long = "scope", value_name = "SCOPE", value_delimiter = ',', value_parser = scope)]
    scopes: Vec<Action>,
    /// Only for these services
    #[arg(long = "service", value_name = "SERVICE", value_delimiter = ',')]
    services: Vec<ServiceName>,
    /// How long it works; default 90d, at most 366d
    #[arg(long, value_name = "SPAN")]
    lifetime: Option<Span>,
}

fn scope(text: &str) -> Result<Action, String> {
    let known = || ACTIONS.iter().map(word).collect::<Vec<_>>().join(", ");
    ACTIONS.into_iter().find(|action| word(action) == text).ok_or_else(|| format!("there are {}", known()))
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let body = NewToken { name: self.name, scopes: self.scopes, services: self.services, lifetime: self.lifetime };
        let issued = ctx.client().await?.send::<IssueToken>(&Nothing {}, &body).await?;
        ctx.out.reply(&issued, |_| crate::text::clean(&issued.secret))?;
        ctx.out.say(&format!("Keep it now; it is not shown again. To revoke it: orlop token revoke {}", issued.token.token));
        Ok(Exit::Done)
    }
}
