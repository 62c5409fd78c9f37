//! The tree of a commit as a tar stream: the same bytes for the same commit, always.

use std::io::{self, Write};
use std::time::Duration;

use base::{Problem, Result, limits};
use bytes::Bytes;
use gix::ObjectId;
use gix::bstr::ByteSlice as _;
use gix::objs::CommitRef;
use ports::ByteStream;
use tokio::sync::mpsc;

use crate::fault::Gates;
use crate::internal;
use crate::layout::Repository;
use crate::pack::Kind;
use crate::store::Store;
use crate::tree::{self, Mode, shown};

/// Pieces of the stream that wait for the reader, and their size in bytes.
const QUEUE_MAX: usize = 8;
const PIECE_BYTES: usize = 64 << 10;
/// A reader that takes nothing for so long is taken for gone.
const SEND_MAX: Duration = Duration::from_secs(120);
/// Deepest directory; longest path, bytes (Linux PATH_MAX without its NUL).
const DEPTH_MAX: usize = 128;
const PATH_BYTES_MAX: usize = 4095;

/// Starts the stream. The reader decides the speed; a reader that goes away ends the work.
pub(crate) async fn export(gates: &Gates, repository: Repository, id: ObjectId) -> Result<ByteStream> {
    let turn = gates.read().await?;
    let (store, tree, time) = gates.blocking(move || begin(&repository, id)).await?;
    let (pieces, queue) = mpsc::channel(QUEUE_MAX);
    tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let buffer = Vec::with_capacity(PIECE_BYTES);
        let out = Pieces { pieces: pieces.clone(), buffer, runtime: tokio::runtime::Handle::current() };
        let mut archive = Archive { out: tar::Builder::new(out), store, time, bytes: 0, files: 0 };
        let done = archive.directory(&tree, &mut Vec::new(), 0).and_then(|()| archive.finish());
        if let Err(problem) = done {
            let _ = pieces.try_send(Err(problem));
        }
    });
    Ok(Box::pin(tokio_stream::wrappers::ReceiverStream::new(queue)))
}

/// Finds the commit: its tree, and its time in seconds since 1970.
fn begin(repository: &Repository, id: ObjectId) -> Result<(Store, ObjectId, u64)> {
    let store = Store::open(repository.objects())?;
    let missing = || {
        Problem::not_found("commit-not-found", format!("commit {id} is not in this repository"))
            .hint("push it first: `git push orlop HEAD`")
    };
    let commit = store.peel(id)?.ok_or_else(missing)?;
    let (_, data) = store.read(&commit)?.ok_or_else(missing)?;
    let commit = CommitRef::from_bytes(&data, gix::hash::Kind::Sha1).map_err(|e| internal("reading a commit", e))?;
    let time = commit.time().map_or(0, |time| u64::try_from(time.seconds).unwrap_or(0));
    let tree = commit.tree();
    Ok((store, tree, time))
}

struct Archive {
    out: tar::Builder<Pieces>,
    store: Store,
    time: u64,
    bytes: u64,
    files: u64,
}

impl Archive {
    fn directory(&mut self, id: &ObjectId, path: &mut Vec<u8>, depth: usize) -> Result<()> {
        if depth > DEPTH_MAX {
            return Err(too_large("has directories too deep"));
        }
        let data = self.read(id, Kind::Tree)?;
        for entry in tree::parse(&data).map_err(|e| internal("reading a tree", e))? {
            let before = path.len();
            if before > 0 {
                path.push(b'/');
            }
            path.extend_from_slice(entry.name);
            if path.len() > PATH_BYTES_MAX {
                return Err(too_large("has a path too long"));
            }
            match entry.mode {
                Mode::Tree => self.directory(&entry.id, path, depth.saturating_add(1))?,
                Mode::File => self.file(&entry.id, path, 0o644)?,
                Mode::Executable => self.file(&entry.id, path, 0o755)?,
                Mode::Link => self.link(&entry.id, path)?,
                Mode::Submodule => tracing::info!(path = shown(path), "a submodule is left out"),
            }
            path.truncate(before);
        }
        Ok(())
    }

    fn file(&mut self, id: &ObjectId, path: &[u8], mode: u32) -> Result<()> {
        let data = self.read(id, Kind::Blob)?;
        self.count(data.len() as u64)?;
        let mut header = self.header(tar::EntryType::Regular, mode);
        header.set_size(data.len() as u64);
        let path = gix::path::from_bstr(path.as_bstr()).map_err(|e| internal("naming a file", e))?;
        self.out.append_data(&mut header, path, &data[..]).map_err(unread)
    }

