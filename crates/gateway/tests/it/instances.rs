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

#[tokio::test]
async fn an_answer_that_ends_early_is_not_passed_off_as_whole() {
    let front = front(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", true).await;
    assert!(front.connect().await.get("/").await.is_err());
    let log = front.log(1).await;
    assert_eq!((&log[0]["status"], &log[0]["code"]), (&200.into(), &"instance-cut".into()));
    let counters = ports::Gateway::counters(&front.client, None).await.unwrap();
    assert_eq!(counters.iter().map(|c| c.gateway_errors).sum::<u64>(), 1);
}
