//! Probes one instance's port from the keeper's loop: never blocks, one probe at a time.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use ports::{Health, Probe};
use rustix::event::PollFlags;
use rustix::io::Errno;

use super::end::seconds;
use crate::sandbox::own_port;

/// First pause between probes; it doubles up to the wanted one, so that a quick start is seen quickly.
const FIRST_PAUSE: Duration = Duration::from_millis(25);
/// Bounds of what a caller may wish.
const EVERY: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(600)];
const TIMEOUT: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(60)];
/// Enough for `HTTP/1.1 200`.
/// While a probe is not answered, the next one follows at least this soon.
const UNANSWERED_PAUSE: Duration = Duration::from_millis(500);
const ANSWER_BYTES: usize = 12;

/// Asks again and again.
pub(super) struct Prober {
    probe: Probe,
    port: u16,
    every: Duration,
    timeout: Duration,
    pause: Duration,
    phase: Phase,
    /// Probes since the last change of the answer, and since when.
    count: u32,
    since: Instant,
    answered: Option<bool>,
}

enum Phase {
    Waiting { until: Instant },
    Connecting { socket: OwnedFd, until: Instant },
    Reading { socket: OwnedFd, until: Instant, got: Vec<u8> },
}

/// What one probe found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) ok: bool,
    /// `GET /healthz → connection refused (31 probes in 15.2 s)`
    pub(super) evidence: String,
}

impl Prober {
    pub(super) fn new(health: &Health, port: u16, now: Instant) -> Self {
        let bounded = |ms: u64, [least, most]: [Duration; 2]| Duration::from_millis(ms).clamp(least, most);
        Self {
            probe: health.probe.clone(),
            port,
            every: bounded(health.every_ms, EVERY),
            timeout: bounded(health.timeout_ms, TIMEOUT),
            pause: FIRST_PAUSE,
            phase: Phase::Waiting { until: now },
            count: 0,
            since: now,
            answered: None,
        }
    }

    /// When something must happen without any event.
    pub(super) fn wakes_at(&self) -> Instant {
        match &self.phase {
            Phase::Waiting { until } | Phase::Connecting { until, .. } | Phase::Reading { until, .. } => *until,
        }
    }

    /// What to watch for.
    pub(super) fn interest(&self) -> Option<(&OwnedFd, PollFlags)> {
        match &self.phase {
            Phase::Waiting { .. } => None,
            Phase::Connecting { socket, .. } => Some((socket, PollFlags::OUT)),
            Phase::Reading { socket, .. } => Some((socket, PollFlags::IN)),
        }
    }

    /// Goes on, after an event or because of the time. An outcome is handed out once per probe.
    /// A new probe begins on a socket of the instance's network.
    pub(super) fn step(
        &mut self,
        event: bool,
        now: Instant,
        socket: impl FnOnce() -> std::io::Result<OwnedFd>,
    ) -> Option<Outcome> {
        let over = now >= self.wakes_at();
        let phase = std::mem::replace(&mut self.phase, Phase::Waiting { until: now });
        let result = match phase {
            Phase::Waiting { until } if !over => {
                self.phase = Phase::Waiting { until };
                return None;
            }
            Phase::Waiting { .. } => self.begin(socket(), now + self.timeout),
            Phase::Connecting { socket, until } if event => self.connected(socket, until),
            Phase::Reading { socket, until, got } if event => read(socket, until, got),
            other if !over => Next::Stay(other),
            Phase::Connecting { .. } => Next::Done(Err(format!("no connection within {}", seconds(self.timeout)))),
            Phase::Reading { .. } => Next::Done(Err(format!("no answer within {}", seconds(self.timeout)))),
        };
        match result {
            Next::Stay(phase) => {
                self.phase = phase;
                None
            }
            Next::Done(answer) => Some(self.finish(answer, now)),
        }
    }

    fn begin(&self, socket: std::io::Result<OwnedFd>, until: Instant) -> Next {
        let socket = match socket {
            Ok(socket) => socket,
            Err(e) => return Next::Done(Err(format!("make a socket: {e}"))),
        };
        match rustix::net::connect(&socket, &own_port(self.port)) {
            Ok(()) => self.connected(socket, until),
            Err(Errno::INPROGRESS) => Next::Stay(Phase::Connecting { socket, until }),
            Err(e) => Next::Done(Err(connection_error(e))),
        }
    }

