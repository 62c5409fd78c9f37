use api::run::{LogLine, LogSearch, SearchLogs, WatchLogs};
use base::{EnvironmentName, InstanceId, Problem, ProcessName, Result};
use kernel::{Answer, Call, Ctx, EventStream};

use crate::model::{Key, Known};
use crate::state;
use crate::work::{Begin, Follow, Position, Search, of};

/// Past lines where the caller names no number.
const TAIL_DEFAULT: u32 = 100;
/// Most past lines.
const TAIL_MAX: u32 = 10_000;

/// Lines that a search finds where the caller names no number.
const FOUND_DEFAULT: u32 = 100;
/// Most lines that a search finds at once.
const FOUND_MAX: u32 = 2_000;
/// Most lines shown before and behind each.
const CONTEXT_MAX: u32 = 200;
/// The longest text that is searched for, characters.
const TEXT_CHARS_MAX: usize = 500;

/// The output of a service's instances, merged by time.
pub(crate) async fn watch(ctx: Ctx, call: Call<WatchLogs>) -> Result<EventStream<LogLine>> {
    let query = call.query;
    let mut read = ctx.read().await?;
    let known = state::instances_of(&mut read, &call.path.service).await?;
    drop(read);
    let chosen = Chosen::of(&known, query.environment, query.process, query.instance)?;
    let follow = Follow {
        ctx,
        service: call.path.service,
        chosen: Box::new(move |known| chosen.has(known)),
        tail: usize::try_from(query.tail.unwrap_or(TAIL_DEFAULT).min(TAIL_MAX)).unwrap_or(usize::MAX),
        follow: query.follow,
        position: Position::parse(call.last_event_id.as_deref())?,
    };
    Ok(follow.stream())
}

/// Looks through all that is kept, from the newest line back.
pub(crate) async fn search(ctx: Ctx, call: Call<SearchLogs>) -> Result<Answer<LogSearch>> {
    let query = call.query;
    let mut read = ctx.read().await?;
    let mut known = state::instances_of(&mut read, &call.path.service).await?;
    drop(read);
    let chosen = Chosen::of(&known, query.environment, query.process, query.instance)?;
    known.retain(|known| chosen.has(known));
    let begin = match (query.after, query.until) {
        (Some(next), _) => Begin::Next(
            Position::parse(Some(&next)).map_err(|_| unreadable("after", "it is not the `next` of an answer"))?,
        ),
        (None, Some(at)) => Begin::At(at),
        (None, None) => Begin::Newest,
    };
    let text = query.text.unwrap_or_default();
    if text.chars().count() > TEXT_CHARS_MAX {
        return Err(unreadable("text", &format!("at most {TEXT_CHARS_MAX} characters are searched for")));
    }
    let text = text.to_lowercase();
    let wanted = move |line: &ports::LogLine| {
        query.stream.is_none_or(|stream| stream == of(line.stream))
            && (text.is_empty() || line.text.to_lowercase().contains(&text))
    };
    let at_most = |asked: Option<u32>, default: u32, max: u32| {
        usize::try_from(asked.unwrap_or(default).min(max)).unwrap_or(usize::MAX)
    };
    let search = Search {
        ctx,
        instances: known,
        wanted: Box::new(wanted),
        context: at_most(query.context, 0, CONTEXT_MAX),
        limit: at_most(query.limit, FOUND_DEFAULT, FOUND_MAX).max(1),
        begin,
    };
    Ok(search.run().await?.into())
}

fn unreadable(parameter: &str, why: &str) -> Problem {
    Problem::unprocessable("bad-parameter", why.to_owned()).at(format!("query.{parameter}"))
}

/// Which instances are asked about.
struct Chosen {
    environment: Option<EnvironmentName>,
    process: Option<ProcessName>,
    instance: Option<InstanceId>,
}

impl Chosen {
    /// Without an environment: the one where something ran last.
    fn of(
        known: &[Known],
        environment: Option<EnvironmentName>,
        process: Option<ProcessName>,
        instance: Option<InstanceId>,
    ) -> Result<Self> {
        if let Some(wanted) = instance
            && !known.iter().any(|k| k.id == wanted)
        {
            return Err(Problem::not_found("instance-not-found", format!("no instance {wanted} is known"))
                .hint("`orlop service show` lists the instances; logs of long ended ones are gone"));
        }
        let environment = environment.or_else(|| known.last().map(|k| k.key.environment.clone()));
        Ok(Self { environment, process, instance })
    }

    fn has(&self, known: &Known) -> bool {
        let Key { environment, process, .. } = &known.key;
        self.environment.as_ref().is_none_or(|e| e == environment)
            && self.process.as_ref().is_none_or(|p| p == process)
            && self.instance.is_none_or(|id| id == known.id)
    }
}
