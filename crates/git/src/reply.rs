//! The reply to a push, written while the push is carried out: the report on band 1, lines for
//! the person on band 2 (gitprotocol-pack "Report Status", gitprotocol-common "side-band-64k").

use std::time::Duration;

use async_trait::async_trait;
use base::{Problem, Result};
use bytes::Bytes;
use ports::{Advice, ByteStream, Progress};
use tokio::sync::mpsc;

use crate::commands::Request;
use crate::packet::{self, FLUSH};

/// Packets that wait for the client.
const QUEUE_MAX: usize = 256;
/// A client that takes nothing for so long is taken for gone.
const SEND_MAX: Duration = Duration::from_secs(20);
/// Between two signs of life.
pub(crate) const ALIVE_EVERY: Duration = Duration::from_secs(5);
/// Longest line shown, characters.
const LINE_CHARS_MAX: usize = 4_000;

/// The writing end; dropping it ends the reply.
pub(crate) struct Reply {
    packets: mpsc::Sender<Result<Bytes>>,
    side_band: bool,
    report_status: bool,
}

/// What is told about the push as a whole and about each ref (in the order of the commands).
pub(crate) struct Report<'a> {
    pub unpack: std::result::Result<(), String>,
    /// Name, and why it did not move.
    pub refs: Vec<(&'a str, Option<&'a str>)>,
}

/// Makes both ends.
pub(crate) fn reply(request: &Request) -> (Reply, ByteStream) {
    let (packets, queue) = mpsc::channel(QUEUE_MAX);
    let reply = Reply { packets, side_band: request.side_band, report_status: request.report_status };
    (reply, Box::pin(tokio_stream::wrappers::ReceiverStream::new(queue)))
}

impl Reply {
    /// Sends the report, if the client asked for one.
    pub(crate) async fn report(&self, report: &Report<'_>) -> Result<()> {
        if !self.report_status {
            return Ok(());
        }
        let mut lines = Vec::new();
        let unpack = report.unpack.as_ref().map_or_else(|why| one_line(why, 400), |()| "ok".to_owned());
        packet::write(&mut lines, format!("unpack {unpack}\n").as_bytes());
        for (name, refused) in &report.refs {
            let line = match refused {
                Some(why) => format!("ng {name} {}\n", one_line(why, 400)),
                None => format!("ok {name}\n"),
            };
            packet::write(&mut lines, line.as_bytes());
        }
        lines.extend_from_slice(FLUSH);
        let mut out = lines;
        if self.side_band {
            let lines = std::mem::take(&mut out);
            packet::write_band(&mut out, 1, &lines);
        }
        self.send(out).await
    }

    /// Ends the reply.
    pub(crate) async fn end(&self) -> Result<()> {
        if self.side_band { self.send(FLUSH.to_vec()).await } else { Ok(()) }
    }

    /// Sends empty packets for as long as `work` runs, so that nothing between here and the
    /// client takes the connection for dead. Empty packets of band 1 are what git itself sends.
    pub(crate) async fn alive_while<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            match tokio::time::timeout(ALIVE_EVERY, &mut work).await {
                Ok(done) => return done,
                Err(_) if self.side_band => {
                    let _ = self.packets.try_send(Ok(Bytes::from_static(b"0005\x01")));
                }
                Err(_) => {}
            }
        }
    }

    /// Shows lines to the person.
    pub(crate) async fn show(&self, text: &str) -> Result<()> {
        if !self.side_band {
            return if self.packets.is_closed() { Err(gone()) } else { Ok(()) };
        }
        let mut out = Vec::new();
        for line in text.lines() {
            packet::write_band(&mut out, 2, format!("{}\n", one_line(line, LINE_CHARS_MAX)).as_bytes());
        }
        self.send(out).await
    }

    /// What a policy speaks through; it does not keep the reply open.
    pub(crate) fn voice(&self) -> Voice {
        Voice { packets: self.packets.downgrade(), side_band: self.side_band }
    }

    async fn send(&self, bytes: Vec<u8>) -> Result<()> {
        self.packets.send_timeout(Ok(bytes.into()), SEND_MAX).await.map_err(|_| gone())
    }
}

/// A way to the person for as long as the reply is open.
pub(crate) struct Voice {
    packets: mpsc::WeakSender<Result<Bytes>>,
    side_band: bool,
}

#[async_trait]
impl Progress for Voice {
    async fn say(&self, advice: Advice) -> Result<()> {
        let packets = self.packets.upgrade().ok_or_else(gone)?;
        let reply = Reply { packets, side_band: self.side_band, report_status: false };
        match advice {
            Advice::Line(line) => reply.show(&line).await,
        }
    }
}

fn gone() -> Problem {
    Problem::unavailable("push-unheard", "the client of this push does not listen any more")
}

/// Text for a terminal: one line, no control characters but tabs, bounded.
fn one_line(text: &str, chars_max: usize) -> String {
    text.chars().take(chars_max).map(|c| if c.is_control() && c != '\t' { ' ' } else { c }).collect()
}
