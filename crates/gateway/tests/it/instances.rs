//! Instances that do not keep to HTTP: what they say must not harm anybody else.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::*;

/// A gateway before an instance that answers every request with these bytes, and then closes the
/// connection or not.
async fn front(answer: &'static [u8], close: bool) -> Front {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                while stream.read(&mut buffer).await.is_ok_and(|n| n > 0) {
                    if stream.write_all(answer).await.is_err() || close {
                        return;
                    }
                }
            });
        }
    });
    let mut front = Front::with(|o| o.workers = 1).await;
    let up = Upstream::start().await;
    let mut backend = backend(1, &[&up]);
    backend.instances[0].address = ports::Address::Tcp(address);
    front.route(vec![route("app", vec![backend])]).await;
    front
}

/// Two requests on one client connection: neither may see anything of the other's answer.
async fn check(name: &str, answer: &'static [u8], close: bool, expect: (u16, &str)) {
    let front = front(answer, close).await;
    let mut keep = front.connect().await;
    for turn in 0..2 {
        let (status, headers, body) = match keep.get("/").await {
            Ok(got) => got,
            Err(e) => panic!("{name}, turn {turn}: {e:?}"),
        };
        assert_eq!(status, expect.0, "{name}, turn {turn}: {body}");
        assert!(body.contains(expect.1), "{name}, turn {turn}: {body}");
        assert!(!headers.contains_key("x-second"), "{name}");
        let both = headers.contains_key("content-length") && headers.contains_key("transfer-encoding");
        assert!(!both, "{name}: {headers:?}");
    }
}

#[tokio::test]
async fn answers() {
    let ok = (200, "ok");
    check("plain", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", false, ok).await;
    check("until the end", b"HTTP/1.1 200 OK\r\n\r\nok", true, ok).await;
    check("HTTP/1.0", b"HTTP/1.0 200 OK\r\n\r\nok", true, ok).await;
    let hints = b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    check("early hints", hints, false, ok).await;
    let both = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    check("both lengths", both, false, ok).await;
    let extra =
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nx-second: 1\r\ncontent-length: 0\r\n\r\n";
    check("two answers for one request", extra, false, ok).await;
    check("garbage", b"garbage\r\n\r\n", true, (502, "instance-bad-answer")).await;
    let two = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok";
    check("two lengths", two, true, (502, "instance")).await;
    check("nothing", b"", true, (502, "instance-hung-up")).await;
    check("half a head", b"HTTP/1.1 200 OK\r\nconte", true, (502, "instance")).await;
    let switch = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
    check("an upgrade that nobody asked for", switch, false, (502, "instance-bad-answer")).await;
}

#[tokio::test]
async fn an_answer_that_ends_early_is_not_passed_off_as_whole() {
    let front = front(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", true).await;
    assert!(front.connect().await.get("/").await.is_err());
    let log = front.log(1).await;
    assert_eq!((&log[0]["status"], &log[0]["code"]), (&200.into(), &"instance-cut".into()));
    let counters = ports::Gateway::counters(&front.client).await.unwrap();
    assert_eq!(counters.iter().map(|c| c.gateway_errors).sum::<u64>(), 1);
}
