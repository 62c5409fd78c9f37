use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::Duration;

use api::run::{LogLine, Stream};
use base::{InstanceId, Problem, Result, ServiceName};
use futures_util::stream;
use kernel::{Ctx, Event, EventStream, event_stream};
use ports::{LogCursor, LogStream};

use crate::model::Known;
use crate::state;

/// New lines are looked for this often.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// New instances are looked for every so many looks.
const RENEW_EVERY: u32 = 5;
/// Lines read from one instance at once.
const BATCH: usize = 500;

/// Follows the logs of several instances as one stream ordered by time.
pub(crate) struct Follow {
    pub ctx: Ctx,
    pub service: ServiceName,
    pub chosen: Box<dyn Fn(&Known) -> bool + Send + Sync>,
    /// Past lines in all.
    pub tail: usize,
    /// Whether to go on with new lines.
    pub follow: bool,
    pub position: Position,
}

/// Where a reader is in each log; the id of its last event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Position(BTreeMap<InstanceId, LogCursor>);

impl Position {
    /// From the id of an event; absent: the beginning.
    pub(crate) fn parse(text: Option<&str>) -> Result<Self> {
        let bad = || Problem::unprocessable("bad-event-id", "`Last-Event-ID` is not one that this stream gave");
        let mut map = BTreeMap::new();
        for part in text.unwrap_or_default().split(';').filter(|p| !p.is_empty()) {
            let (id, cursor) = part.split_once('=').ok_or_else(bad)?;
            map.insert(id.parse().map_err(|_| bad())?, LogCursor(cursor.parse().map_err(|_| bad())?));
        }
        Ok(Self(map))
    }

    /// A place in each of several logs.
    pub(crate) fn of(places: impl Iterator<Item = (InstanceId, LogCursor)>) -> Self {
        Self(places.collect())
    }

    pub(crate) fn get(&self, id: InstanceId) -> Option<LogCursor> {
        self.0.get(&id).copied()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (id, cursor)) in self.0.iter().enumerate() {
            write!(f, "{}{id}={}", if i == 0 { "" } else { ";" }, cursor.0)?;
        }
        Ok(())
    }
}

struct State {
    follow: Follow,
    instances: Vec<Known>,
    ready: VecDeque<Event<LogLine>>,
    looks: u32,
    first: bool,
}

impl Follow {
    pub(crate) fn stream(self) -> EventStream<LogLine> {
        let state = State { follow: self, instances: Vec::new(), ready: VecDeque::new(), looks: 0, first: true };
        event_stream(stream::try_unfold(state, |mut state| async move {
            loop {
                if let Some(event) = state.ready.pop_front() {
                    return Ok(Some((event, state)));
                }
                if !state.first && !state.follow.follow {
                    return Ok(None);
                }
                if !state.first {
                    state.follow.ctx.platform().ports().clock.sleep(LOOK_EVERY).await;
                }
                state.look().await?;
            }
        }))
    }
}

impl State {
    async fn look(&mut self) -> Result<()> {
        if self.looks.is_multiple_of(RENEW_EVERY) {
            let mut read = self.follow.ctx.read().await?;
            self.instances = state::instances_of(&mut read, &self.follow.service).await?;
            self.instances.retain(|known| (self.follow.chosen)(known));
        }
        self.looks = self.looks.wrapping_add(1);
        let resumed = !self.follow.position.0.is_empty();
        let mut lines = Vec::new();
        for known in &self.instances {
            let from = self.follow.position.0.get(&known.id).copied();
            let engine = &self.follow.ctx.platform().ports().engine;
            let read = if self.first && from.is_none() && !resumed {
                engine.log_tail(known.id, self.follow.tail).await
            } else {
                engine.logs(known.id, from, BATCH).await
            };
            // An instance whose log is gone does not end the others' stream.
            lines.extend(read.unwrap_or_default().into_iter().map(|line| (known, line)));
        }
        lines.sort_by_key(|(_, line)| line.at);
        let skip = if self.first && !resumed { lines.len().saturating_sub(self.follow.tail) } else { 0 };
        for (i, (known, line)) in lines.into_iter().enumerate() {
            self.follow.position.0.insert(known.id, line.cursor);
            if i >= skip {
                let id = Some(self.follow.position.to_string());
                self.ready.push_back(Event { id, data: wire(known, line) });
            }
        }
        self.first = false;
        Ok(())
    }
}

/// A stream as the API names it.
pub(crate) const fn of(stream: LogStream) -> Stream {
    match stream {
        LogStream::Out => Stream::Out,
        LogStream::Err => Stream::Err,
        LogStream::Platform => Stream::Platform,
    }
}

pub(crate) fn wire(known: &Known, line: ports::LogLine) -> LogLine {
    LogLine {
        at: line.at,
        instance: known.id,
        process: known.key.process.clone(),
        stream: of(line.stream).word().to_owned(),
        text: line.text,
    }
}

#[cfg(test)]
mod tests {
    use base::Time;

    use super::*;

    #[test]
    fn positions_are_read_back_and_nonsense_is_refused() {
        let id = |n| InstanceId::new(Time::default(), [n; 10]);
        let position = Position([(id(1), LogCursor(5)), (id(2), LogCursor(0))].into());
        assert_eq!(Position::parse(Some(&position.to_string())).unwrap(), position);
        assert_eq!(Position::parse(None).unwrap(), Position::default());
        for bad in ["x", "in_=1", "x=1", &format!("{}=-1", id(1)), &format!("{}=", id(1))] {
            assert!(Position::parse(Some(bad)).is_err(), "{bad}");
        }
    }
}
