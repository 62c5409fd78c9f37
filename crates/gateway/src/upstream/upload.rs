use std::io::Write as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::header::{self, HeaderMap};
use http_body::Body as _;
use tokio::io::AsyncWrite;

use super::Lost;
use crate::proxy::UpBody;

/// Pieces up to this size are copied behind what waits already, so that one write takes both.
const JOIN_BYTES: usize = 8 << 10;

/// The body of a request on its way to an instance.
#[derive(Debug)]
pub(super) struct Upload {
    body: UpBody,
    is_chunked: bool,
    /// Names that `Trailer` announces.
    announced: Vec<Bytes>,
    /// A piece too large to be copied; goes after what waits.
    data: Bytes,
    /// The piece sent last is a chunk whose CRLF is still to come.
    in_chunk: bool,
    is_last: bool,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Sending,
    Whole,
    Broken,
}

impl Upload {
    pub(super) fn new(body: UpBody, is_chunked: bool, headers: &HeaderMap) -> Self {
        let names = headers.get_all(header::TRAILER).into_iter().flat_map(|v| v.as_bytes().split(|b| *b == b','));
        let announced = names.map(|name| Bytes::copy_from_slice(name.trim_ascii())).collect();
        Self { body, is_chunked, announced, data: Bytes::new(), in_chunk: false, is_last: false, state: State::Sending }
    }

    /// There is more to send, and a way to send it.
    pub(super) fn is_sending(&self) -> bool {
        self.state == State::Sending
    }

    /// All of it was sent.
    pub(super) fn is_whole(&self) -> bool {
        self.state == State::Whole
    }

    /// Sends what can be sent, first what is in `out`.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut (impl AsyncWrite + Unpin),
        out: &mut BytesMut,
    ) -> Poll<Result<(), Lost>> {
        loop {
            // Small pieces are gathered, so that one write takes head and body.
            let mut is_waiting = false;
            while !self.is_last && !is_waiting && self.data.is_empty() && out.len() <= JOIN_BYTES {
                match Pin::new(&mut self.body).poll_frame(cx) {
                    Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                        Ok(data) => self.piece(data, out),
                        Err(frame) => self.end(frame.into_trailers().ok(), out),
                    },
                    Poll::Ready(Some(Err(_))) => return Poll::Ready(Err(Lost::Upload)),
                    Poll::Ready(None) => self.end(None, out),
                    Poll::Pending => is_waiting = true,
                }
            }
            while !out.is_empty() || !self.data.is_empty() {
                let next: &[u8] = if out.is_empty() { &self.data } else { out };
                match ready!(Pin::new(&mut *io).poll_write(cx, next)) {
                    Ok(written) if written > 0 && out.is_empty() => self.data.advance(written),
                    Ok(written) if written > 0 => out.advance(written),
                    // It may have answered before it hung up: the answer is looked for first.
                    _ => {
                        self.state = State::Broken;
                        return Poll::Pending;
                    }
                }
            }
            if self.is_last {
                self.state = State::Whole;
                return Poll::Ready(Ok(()));
            }
            if is_waiting {
                return Poll::Pending;
            }
        }
    }

    fn piece(&mut self, data: Bytes, out: &mut BytesMut) {
        if data.is_empty() {
            return;
        }
        if self.is_chunked {
            let crlf = if self.in_chunk { "\r\n" } else { "" };
            let _ = write!(out.writer(), "{crlf}{:x}\r\n", data.len());
            self.in_chunk = true;
        }
        if data.len() <= JOIN_BYTES {
            out.extend_from_slice(&data);
        } else {
            self.data = data;
        }
    }

    fn end(&mut self, trailers: Option<HeaderMap>, out: &mut BytesMut) {
        self.is_last = true;
        if !self.is_chunked {
            return;
        }
        out.extend_from_slice(if self.in_chunk { b"\r\n0\r\n" } else { b"0\r\n" });
        for (name, value) in trailers.iter().flatten() {
            // RFC 9110 §6.5.1: what was not announced is not waited for either.
            if self.announced.iter().any(|known| known.eq_ignore_ascii_case(name.as_str().as_bytes())) {
                for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                    out.extend_from_slice(part);
                }
            }
        }
        out.extend_from_slice(b"\r\n");
    }
}
