//! Proof that the checker can fail: small proxies with a planted bug, in front of the same back ends.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use crate::answer::{Answer, Reader, until};
use crate::answers;
use crate::backend::Backend;
use crate::check::{Checker, Face, Kind, Logged, Mode};
use crate::requests::{all, skipped_without};

/// What a proxy does wrong. All of them pass heads on as they are, without looking at characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bug {
    /// Of two lengths the last one counts.
    LastLength,
    /// Chunks count and a length beside them is passed on.
    ChunksBesideLength,
    /// Only CRLF ends a line, and a bare LF is passed on.
    BareLf,
    /// Each request is sent twice.
    Twice,
    /// None but that bytes behind an answer stay for the next one, as with all of these.
    Leftovers,
}

/// A proxy with one connection to its back end.
struct Naive {
    bug: Bug,
    log: Arc<Mutex<Vec<Logged>>>,
    back: tokio::sync::Mutex<(Reader<OwnedReadHalf>, OwnedWriteHalf)>,
}

async fn naive(bug: Bug, back: SocketAddr) -> Face {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (read, write) = TcpStream::connect(back).await.unwrap().into_split();
    let log: Arc<Mutex<Vec<Logged>>> = Arc::default();
    let reader = Reader::new(read, Duration::from_millis(500));
    let naive = Arc::new(Naive { bug, log: Arc::clone(&log), back: tokio::sync::Mutex::new((reader, write)) });
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let naive = Arc::clone(&naive);
            tokio::spawn(async move { naive.serve(stream).await });
        }
    });
    Face { address, log: Box::new(move || std::mem::take(&mut *log.lock().unwrap())) }
}

impl Naive {
    /// Serves a connection to its end.
    async fn serve(&self, mut stream: TcpStream) {
        let mut input = Vec::new();
        loop {
            let Some(head) = until(&mut stream, &mut input, b"\r\n\r\n").await else { return };
            let text = String::from_utf8_lossy(&head).into_owned();
            let Some(body) = self.body(&mut stream, &mut input, &text).await else { return };
            let mut words = text.split(' ');
            let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
            let bytes = body.len() as u64;
            let line = Logged { method: method.to_owned(), path: path.to_owned(), bytes, passed: true, broken: false };
            // Its own connection stays.
            let head = text.replace("Connection: close\r\n", "").into_bytes();
            let answer = self.forward(&[head, body].concat(), method == "HEAD").await;
            self.log.lock().unwrap().push(line);
            let status = answer.as_ref().map_or(502, |a| a.status);
            let body = answer.map(|a| a.body).unwrap_or_default();
            let closes = text.contains("Connection: close");
            let close = if closes { "Connection: close\r\n" } else { "" };
            let back = format!("HTTP/1.1 {status} X\r\n{close}Content-Length: {}\r\n\r\n", body.len());
            let _ = stream.write_all(&[back.as_bytes(), &body].concat()).await;
            if closes {
                return;
            }
        }
    }

    async fn body(&self, stream: &mut TcpStream, input: &mut Vec<u8>, head: &str) -> Option<Vec<u8>> {
        let values = |name: &str| -> Vec<String> {
            let fields = head.split("\r\n").filter_map(|line| line.split_once(": "));
            fields.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.to_owned()).collect()
        };
        if values("transfer-encoding").iter().any(|v| v == "chunked") {
            return until(stream, input, b"0\r\n\r\n").await;
        }
        let lengths = values("content-length");
        let chosen = if self.bug == Bug::LastLength { lengths.last() } else { lengths.first() };
        let length = chosen.and_then(|v| v.parse().ok()).unwrap_or(0);
        while input.len() < length {
            if stream.read_buf(input).await.ok()? == 0 {
                return None;
            }
        }
        Some(input.drain(..length).collect())
    }

    async fn forward(&self, bytes: &[u8], is_head: bool) -> Option<Answer> {
        let mut back = self.back.lock().await;
        if self.bug == Bug::Twice {
            back.1.write_all(bytes).await.ok()?;
            back.0.answer(is_head).await.ok()?;
        }
        back.1.write_all(bytes).await.ok()?;
        back.0.answer(is_head).await.ok()
    }
}

/// What the checker finds in a case, but for the answer that was expected: the comparison of both
/// sides alone must notice.
async fn found(bug: Bug, back: &Backend, case: &str) -> Vec<Kind> {
    let case = all().into_iter().find(|c| c.name == case).unwrap_or_else(|| panic!("no case {case}"));
    let mut checker = Checker::new(naive(bug, back.address).await, back).impatient();
    let found = checker.run(&case, Mode::Whole).await;
    println!("{bug:?}: {found:#?}");
    let mut kinds: Vec<Kind> = found.iter().map(|f| f.kind).filter(|kind| *kind != Kind::Outcome).collect();
    kinds.sort();
    kinds.dedup();
    kinds
}

#[tokio::test]
async fn the_checker_finds_planted_bugs() {
    let Some(back) = Backend::python() else { return skipped_without(&["python"]) };
    assert!(found(Bug::LastLength, &back, "plain").await.is_empty());
    assert!(!found(Bug::Twice, &back, "plain").await.is_empty());
    assert!(!found(Bug::LastLength, &back, "two lengths, the last of them zero").await.is_empty());
    assert!(found(Bug::ChunksBesideLength, &back, "TE.CL").await.contains(&Kind::Count));
    assert!(!found(Bug::ChunksBesideLength, &back, "CL.TE").await.is_empty());
    assert!(found(Bug::BareLf, &back, "a bare LF smuggles a length").await.contains(&Kind::Marker));
}

#[tokio::test]
async fn the_checker_of_answers_finds_planted_bugs() {
    let back = answers::Hostile::start().await;
    for (case, is_found) in [("plain", false), ("bytes behind the content", true), ("HEAD with content", true)] {
        let face = naive(Bug::Leftovers, back.address).await;
        let found = answers::run(case, &back, face.address).await;
        println!("{case}: {found:#?}");
        assert_eq!(found.iter().any(|f| f.contains("/marker/")), is_found, "{case}");
    }
}
