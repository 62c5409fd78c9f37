use api::Page;
use api::access::{
    PlatformSettingPath, SetPlatformSetting, SetSetting, Setting, SettingPath, SettingQuery, SettingValue,
};
use base::limits::SETTING_BYTES_MAX;
use base::{Problem, Result, SettingName};

use super::{Scope, table};
use crate::context::{Ctx, unreadable};
use crate::exit::usage;
use crate::{Exit, Stream};

/// Give settings or secrets new values
///
/// They take effect with the next deploy or `orlop restart`. A secret's value is read from standard
/// input, or typed without being shown, so that it is in no history of commands; a secret can never
/// be read again. With --json, a page of settings.
#[derive(clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop setting set LOG_LEVEL=debug WORKERS=4
  orlop setting set LOG_LEVEL=warn --env prod
  orlop setting set --secret STRIPE_KEY < key.txt
  orlop setting set --platform SMTP_HOST=mail.example.com")]
pub struct Args {
    /// What to set; with --secret, names alone
    #[arg(value_name = "NAME=VALUE", required = true)]
    wanted: Vec<String>,
    /// Read the values where nobody sees them, and never show them
    #[arg(long)]
    secret: bool,
    #[command(flatten)]
    scope: Scope,
    /// For the whole installation
    #[arg(long, conflicts_with_all = ["service", "environment"])]
    platform: bool,
}

impl std::fmt::Debug for Args {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "setting set of {}", self.wanted.len())
    }
}

/// `NAME=VALUE` or `NAME`.
struct Wanted {
    name: SettingName,
    value: Option<String>,
}

impl Wanted {
    fn read(text: &str) -> Result<Self> {
        let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
        // The text may be a secret that was put in the wrong place: the error does not repeat it.
        let name = name.parse().map_err(|_| {
            usage(format!("the name of a setting does not fit: {}", SettingName::RULE))
                .hint("orlop setting set NAME=VALUE, or for a secret: orlop setting set --secret NAME")
        })?;
        Ok(Self { name, value: value.map(str::to_owned) })
    }
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let service = if self.platform { None } else { Some(ctx.service(self.scope.which.service.clone())?) };
        let all: Vec<Wanted> = self.wanted.iter().map(|text| Wanted::read(text)).collect::<Result<_>>()?;
        let client = ctx.client().await?;
        let mut bodies = Vec::new();
        for wanted in &all {
            let value = value(ctx, wanted, self.secret, all.len())?;
            bodies.push((wanted.name.clone(), SettingValue { value, secret: self.secret }));
        }
        let mut done: Vec<Setting> = Vec::new();
        for (name, body) in bodies {
            done.push(match service.clone() {
                None => client.send::<SetPlatformSetting>(&PlatformSettingPath { name }, &body).await?,
                Some(service) => {
                    let query = SettingQuery { environment: self.scope.environment.clone() };
                    client.call::<SetSetting>(&SettingPath { service, name }, &query, &body).await?
                }
            });
        }
        let page = Page::whole(done);
        ctx.out.reply(&page, |paint| table(&page.items, ctx.host.now(), *paint, ""))?;
        ctx.out.say(match service {
            Some(_) => "Where the service runs, a rollout with it begins by itself: orlop status",
            None => "In effect with the next rollout of each service: orlop restart",
        });
        Ok(Exit::Done)
    }
}

fn value(ctx: &Ctx<'_>, wanted: &Wanted, secret: bool, names: usize) -> Result<String> {
    let name = &wanted.name;
    match (&wanted.value, secret) {
        (Some(value), false) => Ok(value.clone()),
        (None, false) => Err(usage(format!("{name} has no value"))
            .hint(format!("orlop setting set {name}=VALUE, or for a secret: orlop setting set --secret {name}"))),
        (Some(_), true) => Err(usage(format!("the value of the secret {name} stands on the command line, where it is kept"))
            .hint(format!("orlop setting set --secret {name} < FILE"))),
        (None, true) if ctx.host.is_interactive() && ctx.host.is_terminal(Stream::Err) => {
            ctx.out.ask(&format!("Value of {name} (not shown): "))?;
            ctx.host.read_line(false).map_err(unreadable)
        }
        (None, true) if names > 1 => {
            Err(usage("several secrets cannot come from one standard input").hint("set them one by one"))
        }
        (None, true) => from_input(ctx, name),
    }
}

/// A secret from standard input: all of it but the line end that files end with.
fn from_input(ctx: &Ctx<'_>, name: &SettingName) -> Result<String> {
    let bytes = ctx.host.read_all(SETTING_BYTES_MAX).map_err(unreadable)?;
    if bytes.len() > SETTING_BYTES_MAX {
        return Err(Problem::too_large("setting-too-large", format!("the value of {name} is larger than 64 KiB")));
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| Problem::invalid("not-text", format!("the value of {name} is not UTF-8 text")).hint("base64 it"))?;
    let value = text.strip_suffix('\n').map_or(text.as_str(), |t| t.strip_suffix('\r').unwrap_or(t));
    if value.is_empty() {
        return Err(usage(format!("standard input holds no value for {name}"))
            .hint(format!("orlop setting set --secret {name} < FILE")));
    }
    Ok(value.to_owned())
}
