//! Objects as blocking streams, and sources unpacked from them.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;

use base::limits::{SOURCE_FILES_MAX, SOURCE_UNPACKED_BYTES_MAX};
use base::{Digest, Problem, Result};
use bytes::{Buf, Bytes};
use futures_util::StreamExt;
use futures_util::stream::Fuse;
use ports::{ByteStream, Objects};
use sha2::{Digest as _, Sha256};
use tokio::runtime::Handle;

use super::tree::make_private;
use super::unpack::{Rules, Spent, unpack};

/// Unpacks the tar object `key` into a new directory that belongs to `owner`.
pub(crate) async fn fetch(objects: &dyn Objects, key: &str, into: &Path, owner: Option<u32>) -> Result<()> {
    let stream = objects.get(key).await?;
    let into = into.to_owned();
    blocking(move || {
        make_private(&into, owner).map_err(|e| io_problem("make the workspace", &e))?;
        let root = OwnedFd::from(std::fs::File::open(&into).map_err(|e| io_problem("open the workspace", &e))?);
        let rules =
            Rules { bytes_max: SOURCE_UNPACKED_BYTES_MAX, entries_max: SOURCE_FILES_MAX, owner, whiteouts: false };
        unpack(&root, Blocking::new(stream), &rules, &mut Spent::default())
    })
    .await
}

/// Runs something that blocks where it disturbs nobody.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| Problem::internal("task-failed", format!("a task of the engine failed: {e}")))?
}

pub(crate) fn io_problem(what: &str, e: &io::Error) -> Problem {
    Problem::internal("engine-io", format!("{what}: {e}"))
}

/// A stream of bytes, read on a thread that may block; counts and digests what goes through.
pub(super) struct Blocking {
    // A reader may be asked again at its end; a stream may not.
    stream: Fuse<ByteStream>,
    handle: Handle,
    chunk: Bytes,
    sha: Sha256,
    length: u64,
}

impl Blocking {
    /// Must be called on a thread of the runtime's blocking pool.
    pub(super) fn new(stream: ByteStream) -> Self {
        Self { stream: stream.fuse(), handle: Handle::current(), chunk: Bytes::new(), sha: Sha256::new(), length: 0 }
    }

    /// Reads the rest and tells digest and length of the whole.
    pub(super) fn finish(mut self) -> io::Result<(Digest, u64)> {
        io::copy(&mut self, &mut io::sink())?;
        Ok((Digest::from_sha256(self.sha.finalize().into()), self.length))
    }
}

impl Read for Blocking {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            match self.handle.block_on(self.stream.next()) {
                None => return Ok(0),
                Some(chunk) => self.chunk = chunk.map_err(io::Error::other)?,
            }
            self.sha.update(&self.chunk);
            self.length += self.chunk.len() as u64;
        }
        let n = self.chunk.len().min(buffer.len());
        self.chunk.copy_to_slice(buffer.get_mut(..n).unwrap_or_default());
        Ok(n)
    }
}
