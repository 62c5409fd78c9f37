//! A client that closes its side has said that no further request comes, and no more (RFC 9112 §9.6).

use std::time::Duration;

use ports::Gateway as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Answer, Front, Upstream, read_all};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(10);

async fn front(change: impl FnOnce(&mut gateway::Limits)) -> (Front, Upstream) {
    let mut front = Front::limited(change).await;
    let up = Upstream::start().await;
    front.one(&up).await;
    (front, up)
}

/// Sends this, closes its side and reads to the end.
async fn half_closed(front: &Front, pieces: &[&str]) -> Answer {
    let mut stream = TcpStream::connect(front.address).await.unwrap();
    for piece in pieces {
        stream.write_all(piece.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stream.shutdown().await.unwrap();
    Answer::read(&read_all(&mut stream, PATIENCE).await)
}

#[tokio::test]
async fn the_answer_comes_to_a_client_that_has_closed_its_side() {
    let (front, up) = front(|_| {}).await;
    for path in ["/id", "/slow"] {
        let answer = half_closed(&front, &[&format!("GET {path} HTTP/1.1\r\nhost: app.localhost\r\n\r\n")]).await;
        assert_eq!((answer.status, &*answer.body), (200, &*up.id.to_string()), "{path}: {}", answer.all);
    }
    let post = "POST /echo HTTP/1.1\r\nhost: app.localhost\r\ncontent-length: 5\r\n\r\n";
    let answer = half_closed(&front, &[post, "hel", "lo"]).await;
    assert!(answer.status == 200 && answer.body.contains("hello"), "{}", answer.all);
    // Head and body in pieces, so that the end comes while something is held.
    let answer = half_closed(&front, &["GET /slow HTTP/1.1\r\nho", "st: app.localhost\r\n\r", "\n"]).await;
    assert_eq!(answer.status, 200, "{}", answer.all);
    let old = half_closed(&front, &["GET /slow HTTP/1.0\r\nhost: app.localhost\r\n\r\n"]).await;
    assert_eq!(old.status, 200, "{}", old.all);
}

#[tokio::test]
async fn every_request_that_came_whole_is_answered_and_no_other() {
    let (front, up) = front(|_| {}).await;
    let slow = "GET /slow HTTP/1.1\r\nhost: app.localhost\r\n\r\n";
    let answer = half_closed(&front, &[&slow.repeat(3)]).await;
    assert_eq!(answer.statuses(), [200, 200, 200], "{}", answer.all);
    let answer = half_closed(&front, &[slow, "GET /slow HTTP/1.1\r\nhost: app"]).await;
    assert_eq!(answer.statuses(), [200], "{}", answer.all);
    assert_eq!(up.seen(), 4);
    let cut =
        half_closed(&front, &["POST /echo HTTP/1.1\r\nhost: app.localhost\r\ncontent-length: 9\r\n\r\nhalf"]).await;
    assert!(!cut.statuses().contains(&200), "{}", cut.all);
}

/// What is in no buffer any more when the last of it is written comes all the same.
#[tokio::test]
async fn a_large_answer_comes_whole_to_a_client_that_reads_slowly() {
    let (front, _up) = front(|_| {}).await;
    let size = 6 << 20;
    let mut stream = TcpStream::connect(front.address).await.unwrap();
    let head = format!("POST /echo HTTP/1.1\r\nhost: app.localhost\r\ncontent-length: {size}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b'x'; size]).await.unwrap();
    stream.shutdown().await.unwrap();
    let (mut taken, mut buffer) = (0, vec![0; 1 << 20]);
    loop {
        tokio::time::sleep(Duration::from_millis(20)).await;
        match tokio::time::timeout(PATIENCE, stream.read(&mut buffer)).await.unwrap().unwrap() {
            0 => break,
            count => taken += buffer[..count].iter().filter(|byte| **byte == b'x').count(),
        }
    }
    assert!(taken >= size, "{taken} of {size} bytes");
}

#[tokio::test]
async fn a_stream_goes_on_for_a_client_that_has_closed_its_side() {
    let (front, up) = front(|_| {}).await;
    let mut stream = TcpStream::connect(front.address).await.unwrap();
    stream.write_all(b"GET /stream HTTP/1.1\r\nhost: app.localhost\r\n\r\n").await.unwrap();
    let mut first = [0; 4096];
    let count = stream.read(&mut first).await.unwrap();
    stream.shutdown().await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    up.go.notify_one();
    let rest = read_all(&mut stream, PATIENCE).await;
    let all = [&first[..count], &rest].concat();
    assert!(String::from_utf8_lossy(&all).contains("second"), "{}", String::from_utf8_lossy(&all));
}

/// A client that is gone looks like one that has closed its side: it must not hold an instance for ever.
#[tokio::test]
async fn a_silent_stream_is_not_kept_for_a_client_that_may_be_gone() {
    let (front, _up) = front(|l| l.closed_timeout = Duration::from_millis(200)).await;
    let mut stream = TcpStream::connect(front.address).await.unwrap();
    stream.write_all(b"GET /stream HTTP/1.1\r\nhost: app.localhost\r\n\r\n").await.unwrap();
    let mut first = [0; 4096];
    assert!(stream.read(&mut first).await.unwrap() > 0, "the first piece comes");
    drop(stream);
    let log = front.log(1).await;
    assert_eq!((&log[0]["status"], &log[0]["code"]), (&200.into(), &"client-gone".into()), "{log:?}");
    for _ in 0..500 {
        if front.client.status().await.unwrap().in_flight.is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it still holds the instance");
}
