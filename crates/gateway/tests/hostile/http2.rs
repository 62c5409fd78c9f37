//! Floods over HTTP/2, as raw frames (RFC 9113 §4, §6; RFC 7541): each is ended or bounded, a gateway
//! in a process of its own keeps its memory, and a client on another connection is answered all along.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::answer::Reader;
use crate::evidence;
use crate::process::{Gateway, Waits};
use crate::support::{self, Upstream};

/// How much a gateway may grow under any flood, bytes.
const GROWTH_MAX: u64 = 64 << 20;
/// Requests of one connection that may reach an instance before the flood is ended.
const PASSED_MAX: u64 = 1000;
/// Longest flood; one that is not ended by then must have been harmless.
const FLOOD: Duration = Duration::from_secs(20);

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const WHOLE: u8 = END_STREAM | END_HEADERS;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut out = vec![length[1], length[2], length[3], kind, flags];
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
    out
}

/// A header block: `GET` or `POST` (static table 2 and 3), `http`, this path, `app.localhost`.
fn head(is_post: bool, path: &str) -> Vec<u8> {
    let mut out = vec![if is_post { 0x83 } else { 0x82 }, 0x86];
    for (index, text) in [(0x04, path), (0x01, "app.localhost")] {
        out.push(index);
        out.push(u8::try_from(text.len()).unwrap());
        out.extend_from_slice(text.as_bytes());
    }
    out
}

fn get(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, WHOLE, stream, &head(false, path))
}

fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &8u32.to_be_bytes())
}

/// An open stream with this path and no end.
fn open(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &head(true, path))
}

struct Flood {
    name: &'static str,
    /// Where the demand to bound it comes from.
    rule: &'static str,
    /// What is sent first.
    first: Vec<u8>,
    /// The n-th step of it.
    step: fn(u32) -> Vec<u8>,
    steps: u32,
    /// Steps that are sent at once.
    batch: u32,
    /// Between two batches.
    pause: Duration,
    /// Whether the client reads what comes back.
    reads: bool,
    /// Whether the gateway has to end the connection.
    must_end: bool,
}

impl Flood {
    fn new(name: &'static str, rule: &'static str, steps: u32, step: fn(u32) -> Vec<u8>) -> Self {
        let (first, pause) = (Vec::new(), Duration::ZERO);
        Self { name, rule, first, step, steps, batch: 50, pause, reads: true, must_end: true }
    }

    fn first(self, bytes: Vec<u8>) -> Self {
        Self { first: bytes, ..self }
    }

    fn slowly(self, batch: u32, pause: Duration) -> Self {
        Self { batch, pause, ..self }
    }

    fn without_reading(self) -> Self {
        Self { reads: false, ..self }
    }

    /// It costs no more than it brings: the gateway may bear it.
    fn may_go_on(self) -> Self {
        Self { must_end: false, ..self }
    }
}

/// An odd stream number for each step.
const fn id(n: u32) -> u32 {
    n * 2 + 1
}

fn floods() -> Vec<Flood> {
    [floods_of_streams(), floods_of_frames()].into_iter().flatten().collect()
}