    fn link(&mut self, id: &ObjectId, path: &[u8]) -> Result<()> {
        let target = self.read(id, Kind::Blob)?;
        if !stays_inside(path, &target) {
            tracing::warn!(path = shown(path), target = shown(&target), "a link that leaves the tree is left out");
            return Ok(());
        }
        self.count(0)?;
        let mut header = self.header(tar::EntryType::Symlink, 0o777);
        header.set_size(0);
        let path = gix::path::from_bstr(path.as_bstr()).map_err(|e| internal("naming a link", e))?;
        let target = gix::path::from_bstr(target.as_bstr()).map_err(|e| internal("naming a link", e))?;
        self.out.append_link(&mut header, path, target).map_err(unread)
    }

    fn header(&self, kind: tar::EntryType, mode: u32) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_mtime(self.time);
        header.set_uid(0);
        header.set_gid(0);
        header
    }

    fn read(&self, id: &ObjectId, kind: Kind) -> Result<Vec<u8>> {
        match self.store.read(id)? {
            Some((found, data)) if found == kind => Ok(data),
            _ => Err(internal("reading a commit", format!("{} {id} is missing", kind.word()))),
        }
    }

    fn count(&mut self, bytes: u64) -> Result<()> {
        self.bytes = self.bytes.saturating_add(bytes);
        self.files = self.files.saturating_add(1);
        if self.bytes > limits::SOURCE_UNPACKED_BYTES_MAX {
            return Err(too_large(&format!("has more than {}", base::Bytes(limits::SOURCE_UNPACKED_BYTES_MAX))));
        }
        if self.files > limits::SOURCE_FILES_MAX {
            return Err(too_large(&format!("has more than {} files", limits::SOURCE_FILES_MAX)));
        }
        Ok(())
    }

    fn finish(self) -> Result<()> {
        let mut out = self.out.into_inner().map_err(unread)?;
        out.flush().map_err(unread)
    }
}

/// Whether a link at `path` leads to a place inside of the tree. `..` may only come first: there
/// it climbs real directories, while behind a name it could climb out through another link.
fn stays_inside(path: &[u8], target: &[u8]) -> bool {
    if target.is_empty() || target.starts_with(b"/") || target.contains(&0) || target.len() > PATH_BYTES_MAX {
        return false;
    }
    let mut depth = path.iter().filter(|b| **b == b'/').count();
    let mut named = false;
    for part in target.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." if named || depth == 0 => return false,
            b".." => depth = depth.saturating_sub(1),
            _ => named = true,
        }
    }
    true
}

fn too_large(what: &str) -> Problem {
    Problem::too_large("source-too-large", format!("the commit {what}"))
        .hint("keep what is not source code out of the repository (`git rm --cached`, .gitignore)")
}

fn unread(error: io::Error) -> Problem {
    internal("exporting a commit", error)
}

/// Sends what is written, in pieces; waits while the queue is full.
struct Pieces {
    pieces: mpsc::Sender<Result<Bytes>>,
    buffer: Vec<u8>,
    runtime: tokio::runtime::Handle,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = PIECE_BYTES.saturating_sub(self.buffer.len()).min(bytes.len());
        self.buffer.extend_from_slice(bytes.get(..room).unwrap_or_default());
        if self.buffer.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(room)
    }

    fn flush(&mut self) -> io::Result<()> {
        let piece = std::mem::replace(&mut self.buffer, Vec::with_capacity(PIECE_BYTES));
        if piece.is_empty() {
            return Ok(());
        }
        let sent = self.runtime.block_on(self.pieces.send_timeout(Ok(piece.into()), SEND_MAX));
        sent.map_err(|_| io::Error::other("nobody reads any more"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links() {
        for (path, target, inside) in [
            ("a", "b", true),
            ("a", "b/c", true),
            ("a", "./b", true),
            ("d/a", "../b", true),
            ("d/e/a", "../../b", true),
            ("d/a", "..", true),
            ("a", "..", false),
            ("a", "../b", false),
            ("d/a", "../../b", false),
            ("d/a", "b/../../..", false),
            ("d/a", "b/..", false),
            ("a", "/etc/passwd", false),
            ("a", "", false),
            ("a", "b\0c", false),
        ] {
            assert_eq!(stays_inside(path.as_bytes(), target.as_bytes()), inside, "{path} -> {target}");
        }
    }
}
