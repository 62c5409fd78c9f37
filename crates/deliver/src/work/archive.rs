//! Sources on their way into the object store, and what detection has to see of them.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use api::manifest;
use base::limits::{MANIFEST_BYTES_MAX, SOURCE_BYTES_MAX, SOURCE_FILES_MAX, SOURCE_UNPACKED_BYTES_MAX};
use base::{Problem, Result, SourceId};
use flate2::read::MultiGzDecoder;
use kernel::Ctx;
use ports::ByteStream;

use super::stream::{Blocking, PIPE_CLOSED, Pieces, bad_gzip, blocking, piped, problem_of};
use super::walk::{Item, ItemKind, walk};
use crate::model::source_key;
use crate::recipe::{Entry, Tree};

/// Headers and padding come on top of the files' content.
const ARCHIVE_BYTES_MAX: u64 = SOURCE_UNPACKED_BYTES_MAX + SOURCE_FILES_MAX * 1536;

/// How a source comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packed {
    /// A gzip-compressed tar.
    Gzip,
    /// A tar.
    Plain,
}

/// Checks an archive while it is stored, uncompressed. Returns its length. Nothing is stored when
/// it is refused.
pub(super) async fn store(ctx: &Ctx, source: SourceId, content: ByteStream, packed: Packed) -> Result<u64> {
    let (pieces, out) = piped();
    let most = if packed == Packed::Gzip { SOURCE_BYTES_MAX } else { ARCHIVE_BYTES_MAX };
    let read = Blocking::new(content, most);
    let check = blocking(move || match packed {
        Packed::Gzip => check(MultiGzDecoder::new(read), pieces),
        Packed::Plain => check(read, pieces),
    });
    let objects = &ctx.platform().ports().objects;
    let key = source_key(source);
    let check = tokio::spawn(check);
    let put = objects.put(&key, out).await;
    let checked = check.await.map_err(|e| Problem::internal("task-failed", e))?;
    match (checked, put) {
        (Ok(()), Ok((_, bytes))) => Ok(bytes),
        (Err(problem), put) => {
            if put.is_ok() {
                objects.delete(&key).await?;
            }
            Err(if problem.code == PIPE_CLOSED { put.err().unwrap_or(problem) } else { problem })
        }
        (Ok(()), Err(problem)) => Err(problem),
    }
}

fn check(read: impl Read, pieces: Pieces) -> Result<()> {
    let mut tee = Tee { read, pieces, left: ARCHIVE_BYTES_MAX };
    let walked = walk(&mut tee, SOURCE_UNPACKED_BYTES_MAX, |_, _| Ok(())).and_then(|(files, _)| {
        if files == 0 {
            return Err(Problem::unprocessable("empty-source", "there is no file in the source")
                .hint("deploy from the folder that holds the service, and commit its files"));
        }
        // What comes behind the archive's end is padding.
        io::copy(&mut tee, &mut io::sink()).map(drop).map_err(bad_gzip)
    });
    match walked {
        Ok(()) => tee.pieces.finish(),
        Err(problem) => {
            tee.pieces.fail(problem.clone());
            Err(problem)
        }
    }
}

/// Hands on what is read.
struct Tee<R> {
    read: R,
    pieces: Pieces,
    left: u64,
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.read.read(out).map_err(|e| match e.kind() {
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                io::Error::other(bad_gzip(e))
            }
            _ => e,
        })?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            let most = base::Bytes(ARCHIVE_BYTES_MAX);
            io::Error::other(Problem::too_large("source-too-large", format!("it has more than {most} when unpacked")))
        })?;
        self.pieces.write_all(out.get(..read).unwrap_or_default())?;
        Ok(read)
    }
}

/// What detection and the service file need of a stored source.
pub(super) struct Looked {
    pub tree: Tree,
    /// The service file, where there is one.
    pub manifest: Option<Vec<u8>>,
}

/// Reads a stored source.
pub(super) async fn look(ctx: &Ctx, source: SourceId) -> Result<Looked> {
    let stream = ctx.platform().ports().objects.get(&source_key(source)).await?;
    let read = Blocking::new(stream, ARCHIVE_BYTES_MAX);
    blocking(move || {
        let mut files = BTreeMap::new();
        let mut manifest = None;
        walk(read, SOURCE_UNPACKED_BYTES_MAX, |item, content| {
            if let Some(bytes) = wanted(&item, content)? {
                if item.path == manifest::FILE {
                    manifest = Some(bytes.clone());
                }
                put(&mut files, item, Some(bytes));
            } else {
                put(&mut files, item, None);
            }
            Ok(())
        })?;
        Ok(Looked { tree: Tree::new(files), manifest })
    })
    .await
}

fn put(files: &mut BTreeMap<String, Entry>, item: Item, content: Option<Vec<u8>>) {
    let entry = match item.kind {
        ItemKind::File { size, executable } => Entry { size, executable, content },
        // A link is a name that is there; what it leads to is not looked into.
        ItemKind::Link(_) | ItemKind::Same(_) => Entry::default(),
        ItemKind::Folder => return,
    };
    files.insert(item.path, entry);
}

/// The content of a file that says something.
fn wanted(item: &Item, content: &mut dyn Read) -> Result<Option<Vec<u8>>> {
    let ItemKind::File { size, .. } = item.kind else { return Ok(None) };
    let is_manifest = item.path == manifest::FILE;
    if !is_manifest && !Tree::wants(&item.path, size) {
        return Ok(None);
    }
    // One byte more than allowed is enough to refuse a service file that is too large.
    let most = size.min(MANIFEST_BYTES_MAX as u64 + 1);
    let mut bytes = Vec::new();
    content.take(most).read_to_end(&mut bytes).map_err(|e| problem_of(e, "read the source"))?;
    Ok(Some(bytes))
}
