use api::access::ServicePath;
use api::run::{LogLine, LogQuery, WatchLogs};
use base::{InstanceId, ProcessName, Result};

use crate::Exit;
use crate::args::{Where, Which};
use crate::client::Ending;
use crate::context::Ctx;
use crate::output::{Paint, Tone};
use crate::text::{clean, instant};

/// Show what the instances of a service wrote
///
/// With --json, one line for each line of the log.
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop logs
  orlop logs -f --env prod
  orlop logs --process worker --tail 1000 --json")]
pub struct Args {
    #[command(flatten)]
    which: Which,
    /// Go on with new lines until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    #[command(flatten)]
    place: Where,
    /// Only this process
    #[arg(short, long, value_name = "PROCESS")]
    process: Option<ProcessName>,
    /// Only this instance
    #[arg(long, value_name = "INSTANCE")]
    instance: Option<InstanceId>,
    /// How many past lines, at most 10,000; default 100
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=10_000))]
    tail: Option<u32>,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let path = ServicePath { service: ctx.service(self.which.service)? };
        let query = LogQuery {
            environment: self.place.environment,
            process: self.process,
            instance: self.instance,
            tail: self.tail,
            follow: self.follow,
        };
        let ending = if self.follow { Ending::Marked } else { Ending::Complete };
        let mut events = ctx.client().await?.events::<WatchLogs>(path, query, ending);
        let mut interrupted = ctx.host.interrupted();
        loop {
            let line = tokio::select! {
                line = events.next() => line?,
                () = &mut interrupted => None,
            };
            let Some(line) = line else { return Ok(Exit::Done) };
            ctx.out.event(&line, |paint| show(&line, *paint))?;
        }
    }
}

/// One line: when, who, what. Errors and the platform's own lines are marked.
pub fn show(line: &LogLine, paint: Paint) -> String {
    let (mark, tone) = match line.stream.as_str() {
        "err" => ("!", Tone::Warn),
        "platform" => ("*", Tone::Quiet),
        _ => (" ", Tone::Plain),
    };
    let from = format!("{} {}.{}", instant(line.at), line.process, line.instance.short());
    format!("{} {} {}", paint.tone(Tone::Quiet, &from), paint.tone(tone, mark), paint.tone(tone, &clean(&line.text)))
}
