use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Request, Response, StatusCode, Version};

use crate::gate::{Chunks, split_field};
use crate::proxy::UpBody;

/// Head of an answer, bytes.
const HEAD_BYTES_MAX: usize = 256 << 10;
/// Header lines of an answer.
pub(super) const FIELDS_MAX: usize = 100;
/// Trailer section of an answer, bytes.
const TRAILER_BYTES_MAX: usize = 8 << 10;

/// Writes the head of a request. `true`: its body goes chunked.
pub(super) fn write(out: &mut BytesMut, request: &Request<UpBody>) -> bool {
    let path = request.uri().path_and_query().map_or("/", |p| p.as_str());
    // RFC 9110 §4.2.3: an empty path is a slash; origin-form must have it (RFC 9112 §3.2.1).
    let slash = if path.starts_with('/') || path == "*" { "" } else { "/" };
    for part in [request.method().as_str(), " ", slash, path, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    for (name, value) in request.headers() {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            out.extend_from_slice(part);
        }
    }
    let has_body = request.body().progress().is_some();
    let is_chunked = has_body && !request.headers().contains_key(header::CONTENT_LENGTH);
    if is_chunked {
        out.extend_from_slice(b"transfer-encoding: chunked\r\n");
    }
    out.extend_from_slice(b"\r\n");
    is_chunked
}

/// How long the body of an answer is.
#[derive(Debug)]
pub(super) enum Framing {
    Length(u64),
    Chunked(Box<Chunks>),
    /// Up to the end of the connection.
    Close,
}

/// A whole head.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) response: Response<()>,
    /// Whether the connection can carry another request after the body.
    pub(super) reusable: bool,
}

/// Takes one whole head from the front of what has come; `None` while it is not whole.
///
/// # Errors
/// What is not valid about it.
pub(super) fn read(buffer: &mut BytesMut, asks_head: bool) -> Result<Option<(Answer, Framing)>, &'static str> {
    let end = memchr::memmem::find(buffer, b"\r\n\r\n");
    let Some(end) = end else {
        // Answers of other protocols are not waited for.
        let start = buffer.get(..buffer.len().min(7)).unwrap_or(b"");
        return match b"HTTP/1.".starts_with(start) {
            _ if buffer.len() > HEAD_BYTES_MAX => Err("the head is too large"),
            false => Err("it does not begin with a status line"),
            true => Ok(None),
        };
    };
    if end > HEAD_BYTES_MAX {
        return Err("the head is too large");
    }
    let mut head = buffer.split_to(end.saturating_add(4)).freeze();
    head.truncate(end);
    parse(&head, asks_head).map(Some)
}

fn parse(head: &Bytes, asks_head: bool) -> Result<(Answer, Framing), &'static str> {
    let mut lines = Lines { rest: head };
    let (version, status) = status_line(lines.next().ok_or("there is no status line")??)?;
    let mut headers = HeaderMap::with_capacity(16);
    for line in lines {
        let (name, value) = split_field(line?).map_err(|refusal| refusal.detail)?;
        if headers.len() >= FIELDS_MAX {
            return Err("there are too many headers");
        }
        let name = HeaderName::from_bytes(name).map_err(|_| "a header name is not valid")?;
        let value = HeaderValue::from_maybe_shared(head.slice_ref(value)).map_err(|_| "a header value is not valid")?;
        headers.append(name, value);
    }
    let framing = framing(&mut headers, version, status, asks_head)?;
    let (is_close, is_kept) = connection(&headers);
    let is_delimited = !matches!(framing, Framing::Close);
    let reusable = is_delimited && !is_close && (version == Version::HTTP_11 || is_kept);
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.version_mut() = version;
    *response.headers_mut() = headers;
    Ok((Answer { response, reusable }, framing))
}

/// Lines that end in CRLF; a lone CR or LF is a fault.
struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Lines<'a> {
    type Item = Result<&'a [u8], &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let (line, rest) = match memchr::memchr(b'\n', self.rest) {
            Some(at) => (self.rest.get(..at)?, self.rest.get(at.saturating_add(1)..)?),
            // The last line: its CRLF was cut off with the empty line.
            None => return Some(Ok(std::mem::take(&mut self.rest))),
        };
        self.rest = rest;
        Some(line.strip_suffix(b"\r").ok_or("a line ends in a bare LF"))
    }
}

/// `HTTP/1.1 200 OK` (RFC 9112 §4); the reason may be missing, with its space.
fn status_line(line: &[u8]) -> Result<(Version, StatusCode), &'static str> {
    let bad = "the status line is not valid";
    let (version, rest) = line.split_at_checked(9).ok_or(bad)?;
    let version = match version {
        b"HTTP/1.1 " => Version::HTTP_11,
        b"HTTP/1.0 " => Version::HTTP_10,
        _ => return Err(bad),
    };
    let (code, reason) = rest.split_at_checked(3).ok_or(bad)?;
    let fine = reason.is_empty()
        || reason.starts_with(b" ") && !reason.iter().any(|b| (*b < 0x20 && *b != b'\t') || *b == 0x7f);
    let status = StatusCode::from_bytes(code).map_err(|_| bad)?;
    if !fine {
        return Err(bad);
    }
    Ok((version, status))
}

