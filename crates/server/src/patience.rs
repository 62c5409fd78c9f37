//! A connection whose client has to begin, and has to take what it is sent.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// As many bytes the client has to send before it is known what it speaks: the preface of HTTP/2 has
/// 24 (RFC 9113 §3.4), and no request of HTTP/1.1 with its Host is shorter.
const HELLO_BYTES: usize = 24;

/// How long a client may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waits {
    /// To begin.
    pub(crate) hello: Duration,
    /// To take anything of what is sent.
    pub(crate) write: Duration,
}

/// The stream of a connection with its waits.
#[derive(Debug)]
pub(crate) struct Patient<S> {
    io: S,
    waits: Waits,
    received: usize,
    hello: Pin<Box<Sleep>>,
    /// Runs while the client takes nothing.
    stall: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    pub(crate) fn new(io: S, waits: Waits) -> Self {
        let hello = Box::pin(tokio::time::sleep(waits.hello));
        Self { io, waits, received: 0, hello, stall: None }
    }

    fn written<T>(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.stall = None;
            return result;
        }
        let span = self.waits.write;
        let stall = self.stall.get_or_insert_with(|| Box::pin(tokio::time::sleep(span)));
        stall.as_mut().poll(cx).map(|()| Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let read = Pin::new(&mut this.io).poll_read(cx, buf);
        this.received = this.received.saturating_add(buf.filled().len().saturating_sub(before));
        if read.is_pending() && this.received < HELLO_BYTES {
            return this
                .hello
                .as_mut()
                .poll(cx)
                .map(|()| Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not begin")));
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
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
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}
