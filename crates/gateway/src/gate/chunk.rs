use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Refusal, field};

/// Longest chunk-size line with its extensions, bytes.
const LINE_BYTES_MAX: usize = 256;
/// Most bytes of chunk extensions in one body.
const EXTENSION_BYTES_MAX: usize = 16 << 10;

/// Follows a chunked body (RFC 9112 §7.1) byte by byte.
#[derive(Debug)]
pub(crate) struct Chunks {
    state: State,
    /// The line being read: chunk size with extensions, or a trailer field.
    line: Vec<u8>,
    extension_bytes: usize,
    trailer_bytes_left: usize,
    trailer_fields_left: usize,
    /// The trailer fields, where somebody wants them.
    kept: Option<HeaderMap>,
}

/// A part of a chunked body.
#[derive(Debug)]
pub(crate) enum Piece {
    Data(Bytes),
    /// The end, with the trailer fields.
    End(HeaderMap),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Size,
    Data(u64),
    DataEnd,
    DataEndLf,
    Trailer,
    Done,
}

const fn bad(detail: &'static str) -> Refusal {
    Refusal::bad("bad-chunk", detail, "RFC 9112 §7.1")
}

impl Chunks {
    pub(super) fn new(trailer_bytes: usize, trailer_fields: usize) -> Self {
        Self {
            state: State::Size,
            line: Vec::new(),
            extension_bytes: 0,
            trailer_bytes_left: trailer_bytes,
            trailer_fields_left: trailer_fields,
            kept: None,
        }
    }

    /// One that keeps the trailer fields for [`Chunks::take`].
    pub(crate) fn kept(trailer_bytes: usize, trailer_fields: usize) -> Self {
        Self { kept: Some(HeaderMap::new()), ..Self::new(trailer_bytes, trailer_fields) }
    }

    /// Takes the next part of the body from the front of `input`; `None` while it has not come.
    pub(crate) fn take(&mut self, input: &mut BytesMut) -> Result<Option<Piece>, Refusal> {
        loop {
            match self.state {
                State::Done => return Ok(Some(Piece::End(self.kept.take().unwrap_or_default()))),
                _ if input.is_empty() => return Ok(None),
                State::Data(left) => {
                    let count = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
                    self.count_data(left, count);
                    return Ok(Some(Piece::Data(input.split_to(count).freeze())));
                }
                _ => {
                    let line = memchr::memchr(b'\n', input).map_or(input.len(), |at| at.saturating_add(1));
                    // No data is among them: a line, or the CRLF behind a chunk.
                    let taken = self.advance(input.get(..line).unwrap_or(b""))?;
                    bytes::Buf::advance(input, taken.min(input.len()));
                }
            }
        }
    }

    /// So much of the data of a chunk was taken.
    fn count_data(&mut self, left: u64, taken: usize) {
        let left = left.saturating_sub(taken as u64);
        self.state = if left == 0 { State::DataEnd } else { State::Data(left) };
    }

    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Takes what belongs to the body from the front of `input` and says how much that was.
    pub(super) fn advance(&mut self, input: &[u8]) -> Result<usize, Refusal> {
        let mut rest = input;
        while let Some((first, tail)) = rest.split_first() {
            match self.state {
                State::Done => break,
                State::Data(left) => {
                    let take = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    self.count_data(left, take);
                    rest = rest.get(take..).unwrap_or(b"");
                    continue;
                }
                State::DataEnd if *first == b'\r' => self.state = State::DataEndLf,
                State::DataEndLf if *first == b'\n' => self.state = State::Size,
                State::DataEnd | State::DataEndLf => return Err(bad("The data of a chunk is not followed by CRLF.")),
                State::Size | State::Trailer => self.push(*first)?,
            }
            rest = tail;
        }
        Ok(input.len().saturating_sub(rest.len()))
    }

    /// Adds a byte to the line being read; a line feed ends it.
    fn push(&mut self, byte: u8) -> Result<(), Refusal> {
        if byte != b'\n' {
            let max = if self.state == State::Size { LINE_BYTES_MAX } else { self.trailer_bytes_left };
            if self.line.len() >= max {
                return Err(if self.state == State::Size {
                    bad("A chunk-size line is too long.")
                } else {
                    Refusal::new(431, "trailers-too-large", "The trailer fields are too large.", "RFC 6585 §5")
                });
            }
            self.line.push(byte);
            return Ok(());
        }
        let line = std::mem::take(&mut self.line);
        let Some(text) = line.strip_suffix(b"\r") else {
            return Err(bad("A line of the chunked body ends in a bare LF."));
        };
        match self.state {
            State::Size => self.size_line(text)?,
            _ => self.trailer_line(text)?,
        }
        self.line = line;
        self.line.clear();
        Ok(())
    }

