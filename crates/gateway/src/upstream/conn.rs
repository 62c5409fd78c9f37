use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use http::{Method, Request, Response, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};
use tokio_util::io::poll_read_buf;

use super::head::{self, Framing};
use super::reply::Reply;
use super::upload::Upload;
use crate::proxy::UpBody;
use crate::spare;

/// What is read at once of a head or a short body, bytes.
const READ_BYTES: usize = 8 << 10;
/// What is read at once of a long body, bytes.
const LONG_READ_BYTES: usize = 64 << 10;
/// Interim answers (1xx) before the real one.
const INTERIMS_MAX: u32 = 8;

/// A connection to an instance, between two requests or in the middle of one.
#[derive(Debug)]
pub(crate) struct Conn {
    io: Io,
    /// Read, not taken yet.
    pub(super) buffer: BytesMut,
    /// Written next.
    out: BytesMut,
    /// Armed once and moved only when it fires: most answers come long before their deadline.
    timer: Option<Pin<Box<Sleep>>>,
}

#[derive(Debug)]
enum Io {
    Whole(TcpStream),
    /// The rest of a request is still being sent by a task of its own.
    Reading(tokio::io::ReadHalf<TcpStream>),
    Gone,
}

/// Why no answer came.
#[derive(Debug)]
pub(crate) enum Lost {
    /// The connection broke before anything of the request was sent.
    Unsent,
    /// The request's body did not come to its end.
    Upload,
    /// The connection broke, or the instance hung up.
    HungUp,
    /// What came is not a valid answer.
    Invalid(&'static str),
    /// Nothing came in time.
    TooSlow,
}

/// How the wait for an answer ends.
pub(crate) struct Patience<'a> {
    /// From the last piece of the request to the head of the answer.
    pub(crate) span: Duration,
    /// Whether the request's body has moved since this was last asked.
    pub(crate) has_moved: &'a (dyn Fn() -> bool + Sync),
}

