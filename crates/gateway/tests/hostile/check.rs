//! The checker: sends a case to a face, and compares what the client got, what the face says it
//! passed on, and what the back end saw.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::answer::{Answer, Bad, Reader};
use crate::backend::{Backend, Seen};
use crate::case::{Case, Expect, show};

/// Longest wait for anything that must come; only reached when something is wrong.
const PATIENCE: Duration = Duration::from_secs(10);

/// How the bytes of a case are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Whole,
    /// So many bytes at once, with the head of a body that breaks seen behind before the rest is sent.
    Pieces(usize),
}

impl Mode {
    pub fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Pieces(1) => "bytes",
            Self::Pieces(_) => "pieces",
        }
    }
}

/// A line of an access log.
#[derive(Debug, Clone)]
pub struct Logged {
    pub method: String,
    pub path: String,
    pub bytes: u64,
    /// It went to a back end.
    pub passed: bool,
    /// Its body did not come to its end.
    pub broken: bool,
}

/// What stands in front of a back end: the gateway, or a proxy with a planted bug.
pub struct Face {
    pub address: SocketAddr,
    /// The lines of its access log since the last call.
    pub log: Box<dyn FnMut() -> Vec<Logged>>,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The client got another answer than the case says, or the connection did not end as it should.
    Outcome,
    /// Another number of requests was seen behind than was logged in front.
    Count,
    /// What was seen behind is not what was logged in front.
    Content,
    /// A later request got an answer that is not its own.
    Marker,
}

#[derive(Debug, Clone)]
pub struct Finding {
    pub kind: Kind,
    pub text: String,
}

/// Checks cases in front of one back end, one after the other.
pub struct Checker<'a> {
    face: Face,
    back: &'a Backend,
    /// Requests seen behind that belong to earlier cases.
    known: usize,
    /// Lines of the log that belong to the present case.
    lines: Vec<Logged>,
    marks: u64,
    mode: Mode,
    patience: Duration,
    findings: Vec<Finding>,
}

impl<'a> Checker<'a> {
    pub fn new(face: Face, back: &'a Backend) -> Self {
        let known = back.seen().len();
        Self {
            face,
            back,
            known,
            lines: Vec::new(),
            marks: 0,
            mode: Mode::Whole,
            patience: PATIENCE,
            findings: Vec::new(),
        }
    }

    /// A checker that expects to find something waits less for what will not come.
    pub fn impatient(self) -> Self {
        Self { patience: Duration::from_secs(2), ..self }
    }

    fn find(&mut self, kind: Kind, text: impl Into<String>) {
        self.findings.push(Finding { kind, text: text.into() });
    }

    /// Runs a case and says what is wrong.
    pub async fn run(&mut self, case: &Case, mode: Mode) -> Vec<Finding> {
        self.mode = mode;
        let before = self.marks;
        let expect = case.expect_of(self.back.name);
        let (read, write) = TcpStream::connect(self.face.address).await.unwrap().into_split();
        let mut reader = Reader::new(read, self.patience);
        let awaits_head = matches!(expect.last(), Some(Expect::Cut(_))) && self.back.tells_heads();
        let sending = send(write, case, mode, self.back, awaits_head.then_some(self.known + expect.len()));
        let receiving = receive(&mut reader, case, &expect);
        let (write, (answers, outcome)) = tokio::join!(sending, receiving);
        self.findings.extend(outcome.map(|text| Finding { kind: Kind::Outcome, text }));
        let stays = answers.last().is_some_and(|a| !a.closes) && !case.fin && self.findings.is_empty();
        if stays {
            self.mark_here(&mut reader, write).await;
        }
        for _ in 0..2 {
            self.mark_elsewhere().await;
        }
        let marks = usize::try_from(self.marks - before).unwrap();
        self.compare(case, expect.len() + marks, &answers).await;
        std::mem::take(&mut self.findings)
    }

    /// A request on the same connection must get its own answer.
    async fn mark_here(&mut self, reader: &mut Reader<OwnedReadHalf>, mut write: OwnedWriteHalf) {
        let path = self.next_mark();
        let _ = write.write_all(request(&path, "").as_bytes()).await;
        let got = reader.answer(false).await;
        self.is_own(&path, got, "on the same connection");
    }

