use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;

use super::exchange::{CLIENT_GONE, Exchange};
use super::send::Link;
use crate::silence::Silence;
use crate::upstream::Reply;

/// How far a request's body has come; shared with whoever waits for the answer.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub(crate) bytes: AtomicU64,
    /// Moved since somebody last looked.
    moved: AtomicBool,
    end: AtomicU8,
}

/// How a request's body ended, where it did not end well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadEnd {
    /// The client sent nothing for too long.
    Silent,
    /// The client went away or sent a body that is broken.
    Broken,
}

impl Progress {
    /// Whether bytes moved since the last call.
    pub(crate) fn has_moved(&self) -> bool {
        self.moved.swap(false, Ordering::Relaxed)
    }

    pub(crate) fn bad_end(&self) -> Option<BadEnd> {
        match self.end.load(Ordering::Acquire) {
            1 => Some(BadEnd::Silent),
            2 => Some(BadEnd::Broken),
            _ => None,
        }
    }
}

/// A request's body on its way to an instance.
#[derive(Debug)]
pub(crate) struct UpBody {
    inner: Option<(Incoming, Arc<Progress>)>,
    silence: Silence,
}

impl UpBody {
    /// `least`: so many bytes have to come within the time.
    pub(crate) fn new(incoming: Incoming, timeout: Duration, least: usize) -> Self {
        let inner = (!incoming.is_end_stream()).then(|| (incoming, Arc::default()));
        Self { inner, silence: Silence::new(timeout, least) }
    }

    pub(crate) const fn empty() -> Self {
        Self { inner: None, silence: Silence::new(Duration::ZERO, 0) }
    }

    /// `None` where there is no body.
    pub(crate) fn progress(&self) -> Option<Arc<Progress>> {
        self.inner.as_ref().map(|(_, progress)| Arc::clone(progress))
    }
}

/// Why a request's body could not be sent to its end.
#[derive(Debug)]
pub(crate) struct UploadCut;

impl fmt::Display for UploadCut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the client's request body did not come to its end")
    }
}

impl std::error::Error for UploadCut {}

impl HttpBody for UpBody {
    type Data = Bytes;
    type Error = UploadCut;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UploadCut>>> {
        let this = self.get_mut();
        let Some((incoming, progress)) = &mut this.inner else { return Poll::Ready(None) };
        match Pin::new(incoming).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                // Frames without data are no progress: over HTTP/2 they cost a client nothing.
                let length = frame.data_ref().map_or(0, Bytes::len);
                this.silence.heard(length);
                if length > 0 {
                    progress.moved.store(true, Ordering::Relaxed);
                    progress.bytes.fetch_add(length as u64, Ordering::Relaxed);
                }
                Poll::Ready(Some(Ok(clean_trailers(frame))))
            }
            Poll::Ready(Some(Err(_))) => {
                progress.end.store(2, Ordering::Release);
                Poll::Ready(Some(Err(UploadCut)))
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                ready!(this.silence.poll(cx));
                progress.end.store(1, Ordering::Release);
                Poll::Ready(Some(Err(UploadCut)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(|(incoming, _)| incoming.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), |(incoming, _)| incoming.size_hint())
    }
}

/// Takes out of trailers what must not be there (RFC 9110 §6.5.1).
fn clean_trailers(frame: Frame<Bytes>) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(trailers) => {
            let mut clean = HeaderMap::with_capacity(trailers.len());
            let mut last = None;
            for (name, value) in trailers {
                last = name.or(last);
                if let Some(name) = last.as_ref().filter(|n| super::forward::may_trail(n)) {
                    clean.append(name.clone(), value);
                }
            }
            Frame::trailers(clean)
        }
        Err(frame) => frame,
    }
}

/// An answer's body on its way to the client.
#[derive(Debug)]
pub(crate) struct Body {
    kind: Kind,
    exchange: Option<Box<Exchange>>,
}

#[derive(Debug)]
enum Kind {
    Page(Option<Bytes>),
    Stream {
        reply: Reply,
        link: Option<Link>,
        silence: Silence,
        /// Its end was bad, and is told at the next poll: what came before is sent first.
        cut: Option<&'static str>,
    },
}

