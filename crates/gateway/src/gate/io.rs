use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};
use tokio_util::io::poll_read_buf;

use super::{Framer, HeadLimits, REFUSED_METHOD, Refusal, Shared, Stop, Upgrade};
use crate::silence::Silence;
use crate::spare;

/// What a client that opens with prior knowledge of HTTP/2 sends first (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How long and how much is read and thrown away after the last answer, so that the answer is not
/// lost to a reset while the client still sends (RFC 9112 §9.6).
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: usize = 256 << 10;
/// What is read at once of a head that did not come in one piece, bytes.
const READ_BYTES: usize = 8 << 10;

/// What a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.0 or 1.1.
    Http1,
    /// HTTP/2 with prior knowledge.
    Http2,
}

/// How long a client may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    /// From the first to the last byte of a head.
    pub(crate) head: Duration,
    /// Between two requests.
    pub(crate) idle: Duration,
    /// Taking less than `slow_bytes` of what is written.
    pub(crate) write: Duration,
    /// See [`crate::Limits::slow_bytes`].
    pub(crate) slow_bytes: usize,
}

#[derive(Debug, PartialEq, Eq)]
enum Mode {
    Framed,
    Opaque,
    Refused,
}

/// A client connection of which only well-framed requests can be read.
#[derive(Debug)]
pub(crate) struct Guard<S> {
    io: S,
    mode: Mode,
    framer: Framer,
    /// Read from the client, not let in yet; begins where a head begins.
    held: BytesMut,
    /// Let in, not read yet.
    ready: BytesMut,
    shared: Arc<Shared>,
    timeouts: Timeouts,
    timer: Option<Pin<Box<Sleep>>>,
    deadline: Option<Instant>,
    /// While the client takes nothing.
    stall: Silence,
    /// What is wrong with the body that is being read.
    broken: Option<&'static str>,
    lingered: usize,
    lingering: Option<Pin<Box<Sleep>>>,
    is_shut: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Guard<S> {
    pub(crate) fn new(io: S, shared: Arc<Shared>, limits: HeadLimits, timeouts: Timeouts) -> Self {
        Self {
            io,
            mode: Mode::Framed,
            framer: Framer::new(limits),
            held: BytesMut::new(),
            ready: BytesMut::new(),
            shared,
            timeouts,
            timer: None,
            deadline: None,
            stall: Silence::new(timeouts.write, timeouts.slow_bytes),
            broken: None,
            lingered: 0,
            lingering: None,
            is_shut: false,
        }
    }

    /// Reads until it is clear what the client speaks. `None`: it left or said nothing in time.
    pub(crate) async fn protocol(&mut self) -> Option<Protocol> {
        let idle = tokio::time::timeout(self.timeouts.idle, self.read_held()).await;
        if !matches!(idle, Ok(Ok(n)) if n > 0) {
            return None;
        }
        let deadline = Instant::now().checked_add(self.timeouts.head)?;
        loop {
            if self.held.starts_with(PREFACE) {
                self.mode = Mode::Opaque;
                self.ready = std::mem::take(&mut self.held);
                return Some(Protocol::Http2);
            }
            if !PREFACE.starts_with(&self.held) {
                break;
            }
            match tokio::time::timeout_at(deadline, self.read_held()).await {
                Ok(Ok(n)) if n > 0 => {}
                _ => break,
            }
        }
        self.take_held();
        Some(Protocol::Http1)
    }

    /// Takes the connection back from its reader, with what that has read and not used. `false`: it is of no more use.
    pub(crate) fn take_back(&mut self, unused: &[u8]) -> bool {
        if !unused.is_empty() {
            let mut ready = BytesMut::from(unused);
            ready.extend_from_slice(&self.ready);
            self.ready = ready;
        }
        self.mode == Mode::Framed && !self.is_shut && !self.shared.is_ended()
    }

    /// Waits for the next request to begin; `false` if the client left or was idle for too long.
    pub(crate) async fn wakes(&mut self) -> bool {
        std::future::poll_fn(|cx| {
            if !self.ready.is_empty() || !self.framer.is_idle() || !self.held.is_empty() {
                return Poll::Ready(true);
            }
            match self.poll_read_held(cx) {
                Poll::Ready(Ok(count)) if count > 0 => {
                    self.take_held();
                    Poll::Ready(true)
                }
                Poll::Ready(_) => Poll::Ready(false),
                Poll::Pending => {
                    spare::give(std::mem::take(&mut self.held));
                    self.poll_deadline(cx)
                }
            }
        })
        .await
    }

    async fn read_held(&mut self) -> io::Result<usize> {
        std::future::poll_fn(|cx| self.poll_read_held(cx)).await
    }

    fn poll_read_held(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.held.capacity() == 0 {
            self.held = spare::take();
        }
        self.held.reserve(READ_BYTES);
        poll_read_buf(Pin::new(&mut self.io), cx, &mut self.held)
    }

    /// Lets in what may be of what is held.
    fn take_held(&mut self) {
        let (passed, stop) = self.framer.advance(&self.held);
        if passed > 0 {
            self.deadline = None;
        }
        let good = self.held.split_to(passed.min(self.held.len()));
        if self.ready.is_empty() {
            self.ready = good;
        } else {
            self.ready.extend_from_slice(&good);
        }
        self.stopped(stop)
    }

    /// Acts on why the framer stopped.
    fn stopped(&mut self, stop: Stop) {
        match stop {
            Stop::More => {}
            Stop::Upgrade => self.shared.open_upgrade(),
            Stop::Refuse { refusal, in_body, head_method } => {
                self.shared.refuse(refusal);
                self.mode = Mode::Refused;
                self.held.clear();
                if in_body {
                    self.broken = Some(refusal.detail);
                } else {
                    self.refused_request(head_method);
                }
            }
        }
    }

    /// Puts the synthetic request in the place of the refused one.
    fn refused_request(&mut self, head_method: bool) {
        let path = if head_method { "/head" } else { "/" };
        let text = format!("{REFUSED_METHOD} {path} HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n");
        self.ready.extend_from_slice(text.as_bytes());
    }

    /// A request has begun or none has: how long may the client take? Called when there is nothing
    /// to read. `Ready(true)`: it took too long and a refusal waits to be read; `Ready(false)`: it
    /// was idle for too long.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let in_head = self.framer.is_in_head();
        if !in_head && !self.framer.is_idle() {
            self.deadline = None;
            return Poll::Pending;
        }
        loop {
            let span = if in_head { self.timeouts.head } else { self.timeouts.idle };
            let fresh = Instant::now().checked_add(span);
            let Some(deadline) = self.deadline.or(fresh) else { return Poll::Pending };
            self.deadline = Some(deadline);
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
            if timer.deadline() > deadline {
                timer.as_mut().reset(deadline);
            }
            ready!(timer.as_mut().poll(cx));
            if Instant::now() < deadline {
                timer.as_mut().reset(deadline);
            } else if in_head {
                self.deadline = None;
                self.timer = None;
                self.stopped(Stop::Refuse {
                    refusal: Refusal::new(
                        408,
                        "head-timeout",
                        "The request's headers did not come in time.",
                        "RFC 9110 §15.5.9",
                    ),
                    in_body: false,
                    head_method: false,
                });
                return Poll::Ready(true);
            } else if self.shared.finished() >= self.framer.heads() {
                return Poll::Ready(false);
            } else {
                // A request is under way: not idle at all.
                self.deadline = None;
                timer.as_mut().reset(fresh.unwrap_or(deadline));
            }
        }
    }

