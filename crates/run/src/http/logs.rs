use api::run::{LogLine, WatchLogs};
use base::{Problem, Result};
use kernel::{Call, Ctx, EventStream};

use crate::model::{Key, Known};
use crate::state;
use crate::work::{Follow, Position};

/// Past lines where the caller names no number.
const TAIL_DEFAULT: u32 = 100;
/// Most past lines.
const TAIL_MAX: u32 = 10_000;

/// The output of a service's instances, merged by time.
pub(crate) async fn watch(ctx: Ctx, call: Call<WatchLogs>) -> Result<EventStream<LogLine>> {
    let query = call.query;
    let mut read = ctx.read().await?;
    let known = state::instances_of(&mut read, &call.path.service).await?;
    drop(read);
    if let Some(wanted) = query.instance
        && !known.iter().any(|k| k.id == wanted)
    {
        return Err(Problem::not_found("instance-not-found", format!("no instance {wanted} is known"))
            .hint("`orlop service show` lists the instances; logs of long ended ones are gone"));
    }
    let environment = query.environment.or_else(|| known.last().map(|k| k.key.environment.clone()));
    let service = call.path.service;
    let chosen = move |known: &Known| {
        let Key { environment: at, process, .. } = &known.key;
        environment.as_ref().is_none_or(|e| e == at)
            && query.process.as_ref().is_none_or(|p| p == process)
            && query.instance.is_none_or(|id| id == known.id)
    };
    let follow = Follow {
        ctx,
        service,
        chosen: Box::new(chosen),
        tail: usize::try_from(query.tail.unwrap_or(TAIL_DEFAULT).min(TAIL_MAX)).unwrap_or(usize::MAX),
        follow: query.follow,
        position: Position::parse(call.last_event_id.as_deref())?,
    };
    Ok(follow.stream())
}
