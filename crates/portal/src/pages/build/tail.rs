//! Lines of output beside what made them: the past ones on the page, the next ones by a stream of their own.

use std::convert::Infallible;
use std::time::Duration;

use api::access::ServicePath;
use api::deliver::{BuildPath, Rollout, RolloutState, WatchBuildLog};
use api::run::{LogLine, LogQuery, WatchLogs};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use base::Time;
use futures_util::StreamExt as _;

use crate::client::Events;
use crate::components::log_line;
use crate::fault::Fault;
use crate::visit::Visit;

/// Most lines that a page is made with; the last ones.
pub(crate) const LINES_MAX: usize = 2_000;
/// A log that is not over has shown its past when it is silent for this long.
const SILENCE: Duration = Duration::from_millis(150);
/// A page waits at most this long for a log.
const PATIENCE: Duration = Duration::from_secs(2);
/// A silent stream says this often that it is alive.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// What a command wrote last is read a little after the rollout has gone on.
const AFTERWARDS: Duration = Duration::from_secs(2);
/// Past lines of release commands.
const COMMAND_LINES: u32 = 500;

/// The output of the release command of one rollout.
pub(crate) struct Command {
    query: LogQuery,
    from: Time,
    /// Until when; it goes on without.
    to: Option<Time>,
}

impl Command {
    /// Nothing where a rollout had none. All release commands of a place write as one process: its own lines
    /// are those of the time in which it ran.
    pub(crate) fn of(rollout: &Rollout) -> Option<Self> {
        let mut steps = rollout.history.iter().skip_while(|step| step.state != RolloutState::Releasing);
        let from = steps.next()?.at;
        let to = steps.next().map(|step| step.at).or(rollout.ended).map(|at| at.plus(AFTERWARDS));
        let query = LogQuery {
            environment: Some(rollout.environment.clone()),
            process: "release".parse().ok(),
            tail: Some(COMMAND_LINES),
            ..LogQuery::default()
        };
        Some(Self { query, from, to })
    }

    fn has(&self, line: &LogLine) -> bool {
        line.at >= self.from && self.to.is_none_or(|to| line.at <= to)
    }

    /// Past lines. A log that cannot be read is no reason to show nothing of the rest.
    pub(crate) async fn past(&self, visit: &Visit, path: &ServicePath) -> Vec<String> {
        match visit.api.events::<WatchLogs>(path, &self.query).await {
            Ok(events) => collected(events, LINES_MAX, |line| self.has(line)).await,
            Err(_) => Vec::new(),
        }
    }

    /// Its lines as they come.
    pub(crate) async fn follow(self, visit: &Visit, path: &ServicePath) -> Result<Response, Fault> {
        let query = LogQuery { follow: true, ..self.query.clone() };
        let events = visit.api.unattended().events::<WatchLogs>(path, &query).await?;
        Ok(stream(events, move |line| self.has(line)))
    }
}

/// The last past lines of a build, at most so many.
pub(crate) async fn past_build(visit: &Visit, path: &BuildPath, max: usize) -> Vec<String> {
    match visit.api.events::<WatchBuildLog>(path, &api::Nothing {}).await {
        Ok(events) => collected(events, max, |_| true).await,
        Err(_) => Vec::new(),
    }
}

async fn collected(mut events: Events<LogLine>, max: usize, wanted: impl Fn(&LogLine) -> bool) -> Vec<String> {
    let mut lines = std::collections::VecDeque::new();
    let all = async {
        while let Ok(Some(Ok(line))) = tokio::time::timeout(SILENCE, events.next()).await {
            if !wanted(&line) {
                continue;
            }
            if lines.len() == max {
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
    Ok(stream(events, |_| true))
}

fn stream(events: Events<LogLine>, wanted: impl Fn(&LogLine) -> bool + Send + 'static) -> Response {
    let end = futures_util::stream::once(async { Ok(Event::default().event("end").data("")) });
    let lines = events
        .take_while(|line| std::future::ready(line.is_ok()))
        .filter_map(move |line| std::future::ready(line.ok().filter(|line| wanted(line))))
        .map(|line| Ok::<_, Infallible>(Event::default().event("line").data(log_line(&line))));
    Sse::new(lines.chain(end)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::samples::{at, rollout};

    #[test]
    fn a_release_command_has_the_lines_of_its_own_time() {
        let line = |s| LogLine {
            at: at(s),
            instance: base::InstanceId::new(at(0), [1; 10]),
            process: "release".parse().unwrap(),
            stream: "out".to_owned(),
            text: String::new(),
        };
        assert!(Command::of(&rollout(&[("pending", 1), ("starting", 2)])).is_none());
        let running = Command::of(&rollout(&[("pending", 1), ("releasing", 20)])).unwrap();
        assert_eq!([19, 20, 90].map(|s| running.has(&line(s))), [false, true, true]);
        let done = Command::of(&rollout(&[("pending", 1), ("releasing", 20), ("starting", 30)])).unwrap();
        assert_eq!([19, 25, 31, 90].map(|s| done.has(&line(s))), [false, true, true, false]);
    }
}
