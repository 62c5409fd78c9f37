//! Broken and hostile answers of a back end: the client gets what it can frame or a page, and no
//! later request gets anything of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::InstanceId;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use crate::answer::{Answer, Bad, Reader, until};
use crate::backend::Tail;
use crate::case::{blocks, unescape};
use crate::evidence;
use crate::support::{self, Front};

const PATIENCE: Duration = Duration::from_secs(20);
/// How long a back end waits where a case has a `|`.
const PAUSE: Duration = Duration::from_millis(60);

/// What a back end does behind the bytes of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Keep,
    Close,
    Hold,
}

struct Case {
    name: String,
    rule: String,
    status: u16,
    /// `None`: whatever a page of the gateway has.
    body: Option<Vec<u8>>,
    is_whole: bool,
    method: String,
    script: Script,
}

/// What a back end says to a request for `/case`.
#[derive(Debug, Clone)]
struct Script {
    parts: Vec<Vec<u8>>,
    then: Then,
}

fn cases() -> Vec<Case> {
    let read = |block: crate::case::Block<'_>| {
        let (method, then) = block.frame.split_once('/').expect(block.name);
        let then = match then {
            "keep" => Then::Keep,
            "close" => Then::Close,
            "hold" => Then::Hold,
            other => panic!("{other} is no frame"),
        };
        let (expect, is_whole) = match block.expect.strip_prefix('~') {
            Some(rest) => (rest, false),
            None => (block.expect, true),
        };
        let (status, body) = match expect.split_once(':') {
            Some((status, body)) => (status, Some(unescape(body))),
            None => (expect, None),
        };
        Case {
            name: block.name.to_owned(),
            rule: block.rule.to_owned(),
            status: status.parse().expect(block.name),
            body,
            is_whole,
            method: method.to_owned(),
            script: Script { parts: block.text.split('|').map(unescape).collect(), then },
        }
    };
    blocks(include_str!("answers/answers.txt")).map(read).collect()
}

/// A back end that says what it is told to, and answers `/marker/…` properly.
pub struct Hostile {
    pub address: SocketAddr,
    script: Arc<Mutex<Script>>,
    /// Requests for `/case` that it saw, and those whose script is over.
    seen: Arc<AtomicU64>,
    done: Arc<AtomicU64>,
}

impl Hostile {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let made = Self {
            address: listener.local_addr().unwrap(),
            script: Arc::new(Mutex::new(Script { parts: Vec::new(), then: Then::Close })),
            seen: Arc::default(),
            done: Arc::default(),
        };
        let (script, seen, done) = (Arc::clone(&made.script), Arc::clone(&made.seen), Arc::clone(&made.done));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (script, seen, done) = (Arc::clone(&script), Arc::clone(&seen), Arc::clone(&done));
                tokio::spawn(async move { talk(stream, &script, &seen, &done).await });
            }
        });
        made
    }
}

/// Answers markers until another request has come; `false` where none comes any more.
async fn next_case(stream: &mut TcpStream, input: &mut Vec<u8>) -> bool {
    loop {
        let Some(head) = until(stream, input, b"\r\n\r\n").await else { return false };
        let text = String::from_utf8_lossy(&head).into_owned();
        let path = text.split(' ').nth(1).unwrap_or("");
        if !path.starts_with("/marker/") {
            return true;
        }
        let body = format!("GET {path} 0");
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let _ = stream.write_all(answer.as_bytes()).await;
    }
}

async fn talk(mut stream: TcpStream, script: &Mutex<Script>, seen: &AtomicU64, done: &AtomicU64) {
    let _ = stream.set_nodelay(true);
    let mut input = Vec::new();
    while next_case(&mut stream, &mut input).await {
        seen.fetch_add(1, Ordering::SeqCst);
        let script = script.lock().unwrap().clone();
        for (at, part) in script.parts.iter().enumerate() {
            if at > 0 {
                tokio::time::sleep(PAUSE).await;
            }
            let _ = stream.write_all(part).await;
        }
        done.fetch_add(1, Ordering::SeqCst);
        match script.then {
            Then::Keep => {}
            Then::Close => return,
            Then::Hold => {
                while stream.read_buf(&mut input).await.unwrap_or(0) > 0 {}
                return;
            }
        }
    }
}

async fn front(address: SocketAddr) -> Front {
    let mut front = Front::with(|options| {
        options.workers = 1;
        options.limits.answer_timeout = Duration::from_secs(5);
    })
    .await;
    let id = InstanceId::new(base::Time::from_micros(1), [8; 10]);
    front.route(vec![support::route("app", vec![support::backend_at(1, &[(id, address)])])]).await;
    front
}