/// Streams that are opened, and what can be sent on one.
fn floods_of_streams() -> Vec<Flood> {
    vec![
        Flood::new("rapid reset", "CVE-2023-44487", 50_000, |n| [get(id(n), "/hang"), reset(id(n))].concat()),
        Flood::new("rapid reset, a moment later", "RFC 9113 §10.5", 20_000, |n| {
            let last = if n >= 20 { reset(id(n - 20)) } else { Vec::new() };
            [get(id(n), "/hang"), last].concat()
        })
        .slowly(20, Duration::from_millis(4)),
        Flood::new("resets provoked by a window of nothing", "CVE-2025-8671", 20_000, |n| {
            [open(id(n), "/hang"), frame(WINDOW_UPDATE, 0, id(n), &0u32.to_be_bytes())].concat()
        })
        .slowly(10, Duration::from_millis(2)),
        Flood::new("resets provoked by a window of too much", "CVE-2025-8671", 20_000, |n| {
            [open(id(n), "/hang"), frame(WINDOW_UPDATE, 0, id(n), &0x7fff_ffffu32.to_be_bytes())].concat()
        })
        .slowly(10, Duration::from_millis(2)),
        Flood::new("more streams than are allowed", "RFC 9113 §5.1.2", 20_000, |n| get(id(n), "/hang")),
        Flood::new("empty continuations", "CVE-2024-27316", 50_000, |_| frame(CONTINUATION, 0, 1, b"")).first(frame(
            HEADERS,
            END_STREAM,
            1,
            &head(false, "/"),
        )),
        Flood::new("continuations of one byte", "CVE-2024-27316", 50_000, |_| frame(CONTINUATION, 0, 1, b"\x00"))
            .first(frame(HEADERS, END_STREAM, 1, &head(false, "/"))),
        Flood::new("continuations of 16 KiB", "CVE-2024-27316", 5_000, |_| {
            frame(CONTINUATION, 0, 1, &[&[0x00, 1, b'x', 0x7f, 0x80, 0x7f][..], &[b'a'; 16_256]].concat())
        })
        .first(frame(HEADERS, END_STREAM, 1, &head(false, "/"))),
        Flood::new("empty data", "CVE-2019-9518", 200_000, |_| frame(DATA, 0, 1, b"")).first(open(1, "/body")),
        Flood::new("data of one byte", "CVE-2019-9511", 60_000, |_| frame(DATA, 0, 1, b"x"))
            .first(open(1, "/body"))
            .may_go_on(),
        Flood::new("padding only", "RFC 9113 §10.7", 60_000, |_| frame(DATA, 8, 1, &[&[200][..], &[0; 200]].concat()))
            .first(open(1, "/body"))
            .may_go_on(),
    ]
}

/// Frames of the connection, and what costs memory.
fn floods_of_frames() -> Vec<Flood> {
    let large = [&[0x40, 1, b'x', 0x7f, 0xa1, 0x1e][..], &[b'a'; 4000]].concat();
    let bomb_first = frame(HEADERS, WHOLE, 1, &[head(false, "/id"), large].concat());
    let all_closed = [&0x4u16.to_be_bytes()[..], &0u32.to_be_bytes()].concat();
    vec![
        Flood::new("settings", "CVE-2019-9515", 100_000, |_| frame(SETTINGS, 0, 0, b"")).may_go_on(),
        Flood::new("settings, unread", "CVE-2019-9515", 2_000_000, |_| frame(SETTINGS, 0, 0, b"")).without_reading(),
        Flood::new("pings", "CVE-2019-9512", 100_000, |_| frame(PING, 0, 0, b"12345678")).may_go_on(),
        Flood::new("pings, unread", "CVE-2019-9512", 2_000_000, |_| frame(PING, 0, 0, b"12345678")).without_reading(),
        Flood::new("priorities", "CVE-2019-9513", 100_000, |n| {
            frame(PRIORITY, 0, id(n % 1000), &[0, 0, 0, 0, (n % 256) as u8])
        })
        .may_go_on(),
        Flood::new("windows of one byte", "RFC 9113 §10.5", 100_000, |_| {
            frame(WINDOW_UPDATE, 0, 0, &1u32.to_be_bytes())
        })
        .may_go_on(),
        Flood::new("frames of no known kind", "RFC 9113 §4.1", 100_000, |_| frame(0xbe, 0xff, 0, b"nothing"))
            .may_go_on(),
        Flood::new("a table referred to ten thousand times", "RFC 7541 §7.3", 200, |n| {
            frame(HEADERS, WHOLE, id(n + 1), &[head(false, "/id"), vec![0xbe; 10_000]].concat())
        })
        .first(bomb_first)
        .may_go_on(),
        Flood::new("a table that grows", "RFC 7541 §4.2", 100, |_| {
            frame(HEADERS, WHOLE, 1, &[0x3f, 0xe1, 0xff, 0xff, 0x7f])
        }),
        Flood::new("a frame of 16 MiB", "RFC 9113 §4.2", 10, |_| frame(DATA, 0, 1, &vec![0; (16 << 20) - 1]))
            .first(open(1, "/body")),
        Flood::new("trailers without end", "RFC 9113 §8.1", 1000, |_| {
            frame(HEADERS, END_HEADERS, 1, &[0, 1, b'x', 1, b'y'])
        })
        .first(open(1, "/body"))
        .may_go_on(),
        Flood::new("answers that nobody takes", "CVE-2019-9511", 100, |n| get(id(n), "/endless"))
            .first(frame(SETTINGS, 0, 0, &all_closed))
            .slowly(100, Duration::ZERO),
    ]
}

