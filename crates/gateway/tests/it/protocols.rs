//! Streams, upgrades, HTTP/2, trailers.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Version};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::*;

const SOON: Duration = Duration::from_secs(5);

async fn h2(front: &Front) -> hyper::client::conn::http2::SendRequest<AnyBody> {
    let stream = TcpStream::connect(front.address).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

#[tokio::test]
async fn the_first_piece_of_an_answer_comes_before_the_last_exists() {
    let mut front = Front::start().await;
    let up = Upstream::start().await;
    front.one(&up).await;
    let mut keep = front.connect().await;
    let request = Request::get("/stream").header("host", "app.localhost").body(full("")).unwrap();
    let mut body = keep.sender.send_request(request).await.unwrap().into_body();
    let first = tokio::time::timeout(SOON, body.frame()).await.expect("waits for the end").unwrap().unwrap();
    assert_eq!(first.into_data().unwrap(), "first\n");
    up.go.notify_one();
    assert_eq!(body.collect().await.unwrap().to_bytes(), "second\n");
}

#[tokio::test]
async fn request_bodies_stream_and_keep_their_trailers() {
    let mut front = Front::start().await;
    let up = Upstream::start().await;
    front.one(&up).await;
    let text = "POST /echo HTTP/1.1\r\nHost: app.localhost\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum, host\r\n\
        Connection: close\r\n\r\n5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\nx-sum: 7\r\nHost: evil\r\n\r\n";
    let echo: serde_json::Value = serde_json::from_str(&raw(front.address, text).await.body).unwrap();
    assert_eq!(echo["body"], "hello world");
    assert_eq!(echo["trailers"], serde_json::json!([["x-sum", "7"]]));
}

#[tokio::test]
async fn a_large_body_comes_back_whole() {
    let mut front = Front::start().await;
    let up = Upstream::start().await;
    front.one(&up).await;
    let text: String = (0..400_000).map(|n| format!("{n:07}\n")).collect();
    let mut keep = front.connect().await;
    let request = Request::post("/body").header("host", "app.localhost").body(full(text.clone())).unwrap();
    let (status, _, back) = keep.send(request).await.unwrap();
    assert_eq!(status, 200);
    assert!(back == text, "{} bytes of {}", back.len(), text.len());
    assert_eq!(front.log(1).await[0]["bytesOut"], text.len());
}

#[tokio::test]
async fn answers_keep_their_trailers() {
    let mut front = Front::start().await;
    let up = Upstream::start().await;
    front.one(&up).await;
    let text = "GET /trailers HTTP/1.1\r\nHost: app.localhost\r\nTE: trailers\r\nConnection: close, te\r\n\r\n";
    let answer = raw(front.address, text).await;
    assert!(answer.body.ends_with("0\r\nx-sum: 42\r\n\r\n"), "{}", answer.all);
}

#[tokio::test]
async fn expect_continue_is_answered_here() {
    let mut front = Front::start().await;
    let up = Upstream::start().await;
    front.one(&up).await;
    let mut stream = TcpStream::connect(front.address).await.unwrap();
    let head = "POST /body HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 2\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut first = [0; 25];
    tokio::time::timeout(SOON, stream.read_exact(&mut first)).await.unwrap().unwrap();
    assert_eq!(&first, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"ok").await.unwrap();
    let rest = read_all(&mut stream, SOON).await;
    assert!(rest.starts_with(b"HTTP/1.1 200") && rest.ends_with(b"ok"), "{}", String::from_utf8_lossy(&rest));
}

/// Opens an upgraded connection; `early` is sent right behind the head.
async fn upgraded(front: &Front, early: &str) -> TcpStream {
    let mut stream = TcpStream::connect(front.address).await.unwrap();
    let head = format!(
        "GET /upgrade HTTP/1.1\r\nHost: app.localhost\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n{early}"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let byte = tokio::time::timeout(SOON, stream.read_u8()).await.unwrap();
        answer.push(byte.unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&answer))));
    }
    let text = String::from_utf8(answer).unwrap();
    assert!(text.starts_with("HTTP/1.1 101 ") && text.contains("upgrade: websocket\r\n"), "{text}");
    assert!(text.contains("orlop-release: rel_"), "{text}");
    stream
}

#[tokio::test]
async fn upgraded_connections_carry_bytes_both_ways() {
    let mut front = Front::start().await;
    let up = Upstream::start().await;
    front.one(&up).await;
    for early in ["", "GET /smuggled HTTP/1.1\r\nHost: app.localhost\r\n\r\n"] {
        let mut stream = upgraded(&front, early).await;
        let message = format!("{early}\0\x01 not HTTP \r\n\r\n");
        stream.write_all(&message.as_bytes()[early.len()..]).await.unwrap();
        let mut back = vec![0; message.len()];
        tokio::time::timeout(SOON, stream.read_exact(&mut back)).await.unwrap().unwrap();
        assert_eq!(back, message.as_bytes());
        stream.shutdown().await.unwrap();
        assert_eq!(stream.read(&mut back).await.unwrap(), 0);
    }
    // What came behind the head was never a request.
    assert_eq!(up.seen(), 2);
    let log = front.log(2).await;
    assert_eq!(log.len(), 2);
    assert_eq!((&log[0]["status"], &log[0]["bytesIn"], &log[0]["bytesOut"]), (&101.into(), &16.into(), &16.into()));
    assert_eq!(log[0]["instance"], up.id.to_string());
}

