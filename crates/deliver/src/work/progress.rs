//! A deploy from source to traffic as one stream: stages of the build and the rollout, output of
//! the build, and how it ended.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use api::deliver::{BuildState, Progress};
use base::{Problem, Result, ServiceName, SourceId, Time};
use facts::RolloutState;
use futures_util::stream;
use kernel::{Ctx, Event, EventStream, event_stream};
use ports::LogCursor;

use super::log::LogReader;
use crate::model::{Build, NewStage, Place, Rollout, RolloutStep, Stage};
use crate::state;

/// News are looked for this often.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Where a reader is; the id of the last event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Position {
    stage: i64,
    line: u64,
    step: i64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.stage, self.line, self.step)
    }
}

impl FromStr for Position {
    type Err = Problem;
    fn from_str(text: &str) -> Result<Self> {
        let bad = || Problem::unprocessable("bad-event-id", "`Last-Event-ID` is not one that this stream gave");
        let mut parts = text.split('.');
        let mut next = || parts.next().ok_or_else(bad);
        let (stage, line, step) = (next()?, next()?, next()?);
        let position = Self {
            stage: stage.parse().map_err(|_| bad())?,
            line: line.parse().map_err(|_| bad())?,
            step: step.parse().map_err(|_| bad())?,
        };
        if parts.next().is_some() { Err(bad()) } else { Ok(position) }
    }
}

/// Follows one deploy.
pub(crate) struct Follow {
    ctx: Ctx,
    service: ServiceName,
    source: SourceId,
    position: Position,
    reader: LogReader,
    ready: VecDeque<Event<Progress>>,
    over: bool,
}

/// One thing that happened, before it has its place in the stream.
enum News {
    Stage(Stage),
    Line(ports::LogLine),
    Step(RolloutStep),
}

impl Follow {
    /// From the beginning, or behind a place.
    pub(crate) fn new(ctx: Ctx, service: ServiceName, source: SourceId, position: Position) -> Self {
        Self { ctx, service, source, position, reader: LogReader::new(), ready: VecDeque::new(), over: false }
    }

    /// As a stream of events.
    pub(crate) fn stream(self) -> EventStream<Progress> {
        event_stream(stream::try_unfold(self, |mut follow| async move {
            Ok(follow.next().await?.map(|event| (event, follow)))
        }))
    }

    /// The next event; nothing after the last one.
    pub(crate) async fn next(&mut self) -> Result<Option<Event<Progress>>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            if self.over {
                return Ok(None);
            }
            if !self.look().await? {
                self.ctx.platform().ports().clock.sleep(LOOK_EVERY).await;
            }
        }
    }

    /// Reads what is new. Returns whether there was something.
    async fn look(&mut self) -> Result<bool> {
        let mut read = self.ctx.read().await?;
        let build = state::build_of_source(&mut read, &self.service, self.source)
            .await?
            .ok_or_else(|| not_found(self.source))?;
        let stages = state::stages(&mut read, build.id, self.position.stage).await?;
        let rollout = match build.rollout {
            Some(id) => state::rollout(&mut read, id).await?,
            None => None,
        };
        let steps = match &rollout {
            Some(rollout) => state::steps(&mut read, rollout.id, self.position.step).await?,
            None => Vec::new(),
        };
        drop(read);
        let from = Some(LogCursor(self.position.line)).filter(|_| self.position.line > 0);
        let lines = self.reader.read(&self.ctx, &build, from).await?;
        // While there are lines to tell, what comes after the last of them waits.
        let more = !lines.is_empty();
        let until = lines.last().map(|line| line.at);
        let told = |s: &Stage| !more || (s.place < NewStage::AFTER_STEPS && until.is_none_or(|until| s.at <= until));
        let mut news: Vec<(Time, News)> = stages.into_iter().filter(told).map(|s| (s.at, News::Stage(s))).collect();
        news.extend(lines.into_iter().map(|line| (line.at, News::Line(line))));
        news.extend(steps.into_iter().filter(|_| !more).map(|s| (s.at, News::Step(s))));
        news.sort_by_key(|(at, _)| *at);
        let found = !news.is_empty();
        for (_, one) in news {
            self.tell(one);
        }
        let ended = build.is_final() && rollout.as_ref().is_none_or(|rollout| rollout.state.is_final());
        if !found && ended {
            self.over = true;
            let done = done(&self.ctx, &build, rollout.as_ref()).await?;
            self.ready.push_back(Event { id: Some(self.position.to_string()), data: done });
        }
        Ok(found || self.over)
    }

    fn tell(&mut self, news: News) {
        let data = match news {
            News::Stage(stage) => {
                self.position.stage = self.position.stage.max(stage.place);
                Some(Progress::Stage { stage: stage.stage, text: stage.text, at: stage.at })
            }
            News::Line(line) => {
                self.position.line = self.position.line.max(line.cursor.0);
                Some(Progress::Line { text: line.text, at: line.at })
            }
            News::Step(step) => {
                self.position.step = self.position.step.max(step.place);
                stage_of(step.state).map(|stage| Progress::Stage {
                    stage: stage.to_owned(),
                    text: step.reason,
                    at: step.at,
                })
            }
        };
        if let Some(data) = data {
            self.ready.push_back(Event { id: Some(self.position.to_string()), data });
        }
    }
}

