use super::line::{self, RequestLine};
use super::{Refusal, field};
use crate::host;

/// Bounds of a request head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeadLimits {
    /// The whole head, bytes.
    pub(crate) bytes: usize,
    /// The request target, bytes.
    pub(crate) target_bytes: usize,
    /// Field lines.
    pub(crate) fields: usize,
}

/// What a whole head says about what follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// Another request.
    Nothing,
    /// So many bytes of body.
    Length(u64),
    /// A chunked body.
    Chunked,
    /// Whatever the instance's answer to the upgrade decides.
    Upgrade,
}

/// What the framer knows after looking at some bytes of a head.
pub(super) enum Progress {
    /// More bytes are needed.
    More,
    /// The head has this many bytes and this comes after it.
    Done(usize, After),
    /// It must not be let in.
    Refuse(Refusal),
}

/// Reads one request head line by line as its bytes come in.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// Where in the input the current line begins.
    line: usize,
    /// How far the input was searched for a line feed.
    searched: usize,
    begun: bool,
    blank_skipped: bool,
    fields: usize,
    http10: bool,
    authority: Option<Vec<u8>>,
    /// The value of `Host`; meaningless unless `has_host`.
    host: Vec<u8>,
    has_host: bool,
    length: Option<u64>,
    chunked: bool,
    upgrade: bool,
    connection_upgrade: bool,
    pub(super) head_method: bool,
}

impl Head {
    /// Whether anything of a request was seen.
    pub(super) fn has_begun(&self) -> bool {
        self.searched > 0
    }

    /// Gets ready for the next request; keeps its memory.
    pub(super) fn reset(&mut self) {
        let host = std::mem::take(&mut self.host);
        *self = Self { host, ..Self::default() };
    }

    /// Looks at the input, which always begins where this head begins.
    pub(super) fn feed(&mut self, input: &[u8], limits: &HeadLimits) -> Progress {
        loop {
            if self.is_foreign(input) {
                return Progress::Refuse(Refusal::bad("not-http", "What was sent is not HTTP.", "RFC 9112 §3"));
            }
            let Some(at) = input.get(self.searched..).and_then(|rest| memchr::memchr(b'\n', rest)) else {
                self.searched = input.len();
                return match self.unfinished(input, limits) {
                    Some(refusal) => Progress::Refuse(refusal),
                    None => Progress::More,
                };
            };
            let end = self.searched.saturating_add(at);
            let next = end.saturating_add(1);
            let text = input.get(self.line..end).unwrap_or(b"");
            if next > limits.bytes {
                return Progress::Refuse(self.too_large());
            }
            let Some(text) = text.strip_suffix(b"\r") else {
                return Progress::Refuse(Refusal::bad(
                    "bare-lf",
                    "A line of the request ends in LF without CR.",
                    "RFC 9112 §2.2",
                ));
            };
            self.line = next;
            self.searched = next;
            match self.take(text, limits) {
                Ok(false) => {}
                Ok(true) => {
                    return match self.finish() {
                        Ok(after) => Progress::Done(next, after),
                        Err(refusal) => Progress::Refuse(refusal),
                    };
                }
                Err(refusal) => return Progress::Refuse(refusal),
            }
        }
    }

    /// TLS hellos and other foreign protocols: no need to wait for more. Said before a line is looked
    /// at, so that the answer does not depend on how much of it has come.
    fn is_foreign(&self, input: &[u8]) -> bool {
        let first = input.get(self.line).filter(|_| !self.begun);
        first.is_some_and(|b| !matches!(b, b'\r' | b'\n') && !super::is_token(&[*b]))
    }

    /// What is already wrong with a line that has not ended.
    fn unfinished(&self, input: &[u8], limits: &HeadLimits) -> Option<Refusal> {
        let text = input.get(self.line..).unwrap_or(b"");
        if !self.begun && text.len() > limits.target_bytes.saturating_add(64) {
            return Some(line::too_long());
        }
        (input.len() > limits.bytes).then(|| self.too_large())
    }

    fn too_large(&self) -> Refusal {
        if self.begun {
            Refusal::new(431, "headers-too-large", "The request's headers are too large.", "RFC 6585 §5")
        } else {
            line::too_long()
        }
    }

    /// One line without its CRLF; `true` at the empty line that ends the head.
    fn take(&mut self, text: &[u8], limits: &HeadLimits) -> Result<bool, Refusal> {
        if !self.begun {
            if text.is_empty() && !self.blank_skipped {
                self.blank_skipped = true;
                return Ok(false);
            }
            let RequestLine { http10, head_method, authority } = line::read(text, limits.target_bytes)?;
            self.begun = true;
            self.http10 = http10;
            self.head_method = head_method;
            self.authority = authority.map(<[u8]>::to_vec);
            return Ok(false);
        }
        if text.is_empty() {
            return Ok(true);
        }
        self.fields = self.fields.saturating_add(1);
        if self.fields > limits.fields {
            return Err(Refusal::new(431, "too-many-headers", "The request has too many headers.", "RFC 6585 §5"));
        }
        let (name, value) = field::split(text)?;
        self.note(name, value)?;
        Ok(false)
    }