    fn size_line(&mut self, line: &[u8]) -> Result<(), Refusal> {
        let end = line.iter().position(|b| *b == b';').unwrap_or(line.len());
        let (digits, extension) = line.split_at_checked(end).unwrap_or((line, b""));
        if digits.is_empty() || digits.len() > 16 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(bad("A chunk size is not 1 to 16 hexadecimal digits."));
        }
        if extension.iter().any(|b| (*b < 0x20 && *b != b'\t') || *b >= 0x7f) {
            return Err(bad("A chunk extension has a control character."));
        }
        self.extension_bytes = self.extension_bytes.saturating_add(extension.len());
        if self.extension_bytes > EXTENSION_BYTES_MAX {
            return Err(bad("The body has too many chunk extensions."));
        }
        let size = std::str::from_utf8(digits).ok().and_then(|text| u64::from_str_radix(text, 16).ok());
        self.state = match size {
            Some(0) => State::Trailer,
            Some(size) => State::Data(size),
            None => return Err(bad("A chunk size is too large.")),
        };
        Ok(())
    }

    fn trailer_line(&mut self, line: &[u8]) -> Result<(), Refusal> {
        if line.is_empty() {
            self.state = State::Done;
            return Ok(());
        }
        let (name, value) = field::split(line)?;
        if let Some(kept) = &mut self.kept
            && let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        {
            kept.append(name, value);
        }
        self.trailer_bytes_left = self.trailer_bytes_left.saturating_sub(line.len());
        match self.trailer_fields_left.checked_sub(1) {
            Some(left) => self.trailer_fields_left = left,
            None => {
                return Err(Refusal::new(
                    431,
                    "too-many-trailers",
                    "There are too many trailer fields.",
                    "RFC 6585 §5",
                ));
            }
        }
        Ok(())
    }
}

/// A chunked body by itself, with the bounds that a request has.
#[cfg(feature = "fuzzing")]
pub(crate) struct Chunked(Chunks);

#[cfg(feature = "fuzzing")]
impl Chunked {
    pub(crate) fn new() -> Self {
        Self(Chunks::new(8 << 10, 20))
    }

    pub(crate) fn is_done(&self) -> bool {
        self.0.is_done()
    }

    pub(crate) fn advance(&mut self, input: &[u8]) -> Result<usize, Refusal> {
        self.0.advance(input)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds the body whole and byte by byte: both must come to the same end.
    fn check(body: &[u8], expect: Result<usize, ()>) {
        let mut whole = Chunks::new(1000, 10);
        let got = whole.advance(body).map_err(|_| ());
        let got = got.and_then(|n| if whole.is_done() { Ok(n) } else { Err(()) });
        assert_eq!(got, expect, "whole {:?}", String::from_utf8_lossy(body));
        let mut single = Chunks::new(1000, 10);
        let mut taken = 0;
        let mut fine = true;
        for byte in body {
            match single.advance(&[*byte]) {
                Ok(n) => taken += n,
                Err(_) => fine = false,
            }
        }
        let got = if fine && single.is_done() { Ok(taken) } else { Err(()) };
        assert_eq!(got, expect, "single {:?}", String::from_utf8_lossy(body));
    }

    #[test]
    fn bodies() {
        check(b"0\r\n\r\n", Ok(5));
        check(b"5\r\nhello\r\n0\r\n\r\nGET", Ok(15));
        check(b"a;x=\"y\"\r\n0123456789\r\n000\r\nA: b\r\n\r\n", Ok(34));
        for bad in [
            &b"\r\n\r\n"[..],
            b"5 \r\nhello\r\n0\r\n\r\n",
            b" 5\r\nhello\r\n0\r\n\r\n",
            b"0x5\r\nhello\r\n0\r\n\r\n",
            b"+5\r\nhello\r\n0\r\n\r\n",
            b"-5\r\nhello\r\n0\r\n\r\n",
            b"5\nhello\r\n0\r\n\r\n",
            b"5\r\nhello\n0\r\n\r\n",
            b"5\r\nhelloX0\r\n\r\n",
            b"5;a\rb\r\nhello\r\n0\r\n\r\n",
            b"10000000000000000\r\n",
            b"0\r\nA : b\r\n\r\n",
            b"0\r\n\n",
        ] {
            check(bad, Err(()));
        }
    }
}