type Connection = (Reader<OwnedReadHalf>, OwnedWriteHalf);

/// A request for a path on a connection of its own, or on the one given.
async fn marker(path: &str, connection: Option<&mut Connection>, at: SocketAddr) -> Result<(), String> {
    let text = format!("GET {path} HTTP/1.1\r\nHost: app.localhost\r\n\r\n");
    let got = match connection {
        Some((reader, write)) => {
            let _ = write.write_all(text.as_bytes()).await;
            reader.answer(false).await
        }
        None => {
            let (read, mut write) = TcpStream::connect(at).await.unwrap().into_split();
            let _ = write.write_all(text.as_bytes()).await;
            Reader::new(read, PATIENCE).answer(false).await
        }
    };
    match got {
        Ok(answer) if answer.status == 200 && answer.text() == format!("GET {path} 0") => Ok(()),
        Ok(answer) => Err(format!("{path} got {} {:?}", answer.status, answer.text())),
        Err(bad) => Err(format!("{path} got {bad:?}")),
    }
}

/// What is wrong with what the client got.
fn outcome(case: &Case, got: &Result<Answer, Bad>) -> Option<String> {
    let answer = match got {
        Ok(answer) => answer,
        Err(bad) => return Some(format!("{bad:?}")),
    };
    let page = answer.status == 502 && !answer.text().contains("\"fault\":\"instance\"");
    let body = case.body.as_ref().is_some_and(|body| *body != answer.body);
    let vouches = answer.field("x-request-id").is_none();
    (answer.status != case.status || answer.is_whole != case.is_whole || body || page || vouches)
        .then(|| format!("{} whole: {} {:?}", answer.status, answer.is_whole, answer.text()))
}

/// Runs a case of the table by its name in front of this address.
pub async fn run(name: &str, back: &Hostile, front: SocketAddr) -> Vec<String> {
    let case = cases().into_iter().find(|c| c.name == name).unwrap_or_else(|| panic!("no case {name}"));
    run_case(&case, back, front, &mut 0).await
}

async fn run_case(case: &Case, back: &Hostile, front: SocketAddr, marks: &mut u64) -> Vec<String> {
    let mut findings = Vec::new();
    *back.script.lock().unwrap() = case.script.clone();
    let (seen, done) = (back.seen.load(Ordering::SeqCst), back.done.load(Ordering::SeqCst));
    let (read, mut write) = TcpStream::connect(front).await.unwrap().into_split();
    let text = format!("{} /case HTTP/1.1\r\nHost: app.localhost\r\n\r\n", case.method);
    write.write_all(text.as_bytes()).await.unwrap();
    let mut connection = (Reader::new(read, PATIENCE), write);
    let got = connection.0.answer(case.method == "HEAD").await;
    findings.extend(outcome(case, &got));
    // Bytes that come late must be there before the next request.
    if case.script.parts.len() > 1 {
        while back.done.load(Ordering::SeqCst) == done {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let stays = got.is_ok_and(|answer| !answer.closes);
    for here in [stays, false, false] {
        *marks += 1;
        let path = format!("/marker/{marks}");
        findings.extend(marker(&path, here.then_some(&mut connection), front).await.err());
    }
    let (seen, most) = (back.seen.load(Ordering::SeqCst) - seen, if case.method == "POST" { 1 } else { 2 });
    if seen == 0 || seen > most {
        findings.push(format!("the back end saw it {seen} times"));
    }
    findings.into_iter().map(|f| format!("{} ({}): {f}", case.name, case.rule)).collect()
}

#[tokio::test]
async fn no_answer_poisons_the_next_one() {
    let back = Hostile::start().await;
    let front = front(back.address).await;
    let mut tail = Tail::new(front.dir.path().join("access.log"));
    let (mut findings, mut marks, mut outcomes) = (Vec::new(), 0, BTreeMap::new());
    let cases = cases();
    for case in &cases {
        // A connection that is warm, and the case on it.
        marks += 1;
        findings.extend(marker(&format!("/marker/{marks}"), None, front.address).await.err());
        findings.extend(run_case(case, &back, front.address, &mut marks).await);
        *outcomes.entry(format!("{}{}", if case.is_whole { "" } else { "cut " }, case.status)).or_insert(0u64) += 1;
    }
    let all = usize::try_from(marks).unwrap() + cases.len();
    let mut lines = 0;
    for _ in 0..1000 {
        lines += tail.lines().len();
        if lines >= all {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(lines, all, "lines in the log");
    let record = serde_json::json!({
        "cases": cases.len(), "outcomes": outcomes, "markers": marks, "findings": findings,
        "all": cases.iter().map(|c| serde_json::json!({"case": c.name, "must": c.rule, "status": c.status})).collect::<Vec<_>>(),
    });
    evidence::write("gate-answers", &record);
    assert!(cases.len() >= 70, "{}", cases.len());
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
}

/// A back end that answers before it has read the body, and goes on reading it or does not.
#[tokio::test]
async fn an_early_answer_poisons_nothing() {
    for reads_on in [true, false] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let strange: Arc<Mutex<Vec<String>>> = Arc::default();
        let front = front(listener.local_addr().unwrap()).await;
        let all = Arc::clone(&strange);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let strange = Arc::clone(&all);
                tokio::spawn(async move { early(stream, reads_on, &strange).await });
            }
        });
        let mut uploads = Vec::new();
        for n in 0..8 {
            let (read, mut write) = TcpStream::connect(front.address).await.unwrap().into_split();
            write
                .write_all(b"POST /case HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 100000\r\n\r\n")
                .await
                .unwrap();
            write.write_all(&[b'x'; 1000]).await.unwrap();
            let mut reader = Reader::new(read, PATIENCE);
            let answer = reader.answer(false).await.unwrap();
            assert_eq!((answer.status, answer.text().as_str()), (413, "no"), "{n}");
            // The upload is still under way: its connection must not carry anybody else's request.
            for m in 0..3 {
                marker(&format!("/marker/{n}{m}"), None, front.address).await.unwrap();
            }
            uploads.push((reader, write));
        }
        for (_, write) in &mut uploads {
            let _ = write.write_all(&vec![b'x'; 99_000]).await;
        }
        for (n, (reader, write)) in uploads.iter_mut().enumerate() {
            let _ = write
                .write_all(format!("GET /marker/again{n} HTTP/1.1\r\nHost: app.localhost\r\n\r\n").as_bytes())
                .await;
            match reader.answer(false).await {
                Ok(answer) => assert_eq!(answer.text(), format!("GET /marker/again{n} 0")),
                // The gateway may also give such a connection up.
                Err(bad) => assert_eq!(bad, Bad::End),
            }
            marker(&format!("/marker/last{n}"), None, front.address).await.unwrap();
        }
        assert_eq!(*strange.lock().unwrap(), Vec::<String>::new(), "requests within bodies");
    }
}

