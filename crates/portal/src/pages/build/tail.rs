//! Lines of output beside what made them: the past ones on the page, the next ones by a stream of their own.

use std::convert::Infallible;
use std::time::Duration;

use api::access::ServicePath;
use api::deliver::{BuildPath, Rollout, WatchBuildLog};
use api::run::{LogLine, LogQuery, WatchLogs};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;

use crate::client::Events;
use crate::components::log_line;
use crate::fault::Fault;
use crate::visit::Visit;

/// Most lines that a page is made with; the last ones.
const LINES_MAX: usize = 2_000;
/// A log that is not over has shown its past when it is silent for this long.
const SILENCE: Duration = Duration::from_millis(150);
/// A page waits at most this long for a log.
const PATIENCE: Duration = Duration::from_secs(2);
/// A silent stream says this often that it is alive.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// Past lines of a release command.
const COMMAND_LINES: u32 = 500;

/// The log lines of a rollout's release command.
pub(crate) fn of_command(rollout: &Rollout) -> LogQuery {
    LogQuery {
        environment: Some(rollout.environment.clone()),
        process: "release".parse().ok(),
        tail: Some(COMMAND_LINES),
        ..LogQuery::default()
    }
}

/// Past lines. A log that cannot be read is no reason to show nothing of the rest.
pub(crate) async fn past(visit: &Visit, query: &LogQuery, path: &ServicePath) -> Vec<String> {
    match visit.api.events::<WatchLogs>(path, query).await {
        Ok(events) => collected(events).await,
        Err(_) => Vec::new(),
    }
}

/// Past lines of a build.
pub(crate) async fn past_build(visit: &Visit, path: &BuildPath) -> Vec<String> {
    match visit.api.events::<WatchBuildLog>(path, &api::Nothing {}).await {
        Ok(events) => collected(events).await,
        Err(_) => Vec::new(),
    }
}

async fn collected(mut events: Events<LogLine>) -> Vec<String> {
    let mut lines = std::collections::VecDeque::new();
    let all = async {
        while let Ok(Some(Ok(line))) = tokio::time::timeout(SILENCE, events.next()).await {
            if lines.len() == LINES_MAX {
                lines.pop_front();
            }
            lines.push_back(log_line(&line));
        }
    };
    let _silent_or_late = tokio::time::timeout(PATIENCE, all).await;
    lines.into()
}

/// A build's log as it comes.
pub(crate) async fn follow_build(visit: &Visit, path: &BuildPath) -> Result<Response, Fault> {
    let events = visit.api.unattended().events::<WatchBuildLog>(path, &api::Nothing {}).await?;
    Ok(stream(events))
}

/// The lines of instances as they come.
pub(crate) async fn follow_logs(visit: &Visit, path: &ServicePath, query: LogQuery) -> Result<Response, Fault> {
    let query = LogQuery { follow: true, ..query };
    let events = visit.api.unattended().events::<WatchLogs>(path, &query).await?;
    Ok(stream(events))
}

fn stream(events: Events<LogLine>) -> Response {
    let end = futures_util::stream::once(async { Ok(Event::default().event("end").data("")) });
    let lines = events
        .take_while(|line| std::future::ready(line.is_ok()))
        .filter_map(|line| std::future::ready(line.ok()))
        .map(|line| Ok::<_, Infallible>(Event::default().event("line").data(log_line(&line))));
    Sse::new(lines.chain(end)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}
