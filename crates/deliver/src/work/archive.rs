//! Sources on their way into the object store, and what detection has to see of them.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};

use api::manifest;
use base::limits::{MANIFEST_BYTES_MAX, SOURCE_BYTES_MAX, SOURCE_FILES_MAX, SOURCE_UNPACKED_BYTES_MAX};
use base::{Problem, Result, SourceId};
use flate2::bufread::MultiGzDecoder;
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
        Packed::Gzip => unpacked(read, pieces, ARCHIVE_BYTES_MAX),
        Packed::Plain => check(read, pieces, ARCHIVE_BYTES_MAX),
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

/// What people send by mistake, by its first bytes.
const OTHERS: [(&str, &[u8]); 7] = [
    ("a zip archive", b"PK\x03\x04"),
    ("an empty zip archive", b"PK\x05\x06"),
    ("a zstd stream", b"\x28\xb5\x2f\xfd"),
    ("an xz stream", b"\xfd7zXZ\0"),
    ("a bzip2 stream", b"BZh"),
    ("a 7z archive", b"7z\xbc\xaf\x27\x1c"),
    ("a rar archive", b"Rar!"),
];

/// Decompresses while it checks; at most `most` bytes come of it.
fn unpacked(read: impl Read, pieces: Pieces, most: u64) -> Result<()> {
    let mut read = BufReader::new(read);
    // A failure to read is told by whoever reads on.
    let first = read.fill_buf().unwrap_or_default();
    if let Some((what, _)) = OTHERS.iter().find(|(_, begin)| first.starts_with(begin)) {
        let problem = Problem::invalid("bad-gzip", format!("the body is {what}, not a gzip-compressed tar"))
            .hint("pack it with `tar -czf source.tar.gz .`, or send it with `orlop deploy`");
        pieces.fail(problem.clone());
        return Err(problem);
    }
    check(MultiGzDecoder::new(read), pieces, most)
}

fn check(read: impl Read, pieces: Pieces, most: u64) -> Result<()> {
    let mut tee = Tee { read, pieces, left: most, most };
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
    most: u64,
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
            let most = base::Bytes(self.most);
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

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// The code of the refusal, and how many bytes were handed on before it.
    async fn bomb(body: Vec<u8>, most: u64) -> (String, usize) {
        let (pieces, mut out) = piped();
        let check = tokio::task::spawn_blocking(move || unpacked(body.as_slice(), pieces, most));
        let mut bytes = 0;
        while let Some(Ok(piece)) = out.next().await {
            bytes += piece.len();
        }
        (check.await.unwrap().unwrap_err().code.into_owned(), bytes)
    }

    #[tokio::test]
    async fn a_gzip_bomb_is_refused_before_it_has_grown() {
        let mut header = tar::Header::new_gnu();
        header.set_size(32 << 20);
        header.set_mode(0o644);
        header.as_mut_bytes()[..4].copy_from_slice(b"zero");
        header.set_cksum();
        let whole = [header.as_bytes().to_vec(), vec![0; 32 << 20]].concat();
        header.set_size(0);
        header.set_cksum();
        let padding = [header.as_bytes().to_vec(), vec![0; 32 << 20]].concat();
        // In a file, behind the end of the archive, and in many members (RFC 1952 §2.2).
        let members = [gzip(&whole[..1024]), gzip(&whole[1024..])].concat();
        for body in [gzip(&whole), gzip(&padding), members] {
            assert!(body.len() < 64 << 10, "it is small when packed: {}", body.len());
            let (code, handed_on) = bomb(body, 1 << 20).await;
            assert_eq!(code, "source-too-large");
            assert!(handed_on <= 1 << 20, "{handed_on} bytes were handed on");
        }
    }
}