impl Conn {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { io: Io::Whole(stream), buffer: BytesMut::new(), out: BytesMut::new(), timer: None }
    }

    /// Whether an unused connection can still be used. Costs no system call unless something happened on it:
    /// either the instance hung up or it sent what nobody asked for.
    pub(crate) fn is_open(&self) -> bool {
        let Io::Whole(stream) = &self.io else { return false };
        let mut byte = [0];
        self.buffer.is_empty()
            && matches!(stream.try_read(&mut byte), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Gets ready to wait for the next request: memory goes to whoever needs it next.
    pub(crate) fn rest(&mut self) {
        spare::give(std::mem::take(&mut self.buffer));
        spare::give(std::mem::take(&mut self.out));
    }

    /// Sends a request and waits for the head of its answer. The request's body, if it has one, is taken out
    /// of it with the first byte that is sent.
    pub(crate) async fn send(
        mut self: Box<Self>,
        request: &mut Request<UpBody>,
        patience: Patience<'_>,
    ) -> Result<Response<Reply>, Lost> {
        self.buffer = spare::take();
        self.out = spare::take();
        let is_chunked = head::write(&mut self.out, request);
        let asks_head = *request.method() == Method::HEAD;
        let mut upload = None;
        if request.body().progress().is_none() {
            std::future::poll_fn(|cx| self.poll_head_sent(cx)).await?;
        } else {
            // Known to be broken before the first byte: the request can go elsewhere.
            if !self.is_open() {
                return Err(Lost::Unsent);
            }
            let body = std::mem::replace(request.body_mut(), UpBody::empty());
            upload = Some(Upload::new(body, is_chunked, request.headers()));
        }
        let (parts, framing) = self.head_of_answer(&mut upload, asks_head, patience).await?;
        // The answer may begin before the request has ended (an early refusal, or both stream).
        let reusable = parts.reusable && upload.as_ref().is_none_or(Upload::is_whole);
        let sending = upload.filter(Upload::is_sending).and_then(|upload| self.go_on_sending(upload));
        Ok(parts.response.map(|()| Reply::new(self, framing, reusable, sending)))
    }

    /// Writes a request that is its head alone.
    fn poll_head_sent(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        let whole = self.out.len();
        while !self.out.is_empty() {
            let failed = if self.out.len() == whole { Lost::Unsent } else { Lost::HungUp };
            match ready!(self.poll_write_out(cx)) {
                Ok(n) if n > 0 => {}
                _ => return Poll::Ready(Err(failed)),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Io::Whole(stream) = &mut self.io else { return Poll::Ready(Ok(0)) };
        let written = ready!(Pin::new(stream).poll_write(cx, &self.out))?;
        self.out.advance(written.min(self.out.len()));
        Poll::Ready(Ok(written))
    }

    async fn head_of_answer(
        &mut self,
        upload: &mut Option<Upload>,
        asks_head: bool,
        patience: Patience<'_>,
    ) -> Result<(head::Answer, Framing), Lost> {
        let mut deadline = Instant::now().checked_add(patience.span);
        let mut interims = 0u32;
        std::future::poll_fn(|cx| {
            if let Some(upload) = upload
                && upload.is_sending()
                && let Io::Whole(stream) = &mut self.io
                && let Poll::Ready(Err(lost)) = upload.poll(cx, stream, &mut self.out)
            {
                return Poll::Ready(Err(lost));
            }
            loop {
                match head::read(&mut self.buffer, asks_head) {
                    Err(why) => return Poll::Ready(Err(Lost::Invalid(why))),
                    Ok(Some((answer, _))) if is_interim(answer.response.status()) => {
                        interims = interims.saturating_add(1);
                        if interims > INTERIMS_MAX {
                            return Poll::Ready(Err(Lost::Invalid("more interim answers than anybody needs")));
                        }
                        continue;
                    }
                    Ok(Some(answer)) => return Poll::Ready(Ok(answer)),
                    Ok(None) => {}
                }
                match self.poll_more(cx, READ_BYTES) {
                    Poll::Ready(Ok(n)) if n > 0 => {}
                    Poll::Ready(_) => return Poll::Ready(Err(Lost::HungUp)),
                    Poll::Pending => break,
                }
            }
            ready!(self.poll_deadline(cx, &mut deadline, &patience));
            Poll::Ready(Err(Lost::TooSlow))
        })
        .await
    }

    fn poll_deadline(
        &mut self,
        cx: &mut Context<'_>,
        deadline: &mut Option<Instant>,
        patience: &Patience<'_>,
    ) -> Poll<()> {
        loop {
            let Some(end) = *deadline else { return Poll::Pending };
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(end)));
            if timer.deadline() > end {
                timer.as_mut().reset(end);
            }
            ready!(timer.as_mut().poll(cx));
            let now = Instant::now();
            if now >= end {
                // The clock runs anew as long as the client still sends.
                if !(patience.has_moved)() {
                    return Poll::Ready(());
                }
                *deadline = now.checked_add(patience.span);
            }
            if let Some(end) = *deadline {
                timer.as_mut().reset(end);
            }
        }
    }

    /// Reads what has come into the buffer; 0 at the end.
    fn poll_more(&mut self, cx: &mut Context<'_>, bytes: usize) -> Poll<io::Result<usize>> {
        self.buffer.reserve(bytes);
        match &mut self.io {
            Io::Whole(stream) => poll_read_buf(Pin::new(stream), cx, &mut self.buffer),
            Io::Reading(half) => poll_read_buf(Pin::new(half), cx, &mut self.buffer),
            Io::Gone => Poll::Ready(Ok(0)),
        }
    }

    /// Reads of a body of which so many bytes are still to come; as much at once as makes sense.
    pub(super) fn poll_body(&mut self, cx: &mut Context<'_>, left: u64) -> Poll<io::Result<usize>> {
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        self.poll_more(cx, left.clamp(READ_BYTES, LONG_READ_BYTES))
    }

    /// Sends the rest of a request beside its answer; it ends with the answer.
    fn go_on_sending(&mut self, mut upload: Upload) -> Option<tokio::task::JoinHandle<()>> {
        let Io::Whole(stream) = std::mem::replace(&mut self.io, Io::Gone) else { return None };
        let (read, mut write) = tokio::io::split(stream);
        self.io = Io::Reading(read);
        let mut out = std::mem::take(&mut self.out);
        Some(tokio::spawn(async move {
            // What goes wrong here shows in the answer.
            let _ = std::future::poll_fn(|cx| upload.poll(cx, &mut write, &mut out)).await;
        }))
    }

    /// The connection after a switch of protocols: what came already is read first.
    pub(crate) fn into_tunnel(self) -> Option<Tunnel> {
        match self.io {
            Io::Whole(stream) => Some(Tunnel { early: self.buffer.freeze(), stream }),
            Io::Reading(_) | Io::Gone => None,
        }
    }
}

/// Whether this is not the answer yet (RFC 9110 §15.2); 101 is one.
fn is_interim(status: StatusCode) -> bool {
    status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS
}

/// The instance's side of an upgraded connection.
#[derive(Debug)]
pub(crate) struct Tunnel {
    early: Bytes,
    stream: TcpStream,
}

impl AsyncRead for Tunnel {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.early.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let count = self.early.len().min(buf.remaining());
        buf.put_slice(&self.early.split_to(count));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