/// The stage that a state of a rollout is; how it ended is told by itself.
const fn stage_of(state: RolloutState) -> Option<&'static str> {
    match state {
        RolloutState::Releasing => Some("release"),
        RolloutState::Starting => Some("start"),
        RolloutState::Shifting => Some("shift"),
        RolloutState::Verifying => Some("verify"),
        RolloutState::Draining => Some("drain"),
        RolloutState::Undoing => Some("undo"),
        _ => None,
    }
}

/// How a deploy ended.
async fn done(ctx: &Ctx, build: &Build, rollout: Option<&Rollout>) -> Result<Progress> {
    let place = Place { service: build.service.clone(), environment: build.environment.clone() };
    let mut read = ctx.read().await?;
    let began = state::source(&mut read, build.source).await?.map_or(build.created, |source| source.created);
    let serving = match state::current(&mut read, &place).await? {
        Some(current) => state::rollout(&mut read, current.rollout).await?,
        None => None,
    };
    let traffic = match &serving {
        Some(serving) => {
            state::release(&mut read, serving.release).await?.is_some_and(|release| release.spec.takes_traffic())
        }
        None => false,
    };
    drop(read);
    let ok = build.state == BuildState::Succeeded && rollout.is_some_and(|r| r.state == RolloutState::Succeeded);
    let (text, evidence, at) = match rollout {
        Some(rollout) => (rollout.reason.clone(), rollout.evidence.clone(), rollout.ended.unwrap_or(rollout.since)),
        None => (build.reason.clone(), build.lines.clone(), build.ended.unwrap_or(build.since)),
    };
    let number = serving.map(|serving| serving.number);
    let still = number.filter(|_| !ok).map_or(String::new(), |number| format!("; release {number} serves"));
    let still = if text.contains("serves") { String::new() } else { still };
    Ok(Progress::Done {
        ok,
        text: format!("{text}{still}"),
        evidence,
        url: traffic.then(|| super::url(ctx, &place)),
        release: build.release,
        serving: number,
        rollout: rollout.map(|rollout| rollout.id),
        took_ms: u64::try_from(at.since(began).as_millis()).unwrap_or(u64::MAX),
        at,
    })
}

/// There is no such deploy.
pub(crate) fn not_found(source: SourceId) -> Problem {
    Problem::not_found("source-not-found", format!("there is no deploy of the source {source}"))
        .hint("`orlop build list` shows the builds with their sources")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_read_back_and_nonsense_is_refused() {
        let position = Position { stage: 1003, line: 77, step: 4 };
        assert_eq!(position.to_string().parse::<Position>().unwrap(), position);
        for bad in ["", "1", "1.2", "1.2.3.4", "a.b.c", "1.-2.3", "1.2."] {
            assert!(bad.parse::<Position>().is_err(), "{bad}");
        }
    }
}
