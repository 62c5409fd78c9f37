//! As much of RFC 6455 as a client needs that sends short texts and understands a close.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// An answer comes within this span.
const ANSWER: Duration = Duration::from_secs(20);
/// The status with which a service says that it goes away (section 7.4.1).
const GOING_AWAY: u16 = 1001;

type Outcome<T> = std::result::Result<T, String>;

/// An open WebSocket.
pub struct Socket {
    stream: TcpStream,
    /// The release that the gateway named.
    pub release: String,
}

enum Frame {
    Text(String),
    Close(u16),
}

impl Socket {
    /// Opens one (section 4.1).
    pub async fn open(gateway: &str, host: &str, path: &str) -> Outcome<Self> {
        let mut stream = TcpStream::connect(gateway).await.map_err(|e| format!("connect: {e}"))?;
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.map_err(|e| format!("upgrade: {e}"))?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(within(stream.read_u8()).await.map_err(|e| format!("upgrade: {e}: {answer:?}"))?);
        }
        let text = String::from_utf8_lossy(&answer).to_ascii_lowercase();
        // The key of the example in section 1.3, and the answer to it.
        if !text.starts_with("http/1.1 101") || !text.contains("s3pplmbitxaq9kygzzhzrbk+xoo=") {
            return Err(format!("no upgrade: {text}"));
        }
        let release = text.lines().find_map(|line| line.strip_prefix("orlop-release:"));
        Ok(Self { release: release.unwrap_or_default().trim().to_owned(), stream })
    }

    /// Sends a text; what comes back, or nothing where the other side said that it goes away.
    pub async fn echo(&mut self, text: &str) -> Outcome<Option<String>> {
        // A close may be on its way already; then this is sent in vain, and that is no fault.
        let sent = self.send(0x81, text.as_bytes()).await;
        match self.receive().await {
            Ok(Frame::Text(text)) => Ok(Some(text)),
            Ok(Frame::Close(GOING_AWAY)) => {
                let _ = self.send(0x88, &GOING_AWAY.to_be_bytes()).await;
                Ok(None)
            }
            Ok(Frame::Close(status)) => Err(format!("closed with status {status}")),
            Err(why) => Err(format!("broken off without a close: {why} (sent: {sent:?})")),
        }
    }

    /// Closes it from this side.
    pub async fn leave(mut self) -> Outcome<()> {
        self.send(0x88, &1000_u16.to_be_bytes()).await
    }

    /// A short frame, masked with zeros (section 5.3).
    async fn send(&mut self, kind: u8, body: &[u8]) -> Outcome<()> {
        let length = u8::try_from(body.len()).map_err(|_| "too long")?;
        let frame = [&[kind, 0x80 | length, 0, 0, 0, 0][..], body].concat();
        within(self.stream.write_all(&frame)).await
    }

    async fn receive(&mut self) -> Outcome<Frame> {
        let kind = within(self.stream.read_u8()).await?;
        let length = within(self.stream.read_u8()).await?;
        let mut body = vec![0; usize::from(length & 0x7f)];
        within(self.stream.read_exact(&mut body)).await?;
        match kind {
            0x81 => Ok(Frame::Text(String::from_utf8_lossy(&body).into_owned())),
            0x88 => Ok(Frame::Close(body.first_chunk().map_or(1005, |status| u16::from_be_bytes(*status)))),
            other => Err(format!("a frame of kind {other:#x}")),
        }
    }
}

async fn within<T>(done: impl Future<Output = std::io::Result<T>>) -> Outcome<T> {
    match tokio::time::timeout(ANSWER, done).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("nothing came".to_owned()),
    }
}