/// RFC 9112 §6.3, in its order. An answer has one reading only: §6.3 would have the coding override a length beside
/// it; who passes that on makes the client's reading another than the instance's (§11.1, response splitting).
fn framing(
    headers: &mut HeaderMap,
    version: Version,
    status: StatusCode,
    asks_head: bool,
) -> Result<Framing, &'static str> {
    let length = length(headers)?;
    let coding = coding(headers, version)?;
    if coding && length.is_some() {
        return Err("it has both a length and a transfer coding");
    }
    let is_bare =
        asks_head || status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if is_bare {
        return Ok(Framing::Length(0));
    }
    match (coding, length) {
        (true, _) => Ok(Framing::Chunked(Box::new(Chunks::kept(TRAILER_BYTES_MAX, FIELDS_MAX)))),
        (false, Some(length)) => Ok(Framing::Length(length)),
        (false, None) => Ok(Framing::Close),
    }
}

/// The one length; several equal ones become one (RFC 9110 §8.6).
fn length(headers: &mut HeaderMap) -> Result<Option<u64>, &'static str> {
    let mut found = None;
    let mut count = 0u32;
    for value in headers.get_all(header::CONTENT_LENGTH) {
        for part in value.as_bytes().split(|b| *b == b',').map(<[u8]>::trim_ascii) {
            let digits = !part.is_empty() && part.iter().all(u8::is_ascii_digit);
            let number = std::str::from_utf8(part).ok().filter(|_| digits).and_then(|text| text.parse::<u64>().ok());
            let number = number.filter(|n| *n < u64::MAX >> 1).ok_or("its Content-Length is not one number")?;
            if found.is_some_and(|other| other != number) {
                return Err("it has two lengths");
            }
            found = Some(number);
            count = count.saturating_add(1);
        }
    }
    if let Some(length) = found.filter(|_| count > 1) {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    Ok(found)
}

/// Whether the body is chunked; nothing else is carried.
fn coding(headers: &HeaderMap, version: Version) -> Result<bool, &'static str> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else { return Ok(false) };
    if codings.next().is_some() || !coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") {
        return Err("it has a transfer coding other than `chunked`");
    }
    if version == Version::HTTP_10 {
        return Err("it is HTTP/1.0 with a transfer coding");
    }
    Ok(true)
}

/// Whether `Connection` says `close`, and whether it says `keep-alive`.
fn connection(headers: &HeaderMap) -> (bool, bool) {
    let options = headers.get_all(header::CONNECTION).into_iter().flat_map(|v| v.as_bytes().split(|b| *b == b','));
    options.map(<[u8]>::trim_ascii).fold((false, false), |(close, kept), option| {
        (close || option.eq_ignore_ascii_case(b"close"), kept || option.eq_ignore_ascii_case(b"keep-alive"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a head: `status reusable framing`, or the word of the error; cut anywhere it comes to the same.
    fn check(text: &str, asks_head: bool, expect: &str) {
        let told = |buffer: &mut BytesMut| match read(buffer, asks_head) {
            Err(_) => "bad".to_owned(),
            Ok(None) => "more".to_owned(),
            Ok(Some((answer, framing))) => {
                let framing = match framing {
                    Framing::Length(n) => n.to_string(),
                    Framing::Chunked(_) => "chunked".to_owned(),
                    Framing::Close => "close".to_owned(),
                };
                format!("{} {} {framing}", answer.response.status().as_u16(), answer.reusable)
            }
        };
        assert_eq!(told(&mut BytesMut::from(text)), expect, "{text:?}");
        for cut in 1..text.len() {
            let mut buffer = BytesMut::from(&text[..cut]);
            let first = told(&mut buffer);
            if first == "more" {
                buffer.extend_from_slice(&text.as_bytes()[cut..]);
                assert_eq!(told(&mut buffer), expect, "{text:?} cut at {cut}");
            } else {
                assert_eq!(first, expect, "{text:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn answers() {
        let check = |text, expect| check(text, false, expect);
        check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "200 true 5");
        check("HTTP/1.1 200\r\nContent-Length: 5\r\n\r\n", "200 true 5");
        check("HTTP/1.1 200 OK\r\n\r\n", "200 false close");
        check("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", "200 false 5");
        check("HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: Keep-Alive\r\n\r\n", "200 true 5");
        check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n", "200 false 5");
        check("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "200 true chunked");
        check("HTTP/1.1 204 No Content\r\n\r\n", "204 true 0");
        check("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "304 true 0");
        check("HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n", "200 true 5");
        check("HTTP/1.1 100 Continue\r\n\r\n", "100 true 0");
    }

    #[test]
    fn an_answer_to_head_has_no_body() {
        check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true, "200 true 0");
        check("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true, "200 true 0");
    }

    #[test]
    fn what_is_not_valid() {
        for text in [
            "HTTP/1.1 200 OK\nContent-Length: 5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\nA: b\r\n\r\n",
            "HTTP/2.0 200 OK\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 2000\r\n\r\n",
            "HTTP/1.1  200 OK\r\n\r\n",
            "HTTP/1.1 200 O\0K\r\n\r\n",
            "SSH-2.0-OpenSSH\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
            "HTTP/1.1 200 OK\r\n folded: b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\0c\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        ] {
            let got = read(&mut BytesMut::from(text), false);
            assert!(got.is_err(), "{text:?}: {got:?}");
        }
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(101));
        assert!(read(&mut BytesMut::from(many.as_str()), false).is_err());
        let long = format!("HTTP/1.1 200 OK\r\na: {}", "b".repeat(HEAD_BYTES_MAX));
        assert!(read(&mut BytesMut::from(long.as_str()), false).is_err());
    }
}
