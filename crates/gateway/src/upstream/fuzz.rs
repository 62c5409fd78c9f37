//! What fuzzing feeds of answers: instances are strangers as well.

use bytes::BytesMut;

use super::head::{self, Framing};
use crate::gate::Piece;

/// How a connection's answers were read.
#[derive(Debug, Default, PartialEq, Eq)]
struct Course {
    /// Status of each head, and whether the connection was said to carry another request.
    heads: Vec<(u16, bool)>,
    /// What was passed on of the bodies.
    body: Vec<u8>,
    trailers: usize,
    /// Whether it ended with what is not valid.
    is_bad: bool,
}

enum At {
    Head,
    Body(Framing, bool),
    /// What comes belongs to nobody.
    Over,
}

/// Answers on a connection, the same however their bytes are cut.
pub(crate) fn answers(data: &[u8]) {
    let Some((seed, bytes)) = data.split_first() else { return };
    let asks_head = seed & 1 == 1;
    let step = usize::from(*seed >> 1).checked_rem(17).unwrap_or(0).saturating_add(1);
    let (mut whole, mut cut) = (course(bytes, bytes.len().max(1), asks_head), course(bytes, step, asks_head));
    assert!(whole.body.len() <= bytes.len(), "{} bytes passed of {}", whole.body.len(), bytes.len());
    for course in [&mut whole, &mut cut] {
        // How much of a broken body is passed on before it is refused may differ.
        if course.is_bad {
            course.body.clear();
        }
    }
    assert!(whole == cut, "whole {whole:?}, in pieces of {step} {cut:?}");
}

fn course(bytes: &[u8], step: usize, asks_head: bool) -> Course {
    let (mut told, mut at, mut buffer) = (Course::default(), At::Head, BytesMut::new());
    for piece in bytes.chunks(step) {
        buffer.extend_from_slice(piece);
        loop {
            let before = buffer.len();
            // Behind a body that has ended the next head may begin, without a byte taken.
            let has_ended = is_ended(&at);
            match advance(&mut told, at, &mut buffer, asks_head) {
                Some(next) => at = next,
                None => {
                    told.is_bad = true;
                    return told;
                }
            }
            if buffer.len() == before && !has_ended && !is_ended(&at) {
                break;
            }
        }
    }
    told
}

fn is_ended(at: &At) -> bool {
    matches!(at, At::Body(Framing::Length(0), _))
}

/// Takes what it can from the front of the buffer; `None` where that is not valid.
fn advance(told: &mut Course, at: At, buffer: &mut BytesMut, asks_head: bool) -> Option<At> {
    match at {
        At::Head => match head::read(buffer, asks_head) {
            Err(_) => None,
            Ok(None) => Some(At::Head),
            Ok(Some((answer, framing))) => {
                let status = answer.response.status();
                told.heads.push((status.as_u16(), answer.reusable));
                assert!(answer.response.headers().len() <= head::FIELDS_MAX, "too many headers");
                Some(if status.is_informational() { At::Head } else { At::Body(framing, answer.reusable) })
            }
        },
        At::Body(Framing::Length(0), reusable) => Some(if reusable { At::Head } else { At::Over }),
        At::Body(Framing::Length(left), reusable) => {
            let taken = buffer.split_to(usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len()));
            told.body.extend_from_slice(&taken);
            Some(At::Body(Framing::Length(left.saturating_sub(taken.len() as u64)), reusable))
        }
        At::Body(Framing::Chunked(mut chunks), reusable) => match chunks.take(buffer).ok()? {
            None => Some(At::Body(Framing::Chunked(chunks), reusable)),
            Some(Piece::Data(data)) => {
                told.body.extend_from_slice(&data);
                Some(At::Body(Framing::Chunked(chunks), reusable))
            }
            Some(Piece::End(trailers)) => {
                told.trailers = told.trailers.saturating_add(trailers.len());
                Some(At::Body(Framing::Length(0), reusable))
            }
        },
        At::Body(Framing::Close, reusable) => {
            told.body.extend_from_slice(&buffer.split());
            Some(At::Body(Framing::Close, reusable))
        }
        At::Over => Some(At::Over),
    }
}