/// What became of a flood.
#[derive(Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    flood: &'static str,
    rule: &'static str,
    steps_sent: u32,
    ended: bool,
    goaway: Option<u32>,
    passed: u64,
    grown_bytes: u64,
    processor_ticks: u64,
    healthy_answers: u64,
}

/// Reads frames until the connection ends; notes the code of a GOAWAY.
async fn drain(mut read: OwnedReadHalf, is_over: Arc<AtomicBool>, goaway: Arc<AtomicU64>) {
    let mut input = Vec::new();
    while read.read_buf(&mut input).await.is_ok_and(|n| n > 0) {
        while input.len() >= 9 {
            let length = u32::from_be_bytes([0, input[0], input[1], input[2]]) as usize;
            if input.len() < 9 + length {
                break;
            }
            let frame: Vec<u8> = input.drain(..9 + length).collect();
            if frame[3] == GOAWAY {
                let code = u32::from_be_bytes([frame[13], frame[14], frame[15], frame[16]]);
                goaway.store(u64::from(code), Ordering::SeqCst);
            }
        }
    }
    is_over.store(true, Ordering::SeqCst);
}

/// Sends the steps; returns how many went out before the connection ended.
async fn pour(write: &mut OwnedWriteHalf, flood: &Flood, is_over: &AtomicBool) -> u32 {
    let deadline = Instant::now() + FLOOD;
    let mut sent = 0;
    while sent < flood.steps && !is_over.load(Ordering::SeqCst) && Instant::now() < deadline {
        let end = (sent + flood.batch).min(flood.steps);
        let bytes: Vec<u8> = (sent..end).flat_map(|n| (flood.step)(n)).collect();
        match tokio::time::timeout(FLOOD, write.write_all(&bytes)).await {
            Ok(Ok(())) => sent = end,
            Ok(Err(_)) => is_over.store(true, Ordering::SeqCst),
            Err(_) => break,
        }
        match flood.pause {
            Duration::ZERO => tokio::task::yield_now().await,
            pause => tokio::time::sleep(pause).await,
        }
    }
    sent
}

