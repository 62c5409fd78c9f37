//! A client's reader of answers without any leniency: what it cannot frame is a finding.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::TcpStream;

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub fields: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
    /// The body came to the end that was announced.
    pub is_whole: bool,
    /// The connection is of no more use.
    pub closes: bool,
}

impl Answer {
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_slice())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// What came instead of a whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bad {
    /// The connection ended before the first byte.
    End,
    /// Nothing came for too long.
    Silence,
    /// What came is no answer.
    Garbage(String),
}

/// A connection's receiving side with what was read ahead.
pub struct Reader<R> {
    io: R,
    ahead: Vec<u8>,
    is_ended: bool,
    patience: Duration,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    pub fn new(io: R, patience: Duration) -> Self {
        Self { io, ahead: Vec::new(), is_ended: false, patience }
    }

    /// Reads more; `false` at the end.
    async fn more(&mut self) -> Result<bool, Bad> {
        if self.is_ended {
            return Ok(false);
        }
        let read = self.io.read_buf(&mut self.ahead);
        match tokio::time::timeout(self.patience, read).await {
            Err(_) => Err(Bad::Silence),
            // A reset ends a connection too.
            Ok(Ok(0) | Err(_)) => {
                self.is_ended = true;
                Ok(false)
            }
            Ok(Ok(_)) => Ok(true),
        }
    }

    /// The next final answer; interim ones are passed over.
    pub async fn answer(&mut self, is_head: bool) -> Result<Answer, Bad> {
        loop {
            let answer = self.one(is_head).await?;
            if !(100..200).contains(&answer.status) || answer.status == 101 {
                return Ok(answer);
            }
        }
    }

    async fn one(&mut self, is_head: bool) -> Result<Answer, Bad> {
        let end = loop {
            match self.ahead.windows(4).position(|w| w == b"\r\n\r\n") {
                Some(at) => break at,
                None if self.more().await? => {}
                None if self.ahead.is_empty() => return Err(Bad::End),
                None => return Err(self.garbage("a head without end")),
            }
        };
        let head: Vec<u8> = self.ahead.drain(..end + 4).collect();
        let mut answer = head_of(&head[..end]).map_err(|why| Bad::Garbage(format!("{why}: {}", super::show(&head))))?;
        if is_head || answer.status < 200 || answer.status == 204 || answer.status == 304 {
            return Ok(answer);
        }
        let length = answer.field("content-length").map(<[u8]>::to_vec);
        match (answer.field("transfer-encoding").is_some(), length) {
            (true, _) => self.chunks(&mut answer).await?,
            (false, Some(length)) => {
                let length = std::str::from_utf8(&length).ok().and_then(|text| text.parse().ok());
                let length = length.ok_or_else(|| self.garbage("a length that is no number"))?;
                answer.is_whole = self.bytes(length, &mut answer.body).await?;
            }
            (false, None) => {
                while self.more().await? {}
                answer.body = std::mem::take(&mut self.ahead);
                answer.closes = true;
            }
        }
        answer.closes |= !answer.is_whole;
        Ok(answer)
    }

    /// Whether so many bytes came.
    async fn bytes(&mut self, count: usize, to: &mut Vec<u8>) -> Result<bool, Bad> {
        while self.ahead.len() < count && self.more().await? {}
        let there = count.min(self.ahead.len());
        to.extend(self.ahead.drain(..there));
        Ok(there == count)
    }

    async fn chunks(&mut self, answer: &mut Answer) -> Result<(), Bad> {
        loop {
            let Some(line) = self.line().await? else {
                answer.is_whole = false;
                return Ok(());
            };
            let digits = line.split(|b| *b == b';').next().unwrap_or(b"");
            let size = std::str::from_utf8(digits).ok().and_then(|text| usize::from_str_radix(text, 16).ok());
            let size = size.ok_or_else(|| self.garbage("a chunk without size"))?;
            if size == 0 {
                while let Some(line) = self.line().await? {
                    if line.is_empty() {
                        return Ok(());
                    }
                }
                answer.is_whole = false;
                return Ok(());
            }
            answer.is_whole = self.bytes(size, &mut answer.body).await?;
            let mut end = Vec::new();
            let ended = self.bytes(2, &mut end).await?;
            answer.is_whole &= ended;
            if !answer.is_whole {
                return Ok(());
            }
            if end != b"\r\n" {
                return Err(self.garbage("a chunk longer than its size"));
            }
        }
    }

