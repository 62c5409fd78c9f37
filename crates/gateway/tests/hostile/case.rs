//! The form of the files in `requests` and `answers`: three or more lines a case, an empty line between.
//!
//! ```text
//! # NAME
//! RFC NNNN §S: what it demands, in our words.
//! EXPECT FRAME BYTES
//! BACKEND answers STATUS: why that back end does not answer 200 (as many such lines as needed)
//! ```
//!
//! What stands before the first `#` is prose. In BYTES `¶` is CR LF, `\r \n \t \0 \s \xNN` are one
//! byte each (`\s` a space), `{host}` and `{close}` are `Host: app.localhost¶` and
//! `Connection: close¶`, and `{text*N}` is N times that text. The FRAME says what is put around
//! the bytes; `raw` is nothing.

use std::collections::BTreeMap;

const HOST: &str = "Host: app.localhost¶";
const CLOSE: &str = "Connection: close¶";

/// What becomes of one request of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Passed on and answered by the back end with this status: `200`.
    Passed(u16),
    /// Answered by the gateway itself, the connection stays: `=404`.
    Own(u16),
    /// Refused before anything of it was passed on, the connection is closed: `!400`.
    Refused(u16),
    /// Refused within its body, when its head may have been passed on; closed: `~400`. A client that
    /// has left by then may get no answer.
    Cut(u16),
}

/// One case of `requests`.
#[derive(Debug, Clone)]
pub struct Case {
    pub group: &'static str,
    pub name: String,
    /// The RFC with its section, and what it demands.
    pub rule: String,
    pub expect: Vec<Expect>,
    /// The client closes its sending side behind the bytes.
    pub fin: bool,
    pub bytes: Vec<u8>,
    /// Statuses of back ends that have their own opinion.
    pub differs: BTreeMap<String, u16>,
}

impl Case {
    /// What becomes of it, in words.
    pub fn outcome(&self) -> String {
        let one = |expect: &Expect| match expect {
            Expect::Passed(status) => format!("passed on, {status}"),
            Expect::Own(status) => format!("answered by the gateway, {status}"),
            Expect::Refused(status) => format!("refused, {status}, closed"),
            Expect::Cut(status) => format!("refused within its body, {status}, closed"),
        };
        if self.expect.is_empty() {
            return "closed without an answer".to_owned();
        }
        self.expect.iter().map(one).collect::<Vec<_>>().join("; ")
    }

    /// What is expected in front of this back end.
    pub fn expect_of(&self, backend: &str) -> Vec<Expect> {
        let own = self.differs.get(backend).copied();
        let one = |expect: &Expect| match expect {
            Expect::Passed(status) => Expect::Passed(own.unwrap_or(*status)),
            other => *other,
        };
        self.expect.iter().map(one).collect()
    }
}

/// The parts of a case as they stand in the file.
pub struct Block<'a> {
    pub name: &'a str,
    pub rule: &'a str,
    pub expect: &'a str,
    pub frame: &'a str,
    pub text: &'a str,
    pub more: Vec<&'a str>,
}

/// Takes a file apart.
pub fn blocks(text: &str) -> impl Iterator<Item = Block<'_>> {
    text.split("\n# ").skip(1).map(|block| {
        let mut lines = block.lines().take_while(|line| !line.is_empty());
        let mut line = || lines.next().unwrap_or_else(|| panic!("a case has three lines: {block}"));
        let (name, rule, body) = (line(), line(), line());
        assert!(rule.starts_with("RFC ") && rule.contains(": ") && rule.ends_with('.'), "{name}: {rule}");
        let mut parts = body.splitn(3, ' ');
        let (expect, frame) = (parts.next().expect("an expectation"), parts.next().expect("a frame"));
        Block { name, rule, expect, frame, text: parts.next().unwrap_or(""), more: lines.collect() }
    })
}

