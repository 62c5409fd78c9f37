//! Nothing fails while instances, snapshots and the gateway itself are replaced.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use http::Request;
use ports::Gateway as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::support::*;

/// Clients that send one request after the other until told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    tasks: JoinSet<Vec<String>>,
}

impl Load {
    /// Eight kept-alive connections: half of them GET, half POST.
    fn start(front: &Front) -> Self {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut tasks = JoinSet::new();
        for n in 0..8 {
            let (stop, done, address) = (Arc::clone(&stop), Arc::clone(&done), front.address);
            tasks.spawn(async move {
                let mut failures = Vec::new();
                let mut stream = None;
                while !stop.load(Ordering::SeqCst) {
                    if let Err(why) = one(&mut stream, address, n % 2 == 0).await {
                        failures.push(why);
                        stream = None;
                    }
                    done.fetch_add(1, Ordering::SeqCst);
                }
                failures
            });
        }
        Self { stop, done, tasks }
    }

    /// Waits for so many more requests.
    async fn more(&self, count: u64) {
        let until = self.done.load(Ordering::SeqCst) + count;
        while self.done.load(Ordering::SeqCst) < until {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    async fn end(self) {
        self.stop.store(true, Ordering::SeqCst);
        let failures: Vec<String> = self.tasks.join_all().await.into_iter().flatten().collect();
        let total = self.done.load(Ordering::SeqCst);
        assert!(failures.is_empty(), "{} of {total} failed: {:?}", failures.len(), &failures[..failures.len().min(5)]);
    }
}

/// One request on a connection that is kept unless the answer says otherwise.
async fn one(stream: &mut Option<TcpStream>, address: std::net::SocketAddr, get: bool) -> Result<(), String> {
    let io = match stream {
        Some(io) => io,
        None => stream.insert(TcpStream::connect(address).await.map_err(|e| format!("connect: {e}"))?),
    };
    let text = if get {
        "GET /id HTTP/1.1\r\nHost: app.localhost\r\n\r\n"
    } else {
        "POST /id HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 4\r\n\r\nbody"
    };
    io.write_all(text.as_bytes()).await.map_err(|e| format!("write: {e}"))?;
    let mut back = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let n = tokio::time::timeout(Duration::from_secs(10), io.read(&mut buffer)).await;
        let n = n.map_err(|_| "no answer".to_owned())?.map_err(|e| format!("read: {e}"))?;
        back.extend_from_slice(&buffer[..n]);
        let text = String::from_utf8_lossy(&back);
        if n == 0 {
            return Err(format!("closed after {text:?}"));
        }
        // Ids of instances have 29 characters.
        if let Some((head, body)) = text.split_once("\r\n\r\n").filter(|(_, b)| b.len() >= 29) {
            if !head.starts_with("HTTP/1.1 200") || !body.starts_with("in_") {
                return Err(text.into_owned());
            }
            if head.contains("connection: close") {
                *stream = None;
            }
            return Ok(());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replacing_instances_fails_no_request() {
    let mut front = Front::start().await;
    let mut current = Upstream::start().await;
    front.one(&current).await;
    let load = Load::start(&front);
    for _ in 0..12 {
        load.more(40).await;
        let next = Upstream::start().await;
        front.one(&next).await;
        // As the control plane does it: gone from the snapshot, drained, stopped.
        while front.client.status().await.unwrap().in_flight.iter().any(|(id, _)| *id == current.id) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        std::mem::replace(&mut current, next).kill().await;
    }
    load.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_dies_unannounced_costs_nothing_where_another_runs() {
    let mut front = Front::start().await;
    let (stays, dies) = (Upstream::start().await, Upstream::start().await);
    front.route(vec![route("app", vec![backend(1, &[&stays, &dies])])]).await;
    dies.kill().await;
    // Refused connections: nothing was sent, so even POST goes to the other one.
    let load = Load::start(&front);
    load.more(400).await;
    load.end().await;
}

#[tokio::test]
async fn requests_under_way_finish_and_are_reported_after_their_instance_left() {
    let mut front = Front::start().await;
    let (old, new) = (Upstream::start().await, Upstream::start().await);
    front.one(&old).await;
    let mut keep = front.connect().await;
    let request = Request::get("/stream").header("host", "app.localhost").body(full("")).unwrap();
    let mut response = keep.sender.send_request(request).await.unwrap().into_body();
    http_body_util::BodyExt::frame(&mut response).await.unwrap().unwrap();
    front.one(&new).await;
    assert_eq!(front.client.status().await.unwrap().in_flight, [(old.id, 1)]);
    assert_eq!(front.get("app.localhost", "/id").await.body, new.id.to_string());
    old.go.notify_one();
    let rest = http_body_util::BodyExt::collect(response).await.unwrap().to_bytes();
    assert_eq!(rest, "second\n");
    for _ in 0..200 {
        if front.client.status().await.unwrap().in_flight.is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("still in flight");
}

/// An instance that answers `first` requests on each connection and then breaks it: when the next
/// one comes (`late`), or at once.
async fn flaky(first: usize, hits: Arc<AtomicU64>) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let hits = Arc::clone(&hits);
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                for n in 0.. {
                    if stream.read(&mut buffer).await.unwrap_or(0) == 0 {
                        return;
                    }
                    hits.fetch_add(1, Ordering::SeqCst);
                    if n >= first {
                        return;
                    }
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
                }
            });
        }
    });
    address
}