#[tokio::test]
async fn a_declined_upgrade_is_a_plain_answer_and_the_next_request_is_read() {
    let mut front = Front::start().await;
    let up = Upstream::start().await;
    front.one(&up).await;
    for protocol in ["websocket", "h2c"] {
        let text = format!(
            "GET /id HTTP/1.1\r\nHost: app.localhost\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n\
             GET /id HTTP/1.1\r\nHost: app.localhost\r\nConnection: close\r\n\r\n"
        );
        let answer = raw(front.address, text).await;
        assert_eq!(answer.statuses(), [200, 200], "{}", answer.all);
    }
    // Version of HTTP: the instance would have switched, but is not asked to.
    let text = "GET /upgrade HTTP/1.1\r\nHost: app.localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n\
        GET /id HTTP/1.1\r\nHost: app.localhost\r\nConnection: close\r\n\r\n";
    let answer = raw(front.address, text).await;
    assert_eq!(answer.statuses(), [200, 200], "{}", answer.all);
    assert!(answer.all.contains("no upgrade asked"));
}

#[tokio::test]
async fn http2_with_prior_knowledge() {
    let mut front = Front::start().await;
    let up = Upstream::start().await;
    front.one(&up).await;
    let sender = h2(&front).await;
    let requests = (0..50).map(|n| {
        let mut sender = sender.clone();
        async move {
            let request = Request::post("http://app.localhost/echo")
                .version(Version::HTTP_2)
                .header("cookie", "a=1")
                .header("cookie", "b=2")
                .body(full(format!("body {n}")))
                .unwrap();
            let response = sender.send_request(request).await.unwrap();
            assert_eq!(response.status(), 200);
            assert!(response.headers().contains_key("orlop-release"));
            let bytes = response.into_body().collect().await.unwrap().to_bytes();
            let echo: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            assert_eq!(echo["body"], format!("body {n}"));
            let text = echo["headers"].to_string();
            assert!(
                text.contains(r#"["host","app.localhost"]"#) && text.contains(r#"["cookie","a=1; b=2"]"#),
                "{text}"
            );
            assert!(text.contains("host=app.localhost;proto=http") && text.contains("2 orlop"), "{text}");
        }
    });
    futures_util::future::join_all(requests).await;
    assert!(front.log(50).await.iter().all(|line| line["protocol"] == "HTTP/2"));
}

#[tokio::test]
async fn http2_trailers_go_both_ways() {
    let mut front = Front::start().await;
    let up = Upstream::start().await;
    front.one(&up).await;
    let mut sender = h2(&front).await;
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "9".parse().unwrap());
    let frames = [Ok(Frame::data(Bytes::from("x"))), Ok(Frame::trailers(trailers))];
    let body = StreamBody::new(futures_util::stream::iter(frames)).boxed();
    let request = Request::post("http://app.localhost/echo").header("trailer", "x-sum").body(body).unwrap();
    let answer = sender.send_request(request).await.unwrap().into_body().collect().await.unwrap().to_bytes();
    let echo: serde_json::Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(echo["trailers"], serde_json::json!([["x-sum", "9"]]));

    let request = Request::get("http://app.localhost/trailers").header("te", "trailers").body(full("")).unwrap();
    let answer = sender.send_request(request).await.unwrap().into_body().collect().await.unwrap();
    assert_eq!(answer.trailers().unwrap()["x-sum"], "42");
}

#[tokio::test]
async fn http2_requests_pass_a_gate_too() {
    let mut front = Front::start().await;
    let up = Upstream::start().await;
    front.one(&up).await;
    let mut sender = h2(&front).await;
    let request = |method: &str, uri: &str| Request::builder().method(method).uri(uri);
    let long = format!("http://app.localhost/{}", "a".repeat(9000));
    let mut many = request("GET", "http://app.localhost/");
    for n in 0..150 {
        many = many.header(format!("x-{n}"), "1");
    }
    for (request, status) in [
        (request("TRACE", "http://app.localhost/"), 501),
        (request("GET", "http://app.localhost/").header("host", "other.localhost"), 400),
        (request("GET", "http://app.localhost/").header("host", "app.localhost"), 200),
        (request("GET", "http://u@app.localhost/"), 400),
        (request("GET", "http://app.localhost/").header("x_forwarded_for", "1"), 400),
        (request("GET", "http://app.localhost/").header("expect", "miracles"), 417),
        (request("GET", "http://app.localhost/%zz"), 400),
        (request("GET", &long), 414),
        (many, 431),
        (request("GET", "http://nobody.localhost/"), 404),
    ] {
        let request = request.body(full("")).unwrap();
        let shown = format!("{} {}", request.method(), &request.uri().to_string()[..20]);
        assert_eq!(sender.send_request(request).await.unwrap().status(), status, "{shown}");
    }
    assert_eq!(up.seen(), 1);
}
