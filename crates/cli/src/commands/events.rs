use api::Nothing;
use api::access::{EventQuery, WatchEvents};
use base::{FactSeq, Result};

use crate::Exit;
use crate::args::Which;
use crate::client::Ending;
use crate::context::Ctx;
use crate::text::{actor, clean, instant};

/// Watch changes as they happen, until Ctrl-C
///
/// With --json, one line for each.
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop events
  orlop events --service shop --kind deliver.rollout
  orlop events --after 1200 --json")]
pub struct Args {
    #[command(flatten)]
    which: Which,
    /// Only this kind
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// Begin behind this event; default: now
    #[arg(long, value_name = "SEQ")]
    after: Option<i64>,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let query = EventQuery { kind: self.kind, service: self.which.service, after: self.after.map(FactSeq) };
        let mut events = ctx.client().await?.events::<WatchEvents>(Nothing {}, query, Ending::Marked);
        let mut interrupted = ctx.host.interrupted();
        loop {
            let event = tokio::select! {
                event = events.next() => event?,
                () = &mut interrupted => None,
            };
            let Some(event) = event else { return Ok(Exit::Done) };
            ctx.out.event(&event, |_| {
                let (at, who) = (instant(event.at), actor(&event.actor));
                format!("{}  {at}  {}  {}  {}", event.seq, clean(&event.kind), clean(&event.subject), clean(&who))
            })?;
        }
    }
}
