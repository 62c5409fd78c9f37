use std::collections::VecDeque;
use std::marker::PhantomData;
use std::time::Duration;

use api::{Endpoint, Nothing, ProblemBody};
use base::{Problem, Result};
use reqwest::{Response, StatusCode};

use super::Client;
use super::fault::{from_body, not_answered, not_understood, problem_of};
use super::sse::{Event, Parser};

/// Reconnections in a row without a single event after which a stream is given up.
const FAILURES_MAX: u32 = 8;
/// Longest silence on a stream; servers send a comment now and then.
const SILENCE_MAX: Duration = Duration::from_secs(90);

/// What the end of the connection means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// There is no more.
    Complete,
    /// The caller knows the last event when it sees it; until then a closed connection is opened anew.
    Marked,
}

/// A stream of events that survives broken connections: it resumes behind the last event it saw.
pub struct Events<'c, E: Endpoint<Body = Nothing>> {
    client: &'c Client,
    path: E::Path,
    query: E::Query,
    ending: Ending,
    open: Option<(Response, Parser)>,
    ready: VecDeque<Event>,
    last_id: Option<String>,
    pause: Option<Duration>,
    failures: u32,
    endpoint: PhantomData<E>,
}

/// What came of waiting on the connection.
enum Step {
    Arrived,
    Closed,
    Broken(Problem),
}

impl Client {
    /// Follows a stream of events.
    pub fn events<E: Endpoint<Body = Nothing>>(&self, path: E::Path, query: E::Query, ending: Ending) -> Events<'_, E> {
        Events {
            client: self,
            path,
            query,
            ending,
            open: None,
            ready: VecDeque::new(),
            last_id: None,
            pause: None,
            failures: 0,
            endpoint: PhantomData,
        }
    }
}

impl<E: Endpoint<Body = Nothing>> Events<'_, E> {
    /// The next event, or nothing at the end. May be dropped while it waits; nothing is lost.
    pub async fn next(&mut self) -> Result<Option<E::Reply>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return self.understand(&event).map(Some);
            }
            match self.step().await? {
                Step::Arrived => {}
                Step::Closed if self.ending == Ending::Complete => return Ok(None),
                Step::Closed => self.lost(self.closed())?,
                Step::Broken(problem) => self.lost(problem)?,
            }
        }
    }

    fn understand(&mut self, event: &Event) -> Result<E::Reply> {
        if event.id.is_some() {
            self.last_id.clone_from(&event.id);
        }
        if event.name == "problem"
            && let Ok(body) = serde_json::from_str::<ProblemBody>(&event.data)
        {
            return Err(from_body(body));
        }
        serde_json::from_str(&event.data).map_err(|e| not_understood(self.client.url(), &e))
    }

    /// Counts a loss; the pause stands at the beginning of the next step, where it may be interrupted.
    fn lost(&mut self, problem: Problem) -> Result<()> {
        self.open = None;
        self.failures += 1;
        if self.failures > FAILURES_MAX {
            return Err(problem);
        }
        let wished = self.pause.unwrap_or_default();
        self.pause = Some(wished.max(self.client.patience.pause(self.failures)));
        Ok(())
    }

    async fn step(&mut self) -> Result<Step> {
        if self.open.is_none() {
            if self.failures > 0
                && let Some(pause) = self.pause
            {
                tokio::time::sleep(pause).await;
                self.pause = None;
            }
            match self.connect().await? {
                Ok(Some(response)) => self.open = Some((response, Parser::default())),
                Ok(None) => return Ok(Step::Closed),
                Err(problem) => return Ok(Step::Broken(problem)),
            }
        }
        let Some((response, parser)) = &mut self.open else { return Ok(Step::Closed) };
        let piece = match tokio::time::timeout(SILENCE_MAX, response.chunk()).await {
            Ok(Ok(Some(piece))) => piece,
            Ok(Ok(None)) => return Ok(Step::Closed),
            Ok(Err(e)) => return Ok(Step::Broken(not_answered(&e, self.client.url()))),
            Err(_) => return Ok(Step::Broken(self.silent())),
        };
        let events = parser.push(&piece)?;
        self.pause = parser.retry_ms.map(Duration::from_millis).map(|p| p.min(Duration::from_secs(20)));
        // Only an event is progress: a server that closes after each comment must not be asked for ever.
        if !events.is_empty() {
            self.failures = 0;
        }
        self.ready.extend(events);
        Ok(Step::Arrived)
    }

    /// Opens the stream behind the last event. The outer error is final, the inner one is worth another try.
    async fn connect(&self) -> Result<Result<Option<Response>>> {
        let mut request = self.client.request::<E>(&self.path, &self.query, "")?.header("accept", "text/event-stream");
        if let Some(id) = &self.last_id {
            request = request.header("last-event-id", id);
        }
        match tokio::time::timeout(Duration::from_secs(60), request.send()).await {
            Ok(Ok(response)) if response.status() == StatusCode::NO_CONTENT => Ok(Ok(None)),
            Ok(Ok(response)) if response.status().is_success() => Ok(Ok(Some(response))),
            Ok(Ok(response)) => {
                let problem = problem_of(response, self.client.url()).await;
                if problem.kind.may_retry() { Ok(Err(problem)) } else { Err(problem) }
            }
            Ok(Err(e)) => Ok(Err(not_answered(&e, self.client.url()))),
            Err(_) => Ok(Err(self.silent())),
        }
    }

    fn closed(&self) -> Problem {
        Problem::unavailable("stream-closed", "the server closed the stream again and again before its end")
            .hint("orlop doctor")
    }

    fn silent(&self) -> Problem {
        Problem::timeout("stream-silent", "the server sent nothing for a long time").hint("orlop doctor")
    }
}

impl<E: Endpoint<Body = Nothing>> std::fmt::Debug for Events<'_, E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").field("endpoint", &E::ID).field("last_id", &self.last_id).finish_non_exhaustive()
    }
}