    /// A request on another connection must get its own answer, and the connection ends behind it.
    async fn mark_elsewhere(&mut self) {
        let path = self.next_mark();
        let (read, mut write) = TcpStream::connect(self.face.address).await.unwrap().into_split();
        let _ = write.write_all(request(&path, "Connection: close\r\n").as_bytes()).await;
        let mut reader = Reader::new(read, self.patience);
        let got = reader.answer(false).await;
        self.is_own(&path, got, "on another connection");
        if let Err(bad) = reader.end().await {
            self.find(Kind::Marker, format!("behind the answer on another connection: {bad:?}"));
        }
    }

    fn next_mark(&mut self) -> String {
        self.marks += 1;
        format!("/marker/{}", self.marks)
    }

    fn is_own(&mut self, path: &str, got: Result<Answer, Bad>, place: &str) {
        match got {
            Ok(answer) if answer.status == 200 && answer.text() == format!("GET {path} 0") => {}
            Ok(answer) => self.find(Kind::Marker, format!("{path} {place}: {} {:?}", answer.status, answer.text())),
            Err(bad) => self.find(Kind::Marker, format!("{path} {place}: {bad:?}")),
        }
    }

    /// Waits until log and back end agree, or says how they do not.
    async fn compare(&mut self, case: &Case, lines: usize, answers: &[Answer]) {
        let deadline = Instant::now() + self.patience;
        let is_alike = !case.differs.contains_key(self.back.name);
        let seen = loop {
            self.lines.extend((self.face.log)());
            let seen = self.back.seen().split_off(self.known);
            let verdict = verdict(&self.lines, lines, &seen, self.is_exact(), is_alike);
            match verdict {
                None => break seen,
                Some(finding) if Instant::now() > deadline => {
                    self.findings.push(finding);
                    break seen;
                }
                Some(_) => tokio::time::sleep(Duration::from_millis(2)).await,
            }
        };
        self.known += seen.len();
        let lines = std::mem::take(&mut self.lines);
        let passed = lines.iter().filter(|l| l.passed && !l.broken && !is_mark(&l.path));
        for (line, answer) in passed.zip(answers).filter(|_| is_alike) {
            let text = answer.text();
            let mut parts = text.split(' ');
            let (method, target, bytes) = (parts.next(), parts.next().unwrap_or(""), parts.next());
            let same = Some(&*line.method) == method
                && is_path(target.split('?').next().unwrap_or(""), &line.path)
                && bytes == Some(&*line.bytes.to_string());
            if line.method != "HEAD" && !same {
                self.find(Kind::Content, format!("{line:?} was answered with {text:?}"));
            }
        }
    }

    /// Whether a request whose body broke was certainly seen behind.
    fn is_exact(&self) -> bool {
        self.mode != Mode::Whole && self.back.tells_heads()
    }

    /// At the end of all cases nothing may have come late.
    pub async fn finish(mut self) -> Vec<Finding> {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let late = self.back.seen().split_off(self.known);
        if !late.is_empty() {
            self.find(Kind::Count, format!("seen behind and never logged: {late:?}"));
        }
        self.findings
    }
}

fn request(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: app.localhost\r\n{fields}\r\n")
}

fn is_mark(path: &str) -> bool {
    path.starts_with("/marker/")
}

/// A log may cut long paths.
fn is_path(path: &str, logged: &str) -> bool {
    path == logged || (logged.len() >= 2048 && path.starts_with(logged))
}

