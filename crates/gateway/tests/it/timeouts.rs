//! Every wait has its end.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::*;

const SHORT: Duration = Duration::from_millis(150);
const LONG: Duration = Duration::from_secs(5);

/// A gateway of which only one wait is short, with one instance.
async fn check(set: fn(&mut gateway::Limits), send: &str) -> Answer {
    let mut front = Front::limited(set).await;
    let up = Upstream::start().await;
    front.one(&up).await;
    raw_open(front.address, send, LONG).await
}

#[tokio::test]
async fn an_unfinished_head() {
    for text in ["G", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: app.localhost\r\nA: "] {
        let answer = check(|l| l.head_timeout = SHORT, text).await;
        assert_eq!((answer.status, answer.problem()["code"].as_str()), (408, Some("head-timeout")), "{text}");
    }
}

#[tokio::test]
async fn an_unfinished_head_behind_a_request() {
    let text = "GET /id HTTP/1.1\r\nHost: app.localhost\r\n\r\nGET /id HTTP/1.1\r\n";
    let answer = check(|l| l.head_timeout = SHORT, text).await;
    assert_eq!(answer.statuses(), [200, 408], "{}", answer.all);
}

#[tokio::test]
async fn a_head_that_drips_does_not_win_time() {
    let mut front = Front::limited(|l| l.head_timeout = Duration::from_millis(400)).await;
    let up = Upstream::start().await;
    front.one(&up).await;
    let mut stream = TcpStream::connect(front.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: app.localhost\r\nA: ").await.unwrap();
    let drip = async {
        let (mut read, mut write) = stream.split();
        let mut back = String::new();
        loop {
            tokio::select! {
                n = read.read_to_string(&mut back) => { n.unwrap(); return back; }
                () = tokio::time::sleep(Duration::from_millis(50)) => { let _ = write.write_all(b"a").await; }
            }
        }
    };
    let back = tokio::time::timeout(LONG, drip).await.expect("dripping kept it open");
    assert!(back.starts_with("HTTP/1.1 408"), "{back}");
}

#[tokio::test]
async fn a_silent_connection_is_closed_quietly() {
    for text in ["", "GET /id HTTP/1.1\r\nHost: app.localhost\r\n\r\n"] {
        let mut front = Front::limited(|l| l.idle_timeout = SHORT).await;
        let up = Upstream::start().await;
        front.one(&up).await;
        let mut stream = TcpStream::connect(front.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut back = String::new();
        tokio::time::timeout(LONG, stream.read_to_string(&mut back)).await.expect("still open").unwrap();
        assert_eq!(back.matches("HTTP/1.1 200").count(), usize::from(!text.is_empty()), "{back}");
        assert!(!back.contains("408"), "{back}");
    }
}

#[tokio::test]
async fn a_request_under_way_is_not_idle() {
    let mut front = Front::limited(|l| l.idle_timeout = Duration::from_millis(20)).await;
    let up = Upstream::start().await;
    front.one(&up).await;
    let answer = raw_open(front.address, "GET /slow HTTP/1.1\r\nHost: app.localhost\r\n\r\n", LONG).await;
    assert_eq!(answer.status, 200, "{}", answer.all);
}

#[tokio::test]
async fn a_body_that_stops() {
    let text = "POST /body HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 10\r\n\r\nhalf";
    let answer = check(|l| l.body_timeout = SHORT, text).await;
    assert_eq!((answer.status, answer.problem()["code"].as_str()), (408, Some("body-timeout")), "{}", answer.all);
}

#[tokio::test]
async fn an_upload_that_goes_on_is_not_cut_by_the_wait_for_the_answer() {
    let mut front = Front::limited(|l| l.answer_timeout = Duration::from_millis(300)).await;
    let up = Upstream::start().await;
    front.one(&up).await;
    let mut stream = TcpStream::connect(front.address).await.unwrap();
    stream
        .write_all(b"POST /body HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 10\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        stream.write_all(b"x").await.unwrap();
    }
    let back = String::from_utf8(read_all(&mut stream, LONG).await).unwrap();
    assert!(back.starts_with("HTTP/1.1 200") && back.ends_with("xxxxxxxxxx"), "{back}");
}

#[tokio::test]
async fn an_answer_that_stops_is_cut() {
    let answer = check(|l| l.stream_timeout = SHORT, "GET /stream HTTP/1.1\r\nHost: app.localhost\r\n\r\n").await;
    assert!(answer.body.contains("first") && !answer.body.ends_with("0\r\n\r\n"), "{}", answer.all);
}

#[tokio::test]
async fn a_silent_tunnel_is_closed() {
    let text = "GET /upgrade HTTP/1.1\r\nHost: app.localhost\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
    let answer = check(|l| l.tunnel_timeout = SHORT, text).await;
    assert_eq!(answer.status, 101, "{}", answer.all);
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_let_go() {
    use ports::Gateway as _;
    let mut front = Front::limited(|l| l.write_timeout = Duration::from_millis(300)).await;
    let up = Upstream::start().await;
    front.one(&up).await;
    let mut stream = TcpStream::connect(front.address).await.unwrap();
    stream.write_all(b"GET /endless HTTP/1.1\r\nHost: app.localhost\r\n\r\n").await.unwrap();
    let mut seen = false;
    for _ in 0..500 {
        let under_way = front.client.status().await.unwrap().in_flight;
        match under_way.is_empty() {
            true if seen => return,
            is_empty => seen |= !is_empty,
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it still holds the instance ({seen})");
}

#[tokio::test]
async fn connections_have_a_limit() {
    let mut front = Front::limited(|l| l.connections = 2).await;
    let up = Upstream::start().await;
    front.one(&up).await;
    let (mut one, mut two) = (front.connect().await, front.connect().await);
    assert_eq!(one.get("/id").await.unwrap().0, 200);
    assert_eq!(two.get("/id").await.unwrap().0, 200);
    let third = front.get("app.localhost", "/id").await;
    assert_eq!(third.status, 503, "{}", third.all);
    drop(one);
    for _ in 0..100 {
        if front.get("app.localhost", "/id").await.status == 200 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the place did not become free");
}

/// The status of `/id`, asked from an address of this machine on a connection of its own.
async fn asked_from(front: &Front, source: &str) -> u16 {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(format!("{source}:0").parse().unwrap()).unwrap();
    let mut stream = socket.connect(front.address).await.unwrap();
    let request = "GET /id HTTP/1.1\r\nhost: app.localhost\r\nconnection: close\r\n\r\n";
    let _ = stream.write_all(request.as_bytes()).await;
    crate::support::Answer::read(&crate::support::read_all(&mut stream, Duration::from_secs(5)).await).status
}

#[tokio::test]
async fn one_client_does_not_take_the_places_of_all() {
    use ports::Gateway as _;
    let mut front = Front::limited(|l| l.connections_per_client = 2).await;
    let up = Upstream::start().await;
    front.one(&up).await;
    let (mut one, mut two) = (front.connect().await, front.connect().await);
    assert_eq!(one.get("/id").await.unwrap().0, 200);
    assert_eq!(two.get("/id").await.unwrap().0, 200);
    let third = front.get("app.localhost", "/id").await;
    assert_eq!((third.status, third.header("retry-after")), (503, Some("5")), "{}", third.all);
    let length = third.header("content-length").and_then(|text| text.parse().ok());
    assert!(third.body.contains("too many connections") && length == Some(third.body.len()), "{}", third.all);
    assert_eq!(front.client.status().await.unwrap().refused, 1, "it is counted");
    assert_eq!(asked_from(&front, "127.0.0.2").await, 200, "others have places of their own");
    // The control plane says another number, and a gateway that starts again knows it.
    front.client.bound_clients(3).await.unwrap();
    assert_eq!(front.get("app.localhost", "/id").await.status, 200);
    front.client.bound_clients(1).await.unwrap();
    assert_eq!(one.get("/id").await.unwrap().0, 200, "what is open stays");
    drop((one, two));
    front.stop().await;
    let front = Front::within(front.dir, |options| options.limits.connections_per_client = 2).await;
    let _one = front.connect().await;
    for _ in 0..100 {
        if asked_from(&front, "127.0.0.1").await == 503 {
            return assert_eq!(asked_from(&front, "127.0.0.2").await, 200);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the bound was forgotten");
}
