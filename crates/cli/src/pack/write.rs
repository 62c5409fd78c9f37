use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, EntryType, Header};
use tokio::sync::mpsc;

use super::{Entry, Form, Tree};
use crate::client::Chunks;

/// Size of the pieces that are sent.
const PIECE_BYTES: usize = 64 << 10;
/// Pieces that wait to be sent; packing pauses when they are not taken.
const PIECES_WAITING_MAX: usize = 8;

/// How far packing is.
#[derive(Debug, Default)]
pub struct Packing {
    /// Bytes of files read.
    pub read: AtomicU64,
    /// Bytes packed.
    pub packed: AtomicU64,
    /// Whether the packed form became too large.
    pub too_large: AtomicBool,
}

/// Packs a tree beside the caller and hands the pieces over as they are made.
pub fn chunks(tree: &Arc<Tree>, packed_bytes_max: u64, state: &Arc<Packing>) -> Chunks {
    let (sender, receiver) = mpsc::channel(PIECES_WAITING_MAX);
    let (tree, state) = (Arc::clone(tree), Arc::clone(state));
    state.read.store(0, Ordering::Relaxed);
    state.packed.store(0, Ordering::Relaxed);
    tokio::task::spawn_blocking(move || {
        let sink = Sink { sender: sender.clone(), piece: Vec::new(), max: packed_bytes_max, state: Arc::clone(&state) };
        if let Err(e) = write(&tree, sink, &state.read) {
            // Whoever waits for pieces learns why there are no more; nobody waits when the call is over.
            let _ = sender.blocking_send(Err(e));
        }
    });
    receiver
}

/// Writes the archive.
fn write(tree: &Tree, sink: Sink, read: &AtomicU64) -> io::Result<()> {
    let mut archive = Builder::new(GzEncoder::new(sink, Compression::fast()));
    for entry in &tree.entries {
        append(&mut archive, tree, entry, read)?;
    }
    archive.into_inner()?.finish()?.end()
}

fn append<W: Write>(archive: &mut Builder<W>, tree: &Tree, entry: &Entry, read: &AtomicU64) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_uid(0);
    header.set_gid(0);
    match &entry.form {
        Form::Link { target } => {
            header.set_entry_type(EntryType::Symlink);
            header.set_mode(0o777);
            header.set_size(0);
            archive.append_link(&mut header, &entry.path, target)
        }
        Form::File { size, executable, changed_s } => {
            header.set_entry_type(EntryType::Regular);
            header.set_mode(if *executable { 0o755 } else { 0o644 });
            header.set_mtime(*changed_s);
            header.set_size(*size);
            let path = tree.root.join(&entry.path);
            let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
            let file = File::open(&path).map_err(named)?;
            let mut counted = Counted { inner: file.take(*size), read, left: *size };
            archive.append_data(&mut header, &entry.path, &mut counted).map_err(named)?;
            if counted.left > 0 {
                return Err(named(io::Error::other("it became shorter while it was read; run the command again")));
            }
            Ok(())
        }
    }
}

/// Counts what is read of a file.
struct Counted<'a, R> {
    inner: R,
    read: &'a AtomicU64,
    left: u64,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.read.fetch_add(n as u64, Ordering::Relaxed);
        self.left = self.left.saturating_sub(n as u64);
        Ok(n)
    }
}

/// Hands packed bytes over in pieces.
struct Sink {
    sender: mpsc::Sender<io::Result<Bytes>>,
    piece: Vec<u8>,
    max: u64,
    state: Arc<Packing>,
}

impl Sink {
    fn end(mut self) -> io::Result<()> {
        self.hand_over()
    }

    fn hand_over(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = Bytes::from(std::mem::take(&mut self.piece));
        let packed = self.state.packed.fetch_add(piece.len() as u64, Ordering::Relaxed) + piece.len() as u64;
        if packed > self.max {
            self.state.too_large.store(true, Ordering::Relaxed);
            return Err(io::Error::other("the packed working tree is too large"));
        }
        self.sender.blocking_send(Ok(piece)).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE_BYTES {
            self.hand_over()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use flate2::read::GzDecoder;

    use super::*;
    use crate::pack::{Limits, survey};

    fn pack(root: &std::path::Path, max: u64) -> (Vec<u8>, Option<String>, Arc<Packing>) {
        let tree = Arc::new(survey(root, &Limits::PUBLISHED).unwrap());
        let state = Arc::new(Packing::default());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (mut all, mut error) = (Vec::new(), None);
        runtime.block_on(async {
            let mut pieces = chunks(&tree, max, &state);
            while let Some(piece) = pieces.recv().await {
                match piece {
                    Ok(piece) => all.extend_from_slice(&piece),
                    Err(e) => error = Some(e.to_string()),
                }
            }
        });
        (all, error, state)
    }

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let long = folder.path().join("d".repeat(120));
        fs::create_dir(&long).unwrap();
        fs::write(long.join("f".repeat(90)), "deep").unwrap();
        fs::write(folder.path().join("run.sh"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(folder.path().join("run.sh"), fs::Permissions::from_mode(0o700)).unwrap();
        symlink("run.sh", folder.path().join("link")).unwrap();
        folder
    }

    #[test]
    fn what_is_packed_is_what_was_there_and_twice_the_same() {
        let folder = folder();
        let (first, error, state) = pack(folder.path(), u64::MAX);
        assert_eq!(error, None);
        assert_eq!(first, pack(folder.path(), u64::MAX).0);
        assert_eq!(state.read.load(Ordering::Relaxed), 14);
        let mut archive = tar::Archive::new(GzDecoder::new(first.as_slice()));
        let mut seen = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            let header = entry.header();
            seen.push((
                entry.path().unwrap().to_string_lossy().len(),
                header.mode().unwrap(),
                header.uid().unwrap(),
                text,
            ));
        }
        let expect = [(211, 0o644, 0, "deep"), (4, 0o777, 0, ""), (6, 0o755, 0, "#!/bin/sh\n")];
        assert_eq!(seen, expect.map(|(n, mode, uid, text)| (n, mode, uid, text.to_owned())));
    }

    #[test]
    fn packing_stops_at_its_bound() {
        let (_, error, state) = pack(folder().path(), 10);
        assert!(error.is_some_and(|e| e.contains("too large")) && state.too_large.load(Ordering::Relaxed));
    }

    #[test]
    fn a_file_that_shrinks_or_goes_is_an_error_and_no_archive() {
        let folder = folder();
        let tree = survey(folder.path(), &Limits::PUBLISHED).unwrap();
        fs::write(folder.path().join("run.sh"), "#!").unwrap();
        let (sender, mut receiver) = mpsc::channel(1000);
        let sink = Sink { sender, piece: Vec::new(), max: u64::MAX, state: Arc::default() };
        let error = write(&tree, sink, &AtomicU64::new(0)).unwrap_err().to_string();
        assert!(error.contains("run.sh: it became shorter"), "{error}");
        assert!(receiver.try_recv().is_err(), "nothing half-made is handed over as the end");
    }
}
