use api::access::ServicePath;
use api::run::{FoundLine, LogLine, LogQuery, LogSearchQuery, SearchLogs, WatchLogs};
use base::{InstanceId, ProcessName, Result};

use crate::Exit;
use crate::args::{Where, Which};
use crate::client::Ending;
use crate::context::Ctx;
use crate::output::{Paint, Tone};
use crate::text::{clean, instant};

/// Lines that a search finds where nobody says how many.
const FOUND: u32 = 100;
/// Lines found by one call.
const PART: u32 = 500;

/// Show what the instances of a service wrote
///
/// With --json, one line for each line of the log.
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop logs
  orlop logs -f --env prod
  orlop logs --search timeout --context 3
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
    /// Only lines that hold this, in all that is kept; --tail says how many to find
    #[arg(long, value_name = "TEXT", conflicts_with = "follow")]
    search: Option<String>,
    /// Lines shown around each that is found, at most 200
    #[arg(short = 'C', long, value_name = "N", requires = "search")]
    context: Option<u32>,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let path = ServicePath { service: ctx.service(self.which.service.clone())? };
        if self.search.is_some() {
            return self.find(ctx, &path).await;
        }
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

impl Args {
    /// Goes back through the log, call by call, until there is enough or it begins.
    async fn find(self, ctx: &Ctx<'_>, path: &ServicePath) -> Result<Exit> {
        let client = ctx.client().await?;
        let wanted = self.tail.unwrap_or(FOUND);
        let mut query = LogSearchQuery {
            environment: self.place.environment,
            process: self.process,
            instance: self.instance,
            text: self.search,
            context: self.context,
            ..LogSearchQuery::default()
        };
        let (mut parts, mut found, mut looked) = (Vec::new(), 0_u32, 0_u32);
        while found < wanted {
            query.limit = Some((wanted - found).min(PART));
            let part = client.list::<SearchLogs>(path, &query).await?;
            (found, looked) = (found.saturating_add(part.found), looked.saturating_add(part.looked));
            parts.push(part.runs);
            query.after = part.next;
            if query.after.is_none() {
                break;
            }
        }
        let runs: Vec<Vec<FoundLine>> = parts.into_iter().rev().flatten().collect();
        for one in runs.into_iter().flatten() {
            ctx.out.event(&one.line, |paint| show(&one.line, *paint))?;
        }
        if found == 0 && wanted > 0 {
            ctx.out.say(&format!("No line holds it: {looked} were looked through, all that is kept."));
        }
        Ok(Exit::Done)
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
