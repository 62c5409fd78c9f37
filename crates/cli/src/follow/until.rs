use std::time::{Duration, Instant};

use api::{Endpoint, Nothing};
use base::{Problem, Result};
use futures_util::future::BoxFuture;

use crate::client::Events;
use crate::context::Ctx;
use crate::output::Live;

/// What came of waiting.
pub enum Came<T> {
    Event(T),
    /// The stream ended.
    End,
    /// The person pressed Ctrl-C.
    Interrupted,
}

/// Waits for events, at most so long, until interrupted.
pub struct Until<'c> {
    pub live: Live<'c>,
    interrupted: BoxFuture<'c, ()>,
    begun: Instant,
    deadline: Duration,
}

impl<'c> Until<'c> {
    pub fn new(ctx: &Ctx<'c>, deadline: Duration) -> Self {
        Self { live: ctx.out.live(), interrupted: ctx.host.interrupted(), begun: Instant::now(), deadline }
    }

    /// The next event; `line` is what the terminal shows meanwhile.
    pub async fn next<E: Endpoint<Body = Nothing>>(
        &mut self,
        events: &mut Events<'_, E>,
        line: impl Fn(Duration) -> String,
    ) -> Result<Came<E::Reply>> {
        let begun = self.begun;
        let left = self.deadline.saturating_sub(begun.elapsed());
        let interrupted = &mut self.interrupted;
        let wait = async {
            tokio::select! {
                event = events.next() => Ok(event?.map_or(Came::End, Came::Event)),
                () = interrupted => Ok(Came::Interrupted),
                () = tokio::time::sleep(left) => Err(Problem::timeout("wait-over", "waited as long as --wait allows; the work goes on")),
            }
        };
        self.live.during(wait, || line(begun.elapsed())).await
    }
}