/// All cases of a file of requests.
pub fn requests(group: &'static str, text: &str) -> Vec<Case> {
    let read = |block: Block<'_>| {
        let mut fin = false;
        let mut expect = Vec::new();
        for token in block.expect.split(',') {
            match token {
                "fin" => fin = true,
                "-" => {}
                _ => expect.push(expectation(token)),
            }
        }
        let bytes = unescape(&framed(block.frame, block.text));
        let differs = block.more.iter().map(|line| {
            let (backend, rest) = line.split_once(" answers ").expect(line);
            let (status, _why) = rest.split_once(": ").expect(line);
            (backend.to_owned(), status.parse().expect(line))
        });
        Case {
            group,
            name: block.name.to_owned(),
            rule: block.rule.to_owned(),
            expect,
            fin,
            bytes,
            differs: differs.collect(),
        }
    };
    blocks(text).map(read).collect()
}

fn expectation(token: &str) -> Expect {
    let status = |text: &str| text.parse().unwrap_or_else(|_| panic!("{token} is no expectation"));
    match token.as_bytes()[0] {
        b'=' => Expect::Own(status(&token[1..])),
        b'!' => Expect::Refused(status(&token[1..])),
        b'~' => Expect::Cut(status(&token[1..])),
        _ => Expect::Passed(status(token)),
    }
}

fn framed(frame: &str, text: &str) -> String {
    match frame {
        "raw" => text.to_owned(),
        "line" => format!("{text}¶{HOST}{CLOSE}¶"),
        "host" => format!("GET / HTTP/1.1¶{text}{CLOSE}¶"),
        "field" => format!("GET / HTTP/1.1¶{HOST}{text}{CLOSE}¶"),
        "length" => format!("POST / HTTP/1.1¶{HOST}{text}{CLOSE}¶hello"),
        "coding" => format!("POST / HTTP/1.1¶{HOST}{text}{CLOSE}¶5¶hello¶0¶¶"),
        "chunks" => format!("POST / HTTP/1.1¶{HOST}Transfer-Encoding: chunked¶{CLOSE}¶{text}"),
        other => panic!("{other} is no frame"),
    }
}

/// The bytes that a text stands for.
pub fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '¶' => out.extend_from_slice(b"\r\n"),
            '\\' => rest = escape(rest, &mut out),
            '{' => {
                let (inner, after) = rest.split_once('}').expect(text);
                rest = after;
                match inner.rsplit_once('*') {
                    Some((repeated, count)) => out.extend(unescape(repeated).repeat(count.parse().expect(text))),
                    None if inner == "host" => out.extend(unescape(HOST)),
                    None if inner == "close" => out.extend(unescape(CLOSE)),
                    None => panic!("{{{inner}}} stands for nothing"),
                }
            }
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out
}

fn escape<'a>(rest: &'a str, out: &mut Vec<u8>) -> &'a str {
    let (byte, length) = match rest.as_bytes()[0] {
        b'r' => (b'\r', 1),
        b'n' => (b'\n', 1),
        b't' => (b'\t', 1),
        b's' => (b' ', 1),
        b'0' => (0, 1),
        b'x' => (u8::from_str_radix(&rest[1..3], 16).expect("two hexadecimal digits"), 3),
        other => panic!("\\{} is no escape", other as char),
    };
    out.push(byte);
    &rest[length..]
}

/// Bytes as a reader wants to see them.
pub fn show(bytes: &[u8]) -> String {
    let text = bytes.escape_ascii().to_string();
    if text.len() <= 600 { text } else { format!("{}… ({} bytes)", &text[..600], bytes.len()) }
}

#[test]
fn the_form_of_the_files() {
    assert_eq!(unescape("a¶\\0\\s\\x7f{b*3}{host}ä"), b"a\r\n\0 \x7fbbbHost: app.localhost\r\n\xc3\xa4");
    let text = "prose\n\n# n\nRFC 1 §2: must.\n200,!400,fin raw x\\s\nnode answers 400: it may.\n";
    let case = &requests("g", text)[0];
    assert_eq!((case.name.as_str(), case.fin, case.bytes.as_slice()), ("n", true, &b"x "[..]));
    assert_eq!(case.expect, [Expect::Passed(200), Expect::Refused(400)]);
    assert_eq!(case.expect_of("node"), [Expect::Passed(400), Expect::Refused(400)]);
}
