//! Clone and fetch: one stateless round of `git upload-pack`.

use std::time::Duration;

use base::{Problem, Result};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, stream};
use ports::ByteStream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_stream::wrappers::ReceiverStream;

use crate::fault::Gates;
use crate::layout::Repository;
use crate::packet::{self, FLUSH};
use crate::program::{Program, Protocol};

/// Longest time one round may take.
const ROUND_MAX: Duration = Duration::from_secs(1800);
/// Longest silence of git within a round.
const SILENCE_MAX: Duration = Duration::from_secs(300);
/// Pieces of output that wait for the reader.
const QUEUE_MAX: usize = 8;
/// Largest request: wants and haves, bytes.
const REQUEST_BYTES_MAX: u64 = 32 << 20;
/// What is kept of git's complaints, bytes.
const STDERR_BYTES_MAX: u64 = 4 << 10;

pub(crate) async fn serve(
    gates: &Gates,
    program: Program,
    repository: &Repository,
    body: Option<ByteStream>,
    protocol: Option<&str>,
) -> Result<ByteStream> {
    let turn = gates.read().await?;
    let protocol = Protocol::parse(protocol);
    let mut child = program.upload_pack(repository.path(), body.is_none(), protocol)?;
    let lost = || crate::internal("starting git", "it has no pipes");
    let stdout = child.stdout.take().ok_or_else(lost)?;
    let stderr = child.stderr.take().ok_or_else(lost)?;
    let head = if body.is_none() && protocol != Protocol::V2 { service_line() } else { Bytes::new() };
    if let (Some(body), Some(stdin)) = (body, child.stdin.take()) {
        tokio::spawn(feed(body, stdin));
    }
    let round = Round { child, stdout, complaint: tokio::spawn(complaint(stderr)), ends: deadline(), _turn: turn };
    let (pieces, queue) = mpsc::channel(QUEUE_MAX);
    tokio::spawn(pump(round, pieces));
    let head = stream::iter((!head.is_empty()).then_some(Ok(head)));
    Ok(head.chain(ReceiverStream::new(queue)).boxed())
}

/// Hands git's output on; a reader that goes away or stands still ends git.
async fn pump(mut round: Round, pieces: mpsc::Sender<Result<Bytes>>) {
    while let Some(piece) = round.next().await.transpose() {
        let failed = piece.is_err();
        if pieces.send_timeout(piece, SILENCE_MAX).await.is_err() || failed {
            return;
        }
    }
}

/// gitprotocol-http: precedes the refs, but for version 2.
fn service_line() -> Bytes {
    let mut out = Vec::new();
    packet::write(&mut out, b"# service=git-upload-pack\n");
    out.extend_from_slice(FLUSH);
    out.into()
}

fn deadline() -> tokio::time::Instant {
    tokio::time::Instant::now() + ROUND_MAX
}

/// Everything that must stay until the round ends; dropping it kills git.
struct Round {
    child: Child,
    stdout: ChildStdout,
    complaint: tokio::task::JoinHandle<String>,
    ends: tokio::time::Instant,
    _turn: OwnedSemaphorePermit,
}

impl Round {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        let mut buffer = BytesMut::with_capacity(64 << 10);
        let until = self.ends.min(tokio::time::Instant::now() + SILENCE_MAX);
        let read = tokio::time::timeout_at(until, self.stdout.read_buf(&mut buffer)).await.map_err(|_| late())?;
        if read.map_err(|e| crate::internal("reading from git", e))? > 0 {
            return Ok(Some(buffer.freeze()));
        }
        let status = tokio::time::timeout_at(until, self.child.wait()).await.map_err(|_| late())?;
        let status = status.map_err(|e| crate::internal("waiting for git", e))?;
        if status.success() {
            return Ok(None);
        }
        let complaint = (&mut self.complaint).await.unwrap_or_default();
        tracing::warn!(%status, complaint, "git upload-pack failed");
        Err(crate::internal("git upload-pack failed", status))
    }
}

fn late() -> Problem {
    Problem::timeout("git-timeout", "clone or fetch took too long").hint("try again; `git fetch` goes on where it can")
}

/// Hands the request to git; git answers what is wrong with it.
async fn feed(mut body: ByteStream, mut stdin: ChildStdin) {
    let mut seen = 0u64;
    let copy = async {
        while let Some(Ok(chunk)) = body.next().await {
            seen = seen.saturating_add(chunk.len() as u64);
            if seen > REQUEST_BYTES_MAX || stdin.write_all(&chunk).await.is_err() {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(SILENCE_MAX, copy).await;
}

async fn complaint(stderr: ChildStderr) -> String {
    let mut text = Vec::new();
    let mut stderr = stderr.take(STDERR_BYTES_MAX);
    let _ = stderr.read_to_end(&mut text).await;
    // The rest is read so that git does not wait for it.
    let _ = tokio::io::copy(&mut stderr.into_inner(), &mut tokio::io::sink()).await;
    String::from_utf8_lossy(&text).chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
