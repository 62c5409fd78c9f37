use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::task::JoinHandle;

use super::conn::{Conn, Tunnel};
use super::head::Framing;
use crate::gate::Piece;

/// The body of an instance's answer, read from its connection as it is asked for.
#[derive(Debug)]
pub(crate) struct Reply {
    conn: Option<Box<Conn>>,
    framing: Framing,
    is_over: bool,
    reusable: bool,
    /// The rest of the request.
    sending: Option<JoinHandle<()>>,
}

impl Reply {
    pub(super) fn new(conn: Box<Conn>, framing: Framing, reusable: bool, sending: Option<JoinHandle<()>>) -> Self {
        let is_over = matches!(framing, Framing::Length(0));
        Self { conn: Some(conn), framing, is_over, reusable, sending }
    }

    /// The connection, once the body has ended and left it in a state to carry another request.
    pub(crate) fn take_conn(&mut self) -> Option<Box<Conn>> {
        let is_clean = self.is_over && self.reusable;
        self.conn.take().filter(|conn| is_clean && conn.buffer.is_empty())
    }

    /// The connection after a switch of protocols.
    pub(crate) fn into_tunnel(mut self) -> Option<Tunnel> {
        self.conn.take()?.into_tunnel()
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Frame<Bytes>>>> {
        let Some(conn) = self.conn.as_mut().filter(|_| !self.is_over) else { return Poll::Ready(Ok(None)) };
        loop {
            let left = match &mut self.framing {
                Framing::Length(left) => *left,
                Framing::Close | Framing::Chunked(_) => u64::MAX,
            };
            match &mut self.framing {
                Framing::Chunked(chunks) => {
                    let piece = chunks.take(&mut conn.buffer);
                    match piece.map_err(|refusal| io::Error::new(io::ErrorKind::InvalidData, refusal.detail))? {
                        Some(Piece::Data(data)) => return Poll::Ready(Ok(Some(Frame::data(data)))),
                        Some(Piece::End(trailers)) => {
                            self.is_over = true;
                            let trailers = (!trailers.is_empty()).then(|| Frame::trailers(trailers));
                            return Poll::Ready(Ok(trailers));
                        }
                        None => {}
                    }
                }
                Framing::Length(_) | Framing::Close if conn.buffer.is_empty() => {}
                Framing::Length(left) => {
                    let count = usize::try_from(*left).unwrap_or(usize::MAX).min(conn.buffer.len());
                    *left = left.saturating_sub(count as u64);
                    self.is_over = *left == 0;
                    return Poll::Ready(Ok(Some(Frame::data(conn.buffer.split_to(count).freeze()))));
                }
                Framing::Close => return Poll::Ready(Ok(Some(Frame::data(conn.buffer.split().freeze())))),
            }
            if ready!(conn.poll_body(cx, left))? == 0 {
                self.is_over = matches!(self.framing, Framing::Close);
                return Poll::Ready(if self.is_over { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) });
            }
        }
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.get_mut().poll_piece(cx).map(Result::transpose)
    }

    fn is_end_stream(&self) -> bool {
        self.is_over
    }

    fn size_hint(&self) -> SizeHint {
        match self.framing {
            Framing::Length(left) => SizeHint::with_exact(left),
            Framing::Chunked(_) | Framing::Close => SizeHint::default(),
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some(sending) = self.sending.take() {
            sending.abort();
        }
    }
}