    fn note(&mut self, name: &[u8], value: &[u8]) -> Result<(), Refusal> {
        let is = |what: &[u8]| name.eq_ignore_ascii_case(what);
        match name.len() {
            4 if is(b"host") => {
                if self.has_host {
                    return Err(Refusal::bad("bad-host", "The request has more than one Host.", "RFC 9112 §3.2"));
                }
                self.has_host = true;
                self.host.clear();
                self.host.extend_from_slice(value);
            }
            6 if is(b"expect") && !value.eq_ignore_ascii_case(b"100-continue") => {
                return Err(Refusal::new(
                    417,
                    "expectation",
                    "The request expects something other than `100-continue`.",
                    "RFC 9110 §10.1.1",
                ));
            }
            7 if is(b"upgrade") => self.upgrade = true,
            10 if is(b"connection") => self.connection(value)?,
            14 if is(b"content-length") => self.content_length(value)?,
            17 if is(b"transfer-encoding") => self.transfer_encoding(value)?,
            _ if field::is_disguised(name) => {
                return Err(Refusal::bad(
                    "disguised-header",
                    "A header name has an underscore where the real one has a hyphen.",
                    "RFC 9110 §17.10",
                ));
            }
            _ => {}
        }
        Ok(())
    }

    fn connection(&mut self, value: &[u8]) -> Result<(), Refusal> {
        for option in value.split(|b| *b == b',').map(field::trim).filter(|o| !o.is_empty()) {
            let is = |what: &[u8]| option.eq_ignore_ascii_case(what);
            if !super::is_token(option) || is(b"host") || is(b"content-length") {
                return Err(Refusal::bad(
                    "bad-connection",
                    "The Connection header names something that cannot be hop-by-hop.",
                    "RFC 9110 §7.6.1",
                ));
            }
            self.connection_upgrade |= is(b"upgrade");
        }
        Ok(())
    }

    fn content_length(&mut self, value: &[u8]) -> Result<(), Refusal> {
        let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
        let length = std::str::from_utf8(value).ok().filter(|_| digits).and_then(|text| text.parse().ok());
        // The last two values of u64 mean other things inside hyper.
        match length.filter(|n: &u64| *n < u64::MAX >> 1) {
            Some(length) if self.length.is_none() => self.length = Some(length),
            Some(_) => {
                return Err(Refusal::bad("bad-length", "The request has Content-Length twice.", "RFC 9112 §6.3"));
            }
            None => return Err(Refusal::bad("bad-length", "Content-Length is not one number.", "RFC 9110 §8.6")),
        }
        Ok(())
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Refusal> {
        let last = value.rsplit(|b| *b == b',').next().map(field::trim).unwrap_or(b"");
        let coded = value.contains(&b',');
        if self.chunked || !last.eq_ignore_ascii_case(b"chunked") {
            return Err(Refusal::bad(
                "bad-transfer-encoding",
                "Transfer-Encoding is given twice, or `chunked` is not its last coding.",
                "RFC 9112 §6.3",
            ));
        }
        if coded {
            let twice = value.split(|b| *b == b',').filter(|c| field::trim(c).eq_ignore_ascii_case(b"chunked")).count();
            return Err(if twice > 1 {
                Refusal::bad("bad-transfer-encoding", "`chunked` is applied twice.", "RFC 9112 §6.1")
            } else {
                Refusal::new(
                    501,
                    "transfer-coding",
                    "This gateway carries no transfer coding but `chunked`.",
                    "RFC 9112 §6.1",
                )
            });
        }
        self.chunked = true;
        Ok(())
    }

    fn finish(&self) -> Result<After, Refusal> {
        let bad_host = |detail| Refusal::bad("bad-host", detail, "RFC 9112 §3.2");
        if !self.has_host {
            return Err(bad_host("The request has no Host."));
        }
        let named =
            host::Authority::read(&self.host).ok_or_else(|| bad_host("The Host is not a host name and port."))?;
        if let Some(authority) = &self.authority {
            let target = host::Authority::read(authority)
                .ok_or_else(|| bad_host("The request target's host is not a host name and port."))?;
            if !target.is_same(&named) {
                return Err(bad_host("The request target names another host than the Host header."));
            }
        }
        match (self.chunked, self.length) {
            (true, Some(_)) => Err(Refusal::bad(
                "two-lengths",
                "The request has both Content-Length and Transfer-Encoding.",
                "RFC 9112 §6.1",
            )),
            (true, None) if self.http10 => Err(Refusal::bad(
                "bad-transfer-encoding",
                "Transfer-Encoding does not exist in HTTP/1.0.",
                "RFC 9112 §6.1",
            )),
            (true, None) => Ok(After::Chunked),
            (false, Some(length)) if length > 0 => Ok(After::Length(length)),
            (false, _) if self.upgrade && self.connection_upgrade && !self.http10 => Ok(After::Upgrade),
            (false, _) => Ok(After::Nothing),
        }
    }
}