async fn flaky_front(first: usize) -> (Front, Arc<AtomicU64>) {
    let hits = Arc::new(AtomicU64::new(0));
    let mut front = Front::with(|o| o.workers = 1).await;
    let up = Upstream::start().await;
    let mut backend = backend(1, &[&up]);
    backend.instances[0].address = ports::Address::Tcp(flaky(first, Arc::clone(&hits)).await);
    front.route(vec![route("app", vec![backend])]).await;
    (front, hits)
}

#[tokio::test]
async fn only_what_may_be_sent_again_is_sent_again() {
    for (method, statuses, hits) in [
        // On a used connection: once more on a new one.
        ("GET", [200, 200], 3),
        // Not idempotent: never twice.
        ("POST", [200, 502], 2),
        ("PATCH", [200, 502], 2),
        ("DELETE", [200, 200], 3),
    ] {
        let (front, count) = flaky_front(1).await;
        let mut keep = front.connect().await;
        for status in statuses {
            let request = Request::builder().method(method).uri("/").header("host", "app.localhost");
            let got = keep.send(request.body(full("")).unwrap()).await.unwrap();
            assert_eq!(got.0, status, "{method}: {}", got.2);
        }
        assert_eq!(count.load(Ordering::SeqCst), hits, "{method}");
    }
}

#[tokio::test]
async fn a_new_connection_that_breaks_is_not_tried_again() {
    let (front, count) = flaky_front(0).await;
    let answer = front.get("app.localhost", "/").await;
    assert_eq!((answer.status, answer.problem()["code"].as_str()), (502, Some("instance-hung-up")));
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn stopping_finishes_what_is_under_way_and_takes_no_more() {
    let mut front = Front::start().await;
    let up = Upstream::start().await;
    front.one(&up).await;
    let (mut idle, mut busy) = (front.connect().await, front.connect().await);
    assert_eq!(idle.get("/id").await.unwrap().0, 200);
    let request = Request::get("/stream").header("host", "app.localhost").body(full("")).unwrap();
    let body = busy.sender.send_request(request).await.unwrap().into_body();
    let address = front.address;
    let running = front.running.take().unwrap();
    let stopping = tokio::spawn(running.stop());
    while TcpStream::connect(address).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // A kept-alive connection is answered once more, and told that it is the last time.
    let (status, headers, _) = idle.get("/id").await.unwrap();
    assert_eq!((status.as_u16(), headers["connection"].to_str().unwrap()), (200, "close"));
    up.go.notify_one();
    let text = http_body_util::BodyExt::collect(body).await.unwrap().to_bytes();
    assert_eq!(text, "first\nsecond\n");
    tokio::time::timeout(Duration::from_secs(8), stopping).await.expect("does not end").unwrap();
}

#[tokio::test]
async fn stopping_has_a_deadline() {
    let mut front = Front::with(|o| o.drain = Duration::from_millis(200)).await;
    let up = Upstream::start().await;
    front.one(&up).await;
    let mut keep = front.connect().await;
    let request = Request::get("/stream").header("host", "app.localhost").body(full("")).unwrap();
    let body = keep.sender.send_request(request).await.unwrap().into_body();
    tokio::time::timeout(Duration::from_secs(8), front.stop()).await.expect("waits for ever");
    assert!(http_body_util::BodyExt::collect(body).await.is_err(), "the answer was cut");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_successor_takes_over_without_a_failed_request() {
    let mut front = Front::start().await;
    let up = Upstream::start().await;
    front.one(&up).await;
    let load = Load::start(&front);
    load.more(100).await;
    for _ in 0..3 {
        let mut options = gateway::Options::new(front.dir.path());
        options.listen = vec![front.address];
        options.workers = 2;
        options.take_over = true;
        let successor = gateway::start(options).await.unwrap();
        assert_eq!(successor.addresses(), [front.address]);
        let old = front.running.replace(successor).unwrap();
        old.replaced().await;
        let stopping = tokio::spawn(old.stop());
        load.more(100).await;
        tokio::time::timeout(Duration::from_secs(8), stopping).await.expect("the old one does not end").unwrap();
        load.more(100).await;
        let status = front.client.status().await.unwrap();
        assert_eq!((status.generation.0, status.listeners[0].address), (1, front.address));
    }
    load.end().await;
}
