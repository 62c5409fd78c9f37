use api::access::ServicePath;
use api::catalog::{Why, WhyQuery, WhyService};
use api::deliver::{BuildPath, GetBuild, GetRollout, RolloutPath};
use base::{BuildId, Result, RolloutId, ServiceName};

use crate::Exit;
use crate::args::{Where, Which};
use crate::context::Ctx;
use crate::follow::describe;
use crate::output::{Paint, Tone};
use crate::text::{clean, instant, word};

/// Explain why a service, rollout or build is in its state
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop why
  orlop why shop --env prod
  orlop why ro_01kb… --service shop")]
pub struct Args {
    /// A service, or the id of a rollout or build; default: the service of this folder
    #[arg(value_name = "SERVICE|OBJECT", value_parser = object)]
    object: Option<Object>,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, Clone)]
enum Object {
    Service(ServiceName),
    Rollout(RolloutId),
    Build(BuildId),
}

/// Ids have an underscore, names have none.
fn object(text: &str) -> Result<Object, String> {
    let parsed = match text.split_once('_').map(|(prefix, _)| prefix) {
        Some(RolloutId::PREFIX) => text.parse().map(Object::Rollout),
        Some(BuildId::PREFIX) => text.parse().map(Object::Build),
        _ => text.parse().map(Object::Service).map_err(|bad: base::BadName| bad.into()),
    };
    parsed.map_err(|problem| problem.message)
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        match self.object {
            Some(Object::Rollout(rollout)) => {
                let path = RolloutPath { service: ctx.service(self.which.service)?, rollout };
                let found = ctx.client().await?.get::<GetRollout>(&path).await?;
                ctx.out.reply(&found, |paint| describe(&found, ctx.host.now(), *paint))?;
            }
            Some(Object::Build(build)) => {
                let path = BuildPath { service: ctx.service(self.which.service)?, build };
                let found = ctx.client().await?.get::<GetBuild>(&path).await?;
                ctx.out.reply(&found, |_| {
                    let seen = found.evidence.iter().map(|line| format!("\n  seen  {}", clean(line)));
                    format!("{}: {}{}", word(&found.state), clean(&found.reason), seen.collect::<String>())
                })?;
            }
            named => {
                let named = if let Some(Object::Service(service)) = named { Some(service) } else { self.which.service };
                let path = ServicePath { service: ctx.service(named)? };
                let query = WhyQuery { environment: self.place.environment };
                let why = ctx.client().await?.list::<WhyService>(&path, &query).await?;
                ctx.out.reply(&why, |paint| show(&why, *paint))?;
            }
        }
        Ok(Exit::Done)
    }
}

fn show(why: &Why, paint: Paint) -> String {
    let mut text = paint.tone(Tone::Strong, &clean(&why.answer));
    if !why.because.is_empty() {
        text.push_str("\nbecause");
    }
    for because in &why.because {
        let at = paint.tone(Tone::Quiet, &instant(because.at));
        text.push_str(&format!("\n  {at}  {}  {} (fact {})", clean(&because.actor), clean(&because.what), because.seq));
    }
    for advice in &why.advice {
        text.push_str(&format!("\n  fix   {}", clean(advice)));
    }
    text
}