async fn early(mut stream: TcpStream, reads_on: bool, strange: &Mutex<Vec<String>>) {
    let mut input = Vec::new();
    while next_case(&mut stream, &mut input).await {
        let _ = stream.write_all(b"HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno").await;
        if !reads_on {
            return;
        }
        while input.len() < 100_000 && stream.read_buf(&mut input).await.unwrap_or(0) > 0 {}
        let there = input.len().min(100_000);
        let body: Vec<u8> = input.drain(..there).collect();
        if let Some(at) = body.iter().position(|b| *b != b'x') {
            let text = String::from_utf8_lossy(&body[at..]).chars().take(100).collect();
            strange.lock().unwrap().push(text);
        }
    }
}

/// Interim answers without end are ended by the wait for the answer, and others are served meanwhile.
#[tokio::test]
async fn endless_interim_answers_end() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let quiet = Hostile::start().await;
    let mut front = Front::with(|options| {
        options.workers = 1;
        options.limits.answer_timeout = Duration::from_millis(500);
    })
    .await;
    let id = |n| InstanceId::new(base::Time::from_micros(1), [n; 10]);
    let address = listener.local_addr().unwrap();
    let routes = vec![
        support::route("loud", vec![support::backend_at(1, &[(id(1), address)])]),
        support::route("app", vec![support::backend_at(1, &[(id(2), quiet.address)])]),
    ];
    front.route(routes).await;
    let flood = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut sent = 0u64;
        while stream.write_all(&b"HTTP/1.1 102 Processing\r\n\r\n".repeat(100)).await.is_ok() {
            sent += 100;
        }
        sent
    });
    let (read, mut write) = TcpStream::connect(front.address).await.unwrap().into_split();
    write.write_all(b"GET / HTTP/1.1\r\nHost: loud.localhost\r\n\r\n").await.unwrap();
    for n in 0..20 {
        marker(&format!("/marker/{n}"), None, front.address).await.unwrap();
    }
    let answer = Reader::new(read, PATIENCE).answer(false).await.unwrap();
    assert!([502, 504].contains(&answer.status), "{}", answer.text());
    let sent = tokio::time::timeout(PATIENCE, flood).await.expect("the gateway still reads").unwrap();
    println!("{sent} interim answers were sent until the connection was closed");
}