    fn connected(&self, socket: OwnedFd, until: Instant) -> Next {
        match rustix::net::sockopt::socket_error(&socket) {
            Ok(Ok(())) => {}
            Ok(Err(e)) | Err(e) => return Next::Done(Err(connection_error(e))),
        }
        let Probe::Http { path } = &self.probe else { return Next::Done(Ok("accepts connections".to_owned())) };
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nUser-Agent: orlop-health\r\nAccept: */*\r\nConnection: close\r\n\r\n",
            self.port
        );
        match rustix::net::send(&socket, request.as_bytes(), rustix::net::SendFlags::NOSIGNAL) {
            Ok(n) if n == request.len() => Next::Stay(Phase::Reading { socket, until, got: Vec::new() }),
            Ok(_) => Next::Done(Err("the request was not taken".to_owned())),
            Err(e) => Next::Done(Err(connection_error(e))),
        }
    }

    fn finish(&mut self, answer: Result<String, String>, now: Instant) -> Outcome {
        let ok = answer.is_ok();
        if self.answered != Some(ok) {
            (self.count, self.since, self.answered) = (0, if self.count == 0 { self.since } else { now }, Some(ok));
        }
        self.count = self.count.saturating_add(1);
        self.pause = if ok { self.every } else { (self.pause * 2).min(self.every).min(UNANSWERED_PAUSE) };
        self.phase = Phase::Waiting { until: now + self.pause };
        let what = match &self.probe {
            Probe::Port => format!("connect to port {}", self.port),
            Probe::Http { path } => format!("GET {path}"),
        };
        let text = answer.unwrap_or_else(|why| why);
        let many = if self.count == 1 { "probe" } else { "probes" };
        let evidence = format!("{what} → {text} ({} {many} in {})", self.count, seconds(now - self.since));
        Outcome { ok, evidence }
    }
}

enum Next {
    Stay(Phase),
    Done(Result<String, String>),
}

fn connection_error(e: Errno) -> String {
    match e {
        Errno::CONNREFUSED => "connection refused".to_owned(),
        Errno::CONNRESET | Errno::PIPE => "connection reset".to_owned(),
        other => other.to_string(),
    }
}

fn read(socket: OwnedFd, until: Instant, mut got: Vec<u8>) -> Next {
    let mut buffer = [0u8; 512];
    match rustix::io::read(&socket, &mut buffer) {
        Ok(0) => return Next::Done(Err("connection closed without an answer".to_owned())),
        Ok(n) => got.extend_from_slice(buffer.get(..n).unwrap_or_default()),
        Err(Errno::AGAIN | Errno::INTR) => {}
        Err(e) => return Next::Done(Err(connection_error(e))),
    }
    if got.len() < ANSWER_BYTES {
        return Next::Stay(Phase::Reading { socket, until, got });
    }
    Next::Done(match status(&got) {
        Some(code) if (200..400).contains(&code) => Ok(code.to_string()),
        Some(code) => Err(code.to_string()),
        None => Err("the answer is not HTTP".to_owned()),
    })
}

/// The status code of a status line (RFC 9112 §4).
fn status(answer: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(answer.get(..ANSWER_BYTES)?).ok()?;
    let (version, code) = line.split_at_checked(9)?;
    let valid = version.starts_with("HTTP/1.") && version.ends_with(' ') && code.bytes().all(|b| b.is_ascii_digit());
    valid.then(|| code.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_lines() {
        assert_eq!(status(b"HTTP/1.1 204 No Content\r\n"), Some(204));
        assert_eq!(status(b"HTTP/1.0 500"), Some(500));
        for bad in [&b"HTTP/1.1 2xx OK"[..], b"SSH-2.0-OpenSSH", b"HTTP/1.1 20", b"HTTP/2.0 200 x", b"HTTP/1.1  200"] {
            assert_eq!(status(bad), None, "{}", String::from_utf8_lossy(bad));
        }
    }
}