impl Body {
    /// A body made here.
    pub(crate) fn page(text: Bytes, exchange: Option<Box<Exchange>>) -> Self {
        Self { kind: Kind::Page(Some(text).filter(|t| !t.is_empty())), exchange }
    }

    /// What an instance answers.
    pub(crate) fn stream(mut reply: Reply, link: Link, exchange: Box<Exchange>) -> Self {
        let timeout = exchange.client.worker.core.limits.stream_timeout;
        let mut link = Some(link);
        if reply.is_end_stream() {
            finish(&mut link, &mut reply);
        }
        let kind = Kind::Stream { reply, link, silence: Silence::new(timeout, 1), cut: None };
        Self { kind, exchange: Some(exchange) }
    }
}

impl Body {
    /// Whether the gateway itself answers.
    pub(crate) fn is_page(&self) -> bool {
        matches!(self.kind, Kind::Page(_))
    }

    /// The release and instance that answered or were tried last.
    pub(crate) fn origin(&self) -> Option<(base::ReleaseId, Option<base::InstanceId>)> {
        let exchange = self.exchange.as_ref()?;
        Some((exchange.backend.as_ref()?.release, exchange.instance.as_ref().map(|i| i.id)))
    }
}

/// The answer has ended well: its connection can be used again, unless one side said otherwise.
fn finish(link: &mut Option<Link>, reply: &mut Reply) {
    if let (Some(link), Some(conn)) = (link.take(), reply.take_conn()) {
        link.give_back(conn);
    }
}

/// Why an answer could not be brought to its end.
#[derive(Debug)]
pub(crate) struct AnswerCut;

impl fmt::Display for AnswerCut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the instance's answer did not come to its end")
    }
}

impl std::error::Error for AnswerCut {}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = AnswerCut;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, AnswerCut>>> {
        let this = self.get_mut();
        let (reply, link, silence, cut) = match &mut this.kind {
            Kind::Page(text) => {
                let text = text.take();
                if let (Some(text), Some(exchange)) = (&text, &mut this.exchange) {
                    exchange.sent(text.len());
                }
                return Poll::Ready(text.map(|t| Ok(Frame::data(t))));
            }
            Kind::Stream { reply, link, silence, cut } => (reply, link, silence, cut),
        };
        if cut.is_some() {
            return Poll::Ready(Some(Err(AnswerCut)));
        }
        let client = this.exchange.as_ref().map(|exchange| &exchange.client);
        let closed = client.filter(|c| c.shared.is_ended()).map(|c| c.worker.core.limits.closed_timeout);
        let mut end = |code, cx: &mut Context<'_>| {
            *cut = Some(code);
            match &mut this.exchange {
                Some(exchange) if code == CLIENT_GONE => exchange.left(),
                Some(exchange) => exchange.cut(code),
                None => {}
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        };
        match Pin::new(&mut *reply).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                silence.heard(1);
                if let (Some(data), Some(exchange)) = (frame.data_ref(), &mut this.exchange) {
                    exchange.sent(data.len());
                }
                if reply.is_end_stream() {
                    finish(link, reply);
                }
                Poll::Ready(Some(Ok(clean_trailers(frame))))
            }
            Poll::Ready(Some(Err(_))) => {
                *link = None;
                end("instance-cut", cx)
            }
            Poll::Ready(None) => {
                finish(link, reply);
                this.exchange = None;
                Poll::Ready(None)
            }
            Poll::Pending => {
                if let Some(span) = closed {
                    silence.shorten(span);
                }
                ready!(silence.poll(cx));
                *link = None;
                end(if closed.is_some() { CLIENT_GONE } else { "instance-silent" }, cx)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Page(text) => text.is_none(),
            Kind::Stream { reply, .. } => reply.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Page(text) => SizeHint::with_exact(text.as_ref().map_or(0, Bytes::len) as u64),
            Kind::Stream { reply, .. } => reply.size_hint(),
        }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if let (Kind::Stream { reply, link, .. }, Some(exchange)) = (&self.kind, &mut self.exchange)
            && link.is_some()
            && !reply.is_end_stream()
        {
            exchange.left();
        }
    }
}