/// What does not fit yet.
fn verdict(lines: &[Logged], expected: usize, seen: &[Seen], is_exact: bool, is_alike: bool) -> Option<Finding> {
    let finding = |kind, text| Some(Finding { kind, text });
    if lines.len() != expected {
        return finding(Kind::Count, format!("{} lines in the log, not {expected}: {lines:?}", lines.len()));
    }
    let (whole, broken): (Vec<_>, Vec<_>) = lines.iter().filter(|l| l.passed).partition(|l| !l.broken);
    let least = whole.len() + if is_exact { broken.len() } else { 0 };
    if seen.len() < least || seen.len() > whole.len() + broken.len() {
        let text = format!("{} seen behind, {} and {} broken logged in front", seen.len(), whole.len(), broken.len());
        return finding(Kind::Count, format!("{text}: {seen:?}, {lines:?}"));
    }
    if !is_alike {
        return None;
    }
    let mut rest = seen.to_vec();
    for line in whole {
        let fits = |s: &Seen| s.method == line.method && is_path(&s.path, &line.path) && s.bytes == Some(line.bytes);
        match rest.iter().position(fits) {
            Some(at) => drop(rest.remove(at)),
            None => return finding(Kind::Content, format!("{line:?} was not seen behind: {seen:?}")),
        }
    }
    let begun = |s: &Seen| broken.iter().any(|line| s.method == line.method && is_path(&s.path, &line.path));
    match rest.iter().find(|s| s.bytes.is_some() || !begun(s)) {
        Some(other) => finding(Kind::Content, format!("{other:?} was not logged in front: {lines:?}")),
        None => None,
    }
}

/// Sends the bytes. `head`: how many requests must have been seen behind before the body goes on.
async fn send(
    mut write: OwnedWriteHalf,
    case: &Case,
    mode: Mode,
    back: &Backend,
    head: Option<usize>,
) -> OwnedWriteHalf {
    match mode {
        Mode::Whole => {
            let _ = write.write_all(&case.bytes).await;
        }
        Mode::Pieces(size) => {
            let end = case.bytes.windows(4).rposition(|w| w == b"\r\n\r\n").map_or(0, |at| at + 4);
            let first = case.bytes.windows(4).position(|w| w == b"\r\n\r\n").map_or(end, |at| at + 4);
            let (start, rest) = case.bytes.split_at(first);
            pieces(&mut write, start, size).await;
            if let Some(count) = head {
                for _ in 0..1000 {
                    if back.seen().len() >= count {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            }
            pieces(&mut write, rest, size).await;
        }
    }
    if case.fin {
        let _ = write.shutdown().await;
    }
    write
}

async fn pieces(write: &mut OwnedWriteHalf, bytes: &[u8], size: usize) {
    for piece in bytes.chunks(size) {
        if write.write_all(piece).await.is_err() {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// Reads what the case says will come, and says what is wrong with it.
async fn receive(reader: &mut Reader<OwnedReadHalf>, case: &Case, expect: &[Expect]) -> (Vec<Answer>, Option<String>) {
    let mut answers = Vec::new();
    let heads: Vec<bool> = case
        .bytes
        .split(|b| *b == b'\n')
        .filter(|line| line.windows(7).any(|w| w == b"HTTP/1."))
        .map(|line| line.starts_with(b"HEAD "))
        .collect();
    for (at, one) in expect.iter().enumerate() {
        let status = match one {
            Expect::Passed(status) | Expect::Own(status) => *status,
            Expect::Refused(status) | Expect::Cut(status) => *status,
        };
        let is_head = heads.get(at).copied().unwrap_or(false);
        let is_page = matches!(one, Expect::Own(_) | Expect::Refused(_)) && !is_head;
        match reader.answer(is_head).await {
            Ok(answer) if is_page && !answer.text().contains("\"fault\":\"client\"") => {
                return (answers, Some(format!("answer {at} does not say whose fault it is: {}", answer.text())));
            }
            Ok(answer) if answer.status == status && answer.is_whole => answers.push(answer),
            Err(Bad::End) if matches!(one, Expect::Cut(_)) && case.fin => return (answers, None),
            Ok(other) => {
                let text = format!("answer {at}: {} {:?}, not {one:?}", other.status, other.text());
                return (answers, Some(text));
            }
            Err(bad) => return (answers, Some(format!("answer {at}: {bad:?}, not {one:?}"))),
        }
    }
    let ends = case.fin || answers.last().is_none_or(|a| a.closes);
    let must_close = matches!(expect.last(), Some(Expect::Refused(_) | Expect::Cut(_)));
    if must_close && !ends {
        return (answers, Some("the refusal does not say `Connection: close`".to_owned()));
    }
    let bad = if ends { reader.end().await.err() } else { None };
    let bad = bad.map(|bad| format!("the connection does not end: {bad:?} after {}", show(&case.bytes)));
    (answers, bad)
}