    /// Gives up on a client that takes nothing for too long; it would hold its instance's connection.
    fn written(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(taken) = &result {
            self.stall.heard(taken.as_ref().map_or(0, |count| *count));
            self.shared.stalls(false);
            return result;
        }
        self.shared.stalls(true);
        self.stall.poll(cx).map(|()| Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing")))
    }

    /// Reads straight into the reader's buffer and takes back what must not be let in.
    fn poll_direct(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<Option<usize>>> {
        let before = buf.filled().len();
        match Pin::new(&mut self.io).poll_read(cx, buf) {
            Poll::Pending => return self.poll_deadline(cx).map(|more| Ok(if more { None } else { Some(0) })),
            Poll::Ready(result) => result?,
        }
        let fresh = buf.filled().get(before..).unwrap_or(b"");
        if fresh.is_empty() {
            self.shared.end();
            return Poll::Ready(Ok(None));
        }
        let (passed, stop) = self.framer.advance(fresh);
        self.held.extend_from_slice(fresh.get(passed..).unwrap_or(b""));
        buf.set_filled(before.saturating_add(passed));
        // A head's time runs from its first byte.
        self.deadline = None;
        self.stopped(stop);
        Poll::Ready(Ok((passed > 0).then_some(passed)))
    }

    /// Reads the rest of what is held in part.
    fn poll_more_held(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<usize>>> {
        match self.poll_read_held(cx) {
            Poll::Pending => self.poll_deadline(cx).map(|more| Ok(if more { None } else { Some(0) })),
            Poll::Ready(Ok(0)) => {
                self.shared.end();
                Poll::Ready(Ok(None))
            }
            Poll::Ready(Ok(_)) => {
                self.take_held();
                Poll::Ready(Ok(None))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        }
    }

    /// The client has closed its side, which says no more than that no further request comes (RFC 9112 §9.6): the
    /// reader hears of it once the requests that came whole are answered. It would give up their answers.
    fn poll_end(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        // Of a head that came in part nothing was let in; a body that did is broken, and its reader has to know.
        let in_body = !self.framer.is_idle() && !self.framer.is_in_head();
        match !in_body && self.shared.is_under_way(self.framer.heads(), cx.waker()) {
            true => Poll::Pending,
            false => Poll::Ready(Ok(())),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Guard<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if !this.ready.is_empty() {
                let count = this.ready.len().min(buf.remaining());
                buf.put_slice(this.ready.get(..count).unwrap_or(b""));
                this.ready.advance(count);
                if this.ready.is_empty() {
                    this.ready = BytesMut::new();
                    if this.held.is_empty() {
                        spare::give(std::mem::take(&mut this.held));
                    }
                }
                return Poll::Ready(Ok(()));
            }
            match this.mode {
                Mode::Opaque => return Pin::new(&mut this.io).poll_read(cx, buf),
                // The answer closes the connection; nothing more is ever read of it.
                Mode::Refused => {
                    return match this.broken.take() {
                        Some(detail) => Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, detail))),
                        None => Poll::Pending,
                    };
                }
                Mode::Framed if this.shared.is_ended() => return this.poll_end(cx),
                Mode::Framed => {}
            }
            if this.framer.is_upgrade() {
                match this.shared.upgrade(cx.waker()) {
                    Upgrade::Open => return Poll::Pending,
                    Upgrade::Accepted => {
                        this.mode = Mode::Opaque;
                        this.ready = std::mem::take(&mut this.held);
                    }
                    Upgrade::Declined => {
                        this.framer.resume();
                        this.take_held();
                    }
                }
                continue;
            }
            let done = if this.held.is_empty() { this.poll_direct(cx, buf) } else { this.poll_more_held(cx) };
            match ready!(done)? {
                Some(_) => return Poll::Ready(Ok(())),
                None => continue,
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.io).poll_write(cx, buf);
        this.written(cx, result)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.io).poll_write_vectored(cx, bufs);
        this.written(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let whole = this.mode == Mode::Framed && this.framer.is_idle();
        if whole && this.shared.is_ended() {
            // Both sides are done: closing says it.
            return Poll::Ready(Ok(()));
        }
        if !this.is_shut {
            ready!(Pin::new(&mut this.io).poll_shutdown(cx))?;
            this.is_shut = true;
        }
        if whole || this.mode == Mode::Opaque {
            return Poll::Ready(Ok(()));
        }
        if this.lingering.is_none() {
            this.lingering = Some(Box::pin(tokio::time::sleep(LINGER)));
        }
        let mut waste = [0; 4096];
        while this.lingered < LINGER_BYTES_MAX {
            let mut buf = ReadBuf::new(&mut waste);
            match Pin::new(&mut this.io).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {
                    this.lingered = this.lingered.saturating_add(buf.filled().len());
                }
                Poll::Ready(_) => break,
                Poll::Pending => match &mut this.lingering {
                    Some(timer) => return timer.as_mut().poll(cx).map(Ok),
                    None => break,
                },
            }
        }
        Poll::Ready(Ok(()))
    }
}