    /// A line of a chunked body without its CRLF; `None` where the connection ended.
    async fn line(&mut self) -> Result<Option<Vec<u8>>, Bad> {
        loop {
            if let Some(at) = self.ahead.windows(2).position(|w| w == b"\r\n") {
                let mut line: Vec<u8> = self.ahead.drain(..at + 2).collect();
                line.truncate(at);
                return Ok(Some(line));
            }
            if !self.more().await? {
                return Ok(None);
            }
        }
    }

    /// Waits for the end of the connection, before which nothing may come.
    pub async fn end(&mut self) -> Result<(), Bad> {
        while self.ahead.is_empty() && self.more().await? {}
        if self.ahead.is_empty() { Ok(()) } else { Err(self.garbage("bytes that belong to no answer")) }
    }

    fn garbage(&self, why: &str) -> Bad {
        Bad::Garbage(format!("{why}: {}", super::show(&self.ahead)))
    }
}

/// Takes what comes up to and with `end` from the front of the input; `None` where the connection ends.
pub async fn until(stream: &mut TcpStream, input: &mut Vec<u8>, end: &[u8]) -> Option<Vec<u8>> {
    loop {
        if let Some(at) = input.windows(end.len()).position(|w| w == end) {
            return Some(input.drain(..at + end.len()).collect());
        }
        if stream.read_buf(input).await.ok()? == 0 {
            return None;
        }
    }
}

fn head_of(head: &[u8]) -> Result<Answer, String> {
    let mut lines = head.split(|b| *b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    if head.split(|b| *b == b'\n').rev().skip(1).any(|line| !line.ends_with(b"\r")) {
        return Err("a bare LF".to_owned());
    }
    let first = lines.next().unwrap_or(b"");
    let text = std::str::from_utf8(first).map_err(|e| e.to_string())?;
    let status = text.strip_prefix("HTTP/1.1 ").or_else(|| text.strip_prefix("HTTP/1.0 "));
    let status = status.and_then(|rest| rest.get(..3)).and_then(|digits| digits.parse().ok());
    let status = status.ok_or("no status line")?;
    let mut fields = Vec::new();
    for line in lines {
        let colon = line.iter().position(|b| *b == b':').ok_or("a field without colon")?;
        let name = std::str::from_utf8(&line[..colon]).map_err(|e| e.to_string())?;
        let value = line[colon + 1..].trim_ascii();
        if name.is_empty() || name.contains(|c: char| !c.is_ascii_graphic()) {
            return Err(format!("the name {name:?}"));
        }
        if value.iter().any(|b| (*b < 0x20 && *b != b'\t') || *b == 0x7f) {
            return Err(format!("a control character in {name}"));
        }
        fields.push((name.to_owned(), value.to_vec()));
    }
    let count = |name: &str| fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).count();
    let (lengths, codings) = (count("content-length"), count("transfer-encoding"));
    if lengths + codings > 1 {
        return Err(format!("{lengths} lengths and {codings} codings"));
    }
    if lengths + codings > 0 && (status < 200 || status == 204) {
        return Err(format!("a length in an answer {status}"));
    }
    let says_close = |(n, v): &(String, Vec<u8>)| {
        n.eq_ignore_ascii_case("connection") && v.to_ascii_lowercase().windows(5).any(|w| w == b"close")
    };
    let is_old = text.starts_with("HTTP/1.0 ")
        && !fields.iter().any(|(n, v)| n.eq_ignore_ascii_case("connection") && v.eq_ignore_ascii_case(b"keep-alive"));
    let closes = fields.iter().any(says_close) || is_old;
    Ok(Answer { status, fields, body: Vec::new(), is_whole: true, closes })
}

#[tokio::test]
async fn what_is_wrong_is_found() {
    let read =
        |text: &'static str| async move { Reader::new(text.as_bytes(), Duration::from_secs(1)).answer(false).await };
    let good =
        read("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n");
    assert_eq!(good.await.map(|a| a.body), Ok(b"ok".to_vec()));
    let half = read("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe").await.unwrap();
    assert!(!half.is_whole && half.closes);
    for bad in [
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 204 No\r\nContent-Length: 1\r\n\r\n",
        "HTTP/1.1 200 OK\nA: b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxx\r\n",
        "200 OK\r\n\r\n",
    ] {
        assert!(matches!(read(bad).await, Err(Bad::Garbage(_))), "{bad}");
    }
}