/// Asks again and again on a connection of HTTP/1.1, each time with a generous wait.
async fn healthy(address: std::net::SocketAddr, stop: Arc<AtomicBool>) -> Result<u64, String> {
    let (read, mut write) = TcpStream::connect(address).await.map_err(|e| e.to_string())?.into_split();
    let mut reader = Reader::new(read, Duration::from_secs(30));
    let mut count = 0;
    loop {
        let _ = write.write_all(b"GET /id HTTP/1.1\r\nHost: app.localhost\r\n\r\n").await;
        let answer = reader.answer(false).await.map_err(|e| format!("after {count} answers: {e:?}"))?;
        if answer.status != 200 {
            return Err(format!("after {count} answers: {}", answer.status));
        }
        count += 1;
        if stop.load(Ordering::SeqCst) {
            return Ok(count);
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

const WAITS: Waits =
    Waits { head: Duration::from_secs(5), body: Duration::from_secs(2), write: Duration::from_secs(2) };

/// Pours a flood and says what became of it; one that has to be ended gets this long for it.
async fn run(flood: &Flood, waits: Waits, patience: Duration) -> (Outcome, Vec<String>) {
    let up = Upstream::start().await;
    let mut gateway = Gateway::start(waits, vec![support::route("app", vec![support::backend(1, &[&up])])]).await;
    let warm = Arc::new(AtomicBool::new(true));
    healthy(gateway.address, warm).await.unwrap();
    let ((before, _), ticks, seen) = (gateway.memory(), gateway.ticks(), up.seen());
    let stop = Arc::new(AtomicBool::new(false));
    let other = tokio::spawn(healthy(gateway.address, Arc::clone(&stop)));
    let (read, mut write) = TcpStream::connect(gateway.address).await.unwrap().into_split();
    let (is_over, goaway) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(u64::MAX)));
    let hello = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(SETTINGS, 0, 0, b""), &flood.first].concat();
    write.write_all(&hello).await.unwrap();
    let mut unread = None;
    if flood.reads {
        tokio::spawn(drain(read, Arc::clone(&is_over), Arc::clone(&goaway)));
    } else {
        unread = Some(read);
    }
    let steps_sent = pour(&mut write, flood, &is_over).await;
    if flood.must_end {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if is_over.load(Ordering::SeqCst) {
                break;
            }
            // A client that does not read notices the end by writing.
            if unread.is_some() && write.write_all(&frame(PING, 0, 0, b"12345678")).await.is_err() {
                is_over.store(true, Ordering::SeqCst);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    stop.store(true, Ordering::SeqCst);
    let answers = other.await.unwrap();
    let healthy_answers = *answers.as_ref().unwrap_or(&0);
    let goaway = u32::try_from(goaway.load(Ordering::SeqCst)).ok();
    let outcome = Outcome {
        flood: flood.name,
        rule: flood.rule,
        steps_sent,
        ended: is_over.load(Ordering::SeqCst) || goaway.is_some(),
        goaway,
        passed: (up.seen() - seen).saturating_sub(healthy_answers),
        grown_bytes: gateway.memory().1.saturating_sub(before),
        processor_ticks: gateway.ticks() - ticks,
        healthy_answers,
    };
    let mut findings = judge(flood, &outcome);
    findings.extend(answers.err().map(|why| format!("the other client: {why}")));
    findings.extend((!gateway.lives()).then(|| "the gateway has ended".to_owned()));
    (outcome, findings)
}

/// What is wrong with an outcome.
fn judge(flood: &Flood, outcome: &Outcome) -> Vec<String> {
    let mut findings = Vec::new();
    let mut find = |is_wrong: bool, what: &str| {
        if is_wrong {
            findings.push(format!("{}: {what}: {outcome:?}", flood.name));
        }
    };
    find(flood.must_end && !outcome.ended, "it was not ended");
    find(outcome.grown_bytes > GROWTH_MAX, "the gateway has grown too much");
    find(outcome.passed > PASSED_MAX, "too many requests were passed on");
    find(outcome.healthy_answers == 0, "the other client got no answer");
    findings
}

#[tokio::test]
async fn floods_are_ended_or_bounded() {
    let (mut outcomes, mut findings) = (Vec::new(), Vec::new());
    for flood in floods() {
        let (outcome, found) = run(&flood, WAITS, Duration::from_secs(30)).await;
        println!("{}", serde_json::to_string(&outcome).unwrap());
        findings.extend(found);
        outcomes.push(outcome);
    }
    let worst = outcomes.iter().map(|o| o.grown_bytes).max();
    let passed = outcomes.iter().map(|o| o.passed).max();
    evidence::write(
        "http2-floods",
        &serde_json::json!({
            "floods": outcomes.len(), "grownBytesMax": worst, "grownBytesAllowed": GROWTH_MAX,
            "passedMax": passed, "passedAllowed": PASSED_MAX, "outcomes": outcomes,
        }),
    );
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
}

/// A gateway that waits for ever for its clients, and figures that are too large, are findings.
#[tokio::test]
async fn the_checker_of_floods_finds_planted_bugs() {
    let all = floods();
    let flood = all.iter().find(|f| f.name == "answers that nobody takes").unwrap();
    let waits = Waits { write: Duration::from_secs(3600), ..WAITS };
    let (mut outcome, findings) = run(flood, waits, Duration::from_secs(5)).await;
    assert!(findings.len() == 1 && findings[0].contains("it was not ended"), "{findings:?}");
    outcome.ended = true;
    assert_eq!(judge(flood, &outcome), Vec::<String>::new());
    outcome = Outcome { grown_bytes: GROWTH_MAX + 1, passed: PASSED_MAX + 1, healthy_answers: 0, ..outcome };
    assert_eq!(judge(flood, &outcome).len(), 3);
}
