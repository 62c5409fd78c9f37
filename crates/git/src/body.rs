//! The body of a request, read packet by packet and then as raw bytes, with a deadline on silence.

use std::time::Duration;

use base::{Problem, Result};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use ports::ByteStream;
use tokio::time::Instant;

use crate::fault::protocol;
use crate::packet::{self, Head};

/// Longest silence of a client within a request.
const SILENCE_MAX: Duration = Duration::from_secs(120);
/// Longest time for a whole request.
const REQUEST_MAX: Duration = Duration::from_secs(3600);
/// Longest time for reading a refused body to its end.
const DRAIN_MAX: Duration = Duration::from_secs(120);

pub(crate) struct Body {
    stream: ByteStream,
    rest: BytesMut,
    ends: Instant,
}

/// One packet of the command section.
pub(crate) enum Packet {
    /// The section ends.
    Flush,
    /// A line, without its line feed.
    Line(Bytes),
    /// The body ends before a packet begins.
    End,
}

impl Body {
    pub(crate) fn new(stream: ByteStream) -> Self {
        Self { stream, rest: BytesMut::new(), ends: Instant::now() + REQUEST_MAX }
    }

    /// The next packet.
    pub(crate) async fn packet(&mut self) -> Result<Packet> {
        if !self.fill(4).await? {
            return if self.rest.is_empty() { Ok(Packet::End) } else { Err(protocol("it ends within a packet")) };
        }
        let digits = self.rest.split_to(4);
        let length = match <[u8; 4]>::try_from(&digits[..]).ok().and_then(packet::head) {
            Some(Head::Flush) => return Ok(Packet::Flush),
            Some(Head::Data(length)) => length,
            None => return Err(protocol("a packet has a length that is not allowed")),
        };
        if !self.fill(length).await? {
            return Err(protocol("it ends within a packet"));
        }
        let mut line = self.rest.split_to(length).freeze();
        if line.ends_with(b"\n") {
            line.truncate(length.saturating_sub(1));
        }
        Ok(Packet::Line(line))
    }

    /// The next raw bytes; `None` at the end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>> {
        if !self.rest.is_empty() {
            return Ok(Some(self.rest.split().freeze()));
        }
        self.next().await
    }

    /// Reads and forgets the rest, so that the client has sent everything before it reads the
    /// reply (git does not read while it sends). Gives up at `bytes_max`.
    pub(crate) async fn drain(&mut self, bytes_max: u64) {
        let read_all = async {
            let mut seen = 0u64;
            while let Ok(Some(chunk)) = self.chunk().await {
                seen = seen.saturating_add(chunk.len() as u64);
                if seen > bytes_max {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(DRAIN_MAX, read_all).await;
    }

    /// Waits until this many bytes are at hand; `false` if the body ends before.
    async fn fill(&mut self, bytes: usize) -> Result<bool> {
        while self.rest.len() < bytes {
            match self.next().await? {
                Some(chunk) => self.rest.extend_from_slice(&chunk),
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    async fn next(&mut self) -> Result<Option<Bytes>> {
        let until = self.ends.min(Instant::now() + SILENCE_MAX);
        match tokio::time::timeout_at(until, self.stream.next()).await {
            Ok(next) => next.transpose(),
            Err(_) => Err(Problem::timeout("push-stalled", "the client sent nothing for two minutes, or too slowly")
                .hint("push again; `git push` sends what is missing")),
        }
    }
}
