//! Between streams of the ports and readers and writers that block.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use base::{Problem, Result};
use bytes::{Buf, Bytes};
use flate2::read::MultiGzDecoder;
use futures_util::StreamExt;
use futures_util::stream;
use ports::ByteStream;
use tokio::io::AsyncReadExt;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// Bytes per piece and pieces under way.
const PIECE_BYTES: usize = 64 << 10;
const PIECES: usize = 8;
/// The code of the problem that says that nobody reads any more.
pub(super) const PIPE_CLOSED: &str = "pipe-closed";

/// Runs something that blocks where it disturbs nobody.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| Problem::internal("task-failed", format!("a task failed: {e}")))?
}

/// A stream as a reader, for a thread that may block. Refuses more than `left` bytes.
pub(super) struct Blocking {
    // A reader may be asked again at its end; a stream may not.
    stream: stream::Fuse<ByteStream>,
    chunk: Bytes,
    handle: Handle,
    left: u64,
    most: u64,
}

impl Blocking {
    /// Made where the runtime is, used where it is not.
    pub(super) fn new(stream: ByteStream, bytes_max: u64) -> Self {
        Self { stream: stream.fuse(), chunk: Bytes::new(), handle: Handle::current(), left: bytes_max, most: bytes_max }
    }
}

impl Read for Blocking {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            match self.handle.block_on(self.stream.next()) {
                None => return Ok(0),
                Some(chunk) => self.chunk = chunk.map_err(io::Error::other)?,
            }
            self.left =
                self.left.checked_sub(self.chunk.len() as u64).ok_or_else(|| io::Error::other(too_large(self.most)))?;
        }
        let take = self.chunk.len().min(out.len());
        self.chunk.split_to(take).copy_to_slice(out.get_mut(..take).unwrap_or_default());
        Ok(take)
    }
}

fn too_large(most: u64) -> Problem {
    Problem::too_large("source-too-large", format!("it has more than {} bytes", base::Bytes(most)))
        .hint("leave out what is made by the build and what is not needed to run, with a `.gitignore`")
}

/// The writing end of a stream.
pub(super) struct Pieces {
    sender: mpsc::Sender<Result<Bytes>>,
    buffer: Vec<u8>,
}

/// A stream and its writing end. The stream ends when the writer is dropped: call
/// [`Pieces::finish`] or [`Pieces::fail`] first.
pub(super) fn piped() -> (Pieces, ByteStream) {
    let (sender, receiver) = mpsc::channel(PIECES);
    let stream = stream::unfold(receiver, |mut receiver| async move {
        let piece = receiver.recv().await?;
        Some((piece, receiver))
    });
    (Pieces { sender, buffer: Vec::with_capacity(PIECE_BYTES) }, Box::pin(stream))
}

impl Pieces {
    /// Sends what is left.
    pub(super) fn finish(mut self) -> Result<()> {
        self.flush().map_err(|e| problem_of(e, "hand the bytes on"))
    }

    /// Lets the stream end with a problem.
    pub(super) fn fail(self, problem: Problem) {
        // An error means that nobody reads any more.
        let _ = self.sender.blocking_send(Err(problem));
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.buffer, Vec::with_capacity(PIECE_BYTES));
        self.sender.blocking_send(Ok(piece.into())).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// The problem in an I/O error: one of ours that travelled in it, or a description.
pub(super) fn problem_of(error: io::Error, what: &str) -> Problem {
    if let Some(problem) = error.get_ref().and_then(|inner| inner.downcast_ref::<Problem>()) {
        return problem.clone();
    }
    match error.kind() {
        io::ErrorKind::BrokenPipe => Problem::unavailable(PIPE_CLOSED, "nobody reads any more"),
        io::ErrorKind::StorageFull => Problem::unavailable("disk-full", format!("cannot {what}: the disk is full"))
            .hint("an operator has to make room in the data directory"),
        _ => Problem::unavailable("io-failed", format!("cannot {what}: {error}")),
    }
}

/// Decompresses a body (RFC 1952), bounded.
pub(crate) fn gunzip(body: ByteStream, bytes_max: u64) -> ByteStream {
    let (mut pieces, out) = piped();
    let read = Blocking::new(body, bytes_max);
    tokio::task::spawn_blocking(move || {
        let mut read = MultiGzDecoder::new(read).take(bytes_max.saturating_add(1));
        match io::copy(&mut read, &mut pieces) {
            Ok(copied) if copied > bytes_max => pieces.fail(too_large(bytes_max)),
            // Nobody reads any more; nothing to say.
            Ok(_) => drop(pieces.finish()),
            Err(error) => pieces.fail(bad_gzip(error)),
        }
    });
    out
}

/// What went wrong while decompressing.
pub(super) fn bad_gzip(error: io::Error) -> Problem {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Problem>()) {
        Some(problem) => problem.clone(),
        None if error.kind() == io::ErrorKind::BrokenPipe => problem_of(error, "hand the bytes on"),
        None => Problem::invalid("bad-gzip", format!("the body is not valid gzip: {error}"))
            .hint("send a gzip-compressed tar, as `orlop deploy` does"),
    }
}

/// A file as a stream.
pub(super) async fn file_stream(path: PathBuf) -> Result<ByteStream> {
    let file = tokio::fs::File::open(&path).await.map_err(|e| problem_of(e, "open a temporary file"))?;
    Ok(Box::pin(stream::try_unfold(file, |mut file| async move {
        let mut piece = vec![0; PIECE_BYTES];
        let read = file.read(&mut piece).await.map_err(|e| problem_of(e, "read a temporary file"))?;
        piece.truncate(read);
        Ok((read > 0).then(|| (Bytes::from(piece), file)))
    })))
}

/// Bytes as a stream.
pub(super) fn bytes_stream(bytes: Vec<u8>) -> ByteStream {
    Box::pin(stream::iter([Ok(Bytes::from(bytes))]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reader_may_be_asked_again_at_its_end() {
        for pieces in [&[][..], &[&b"a"[..], b"bc"]] {
            let (sender, receiver) = mpsc::channel(PIECES);
            for piece in pieces {
                sender.send(Ok(Bytes::from_static(piece))).await.unwrap();
            }
            drop(sender);
            // Such a stream panics when it is polled behind its end.
            let stream =
                stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) });
            let mut read = Blocking::new(Box::pin(stream), 10);
            let read = blocking(move || {
                let mut out = Vec::new();
                read.read_to_end(&mut out).and_then(|_| read.read_to_end(&mut out)).unwrap();
                Ok(out)
            });
            assert_eq!(read.await.unwrap(), pieces.concat());
        }
    }
}
