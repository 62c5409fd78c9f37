//! A thousand slow clients: of heads, of bodies, of reading. All are closed by the gateway's own
//! waits, and a client that behaves is answered all along; how fast is printed and recorded.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::answer::Reader;
use crate::backend::Tail;
use crate::evidence;
use crate::process::{Gateway, Waits};
use crate::support::{self, Upstream};

const CLIENTS: usize = 1000;
const WAIT: Duration = Duration::from_secs(3);
/// Between two bytes of a slow client.
const DRIP: Duration = Duration::from_millis(500);
/// Longest wait for all to be closed; only reached when something is wrong.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Head,
    Body,
    Read,
}

impl Kind {
    /// What the access log says of it.
    const fn code(self) -> &'static str {
        match self {
            Self::Head => "head-timeout",
            Self::Body => "body-timeout",
            Self::Read => "client-gone",
        }
    }
}

/// Ends when the gateway has closed the connection; says how long that took.
async fn slow(address: SocketAddr, kind: Kind) -> Duration {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    let start = Instant::now();
    let hello: &[u8] = match kind {
        Kind::Head => b"GET / HTTP/1.1\r\nHost: app.localhost\r\nX: ",
        Kind::Body => b"POST /body HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 1000000\r\n\r\n",
        Kind::Read => b"GET /endless HTTP/1.1\r\nHost: app.localhost\r\n\r\n",
    };
    let _ = stream.write_all(hello).await;
    let (mut read, mut write) = stream.split();
    let mut buffer = [0; 16 << 10];
    loop {
        tokio::time::sleep(DRIP).await;
        let over = match kind {
            // The answer may come before the end.
            Kind::Head | Kind::Body => {
                let _ = write.write_all(b"a").await;
                let end = async { while read.read(&mut buffer).await.is_ok_and(|n| n > 0) {} };
                tokio::time::timeout(Duration::from_millis(1), end).await.is_ok()
            }
            Kind::Read => {
                !tokio::time::timeout(WAIT, read.read(&mut buffer[..1])).await.is_ok_and(|n| n.is_ok_and(|n| n > 0))
            }
        };
        // A reader notices the end only behind all that was on its way to it: the log tells when it was.
        if over {
            return start.elapsed();
        }
        if kind == Kind::Read && write.write_all(b" ").await.is_err() {
            return start.elapsed();
        }
    }
}

/// Asks until told to stop; the time of each answer.
async fn healthy(address: SocketAddr, stop: Arc<AtomicBool>, least: usize) -> Vec<Duration> {
    let (read, mut write) = TcpStream::connect(address).await.unwrap().into_split();
    let mut reader = Reader::new(read, Duration::from_secs(60));
    let mut times = Vec::new();
    while times.len() < least || !stop.load(Ordering::SeqCst) {
        let start = Instant::now();
        write.write_all(b"GET /id HTTP/1.1\r\nHost: app.localhost\r\n\r\n").await.unwrap();
        let answer = reader.answer(false).await.expect("a client that behaves is answered");
        assert_eq!(answer.status, 200);
        times.push(start.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    times
}

fn p99(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort();
    sorted[sorted.len() * 99 / 100]
}

/// Makes room for as many connections as this test and its gateway have.
fn raise_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let has = getrlimit(Resource::Nofile);
    if has.current.is_some_and(|n| n < 8192) {
        let wanted =
            Rlimit { current: has.maximum.map_or(Some(8192), |max| Some(max.min(8192))), maximum: has.maximum };
        setrlimit(Resource::Nofile, wanted).unwrap();
    }
}

#[tokio::test]
async fn a_thousand_slow_clients_are_closed() {
    raise_descriptors();
    let up = Upstream::start().await;
    let waits = Waits { head: WAIT, body: WAIT, write: WAIT };
    let mut gateway = Gateway::start(waits, vec![support::route("app", vec![support::backend(1, &[&up])])]).await;
    let done = Arc::new(AtomicBool::new(true));
    let alone = healthy(gateway.address, done, 500).await;
    let stop = Arc::new(AtomicBool::new(false));
    let beside = tokio::spawn(healthy(gateway.address, Arc::clone(&stop), 1));
    let before = gateway.memory().0;
    let start = Instant::now();
    let closed = Arc::new(AtomicUsize::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..CLIENTS {
        let (address, kind, closed) =
            (gateway.address, [Kind::Head, Kind::Body, Kind::Read][n % 3], Arc::clone(&closed));
        tasks.spawn(async move {
            let took = slow(address, kind).await;
            closed.fetch_add(1, Ordering::SeqCst);
            (kind, took)
        });
    }
    let took = tokio::time::timeout(PATIENCE, tasks.join_all()).await.unwrap_or_default();
    let all_after = start.elapsed();
    stop.store(true, Ordering::SeqCst);
    let beside = beside.await.unwrap();
    let mut by_code: BTreeMap<String, usize> = BTreeMap::new();
    let mut longest = BTreeMap::new();
    let mut tail = Tail::new(gateway.dir.path().join("access.log"));
    for _ in 0..500 {
        for line in tail.lines() {
            let line: serde_json::Value = serde_json::from_str(&line).unwrap();
            if let Some(code) = line["code"].as_str() {
                *by_code.entry(code.to_owned()).or_default() += 1;
                let most = longest.entry(code.to_owned()).or_insert(0u64);
                *most = (*most).max(line["tookUs"].as_u64().unwrap() / 1000);
            }
        }
        if by_code.values().sum::<usize>() >= CLIENTS {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let within = took.iter().filter(|(_, took)| *took <= Duration::from_secs(10)).count();
    let ratio = p99(&beside).as_secs_f64() / p99(&alone).as_secs_f64();
    evidence::write(
        "slow-clients",
        &serde_json::json!({
            "clients": CLIENTS, "waitSeconds": WAIT.as_secs(), "closed": took.len(), "closedWithin10Seconds": within,
            "allClosedAfterMs": all_after.as_millis() as u64, "byCode": by_code, "longestMsByLog": longest,
            "p99AloneUs": p99(&alone).as_micros() as u64, "p99BesideUs": p99(&beside).as_micros() as u64,
            "p99Ratio": ratio, "healthyAnswers": beside.len(),
            "grownBytes": gateway.memory().1.saturating_sub(before),
        }),
    );
    assert_eq!(closed.load(Ordering::SeqCst), CLIENTS, "not all were closed: {by_code:?}");
    for kind in [Kind::Head, Kind::Body, Kind::Read] {
        let count = (0..CLIENTS).filter(|n| [Kind::Head, Kind::Body, Kind::Read][n % 3] == kind).count();
        assert_eq!(by_code.get(kind.code()), Some(&count), "{kind:?}: {by_code:?}");
    }
    assert!(gateway.lives());
}
