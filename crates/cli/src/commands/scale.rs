use std::str::FromStr;

use api::access::ServicePath;
use api::run::{Scale, ScaleTo};
use base::limits::INSTANCES_MAX;
use base::{ProcessName, Result};

use crate::Exit;
use crate::args::{Where, Which};
use crate::context::Ctx;

/// Set how many instances of a process run
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop scale 3
  orlop scale worker=5 --env prod
  orlop scale 0 --env dev")]
pub struct Args {
    /// How many instances, 0–100; of which process, default `web`
    #[arg(value_name = "[PROCESS=]N")]
    wanted: Wanted,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    which: Which,
}

/// `worker=5` or `5`.
#[derive(Debug, Clone)]
struct Wanted {
    process: Option<ProcessName>,
    instances: u32,
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (process, number) = text.split_once('=').map_or((None, text), |(p, n)| (Some(p), n));
        let process = process.map(str::parse).transpose().map_err(|bad: base::BadName| bad.to_string())?;
        match number.parse() {
            Ok(instances) if instances <= INSTANCES_MAX => Ok(Self { process, instances }),
            _ => Err(format!("`{number}` is not a number of instances from 0 to {INSTANCES_MAX}")),
        }
    }
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let service = ctx.service(self.which.service)?;
        let environment = ctx.environment(&service, self.place.environment).await?;
        let body = ScaleTo { environment, process: self.wanted.process, instances: self.wanted.instances };
        let scaled = ctx.client().await?.send::<Scale>(&ServicePath { service }, &body).await?;
        ctx.out.reply(&scaled, |_| {
            let (service, process, place) = (&scaled.service, &scaled.process, &scaled.environment);
            format!("{service} {process} in {place}: {} wanted, {} before", scaled.instances, scaled.before)
        })?;
        Ok(Exit::Done)
    }
}
