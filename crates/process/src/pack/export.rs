//! A directory of an ended build as a tar stream: same content, same bytes.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use base::limits::{ARTIFACT_UNPACKED_BYTES_MAX, SOURCE_FILES_MAX};
use base::{Problem, Result};
use bytes::Bytes;
use ports::ByteStream;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags};
use tokio::sync::mpsc;

use super::source::{blocking, io_problem};

/// Bytes per piece and pieces under way.
const PIECE_BYTES: usize = 64 << 10;
const PIECES: usize = 8;
/// Deepest path, parts; the same as for archives that are unpacked.
const DEPTH_MAX: usize = 100;

/// Streams the directory `path`, as seen from `root`, as an uncompressed tar with sorted names and
/// without times and owners.
pub(crate) async fn export(root: PathBuf, path: String) -> Result<ByteStream> {
    let dir = blocking(move || open(&root, &path)).await?;
    let (sender, receiver) = mpsc::channel::<Result<Bytes>>(PIECES);
    tokio::task::spawn_blocking(move || {
        let mut pack =
            Pack { tar: tar::Builder::new(Pieces { sender: sender.clone(), buffer: Vec::new() }), files: 0, bytes: 0 };
        let done = pack.folder(&dir, Path::new("")).and_then(|()| {
            let mut pieces = pack.tar.into_inner().map_err(|e| io_problem("end the archive", &e))?;
            pieces.flush().map_err(|e| io_problem("send the archive", &e))
        });
        if let Err(problem) = done {
            // The receiver may be gone: then nobody wants to know.
            let _ = sender.blocking_send(Err(problem));
        }
    });
    Ok(Box::pin(futures_util::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|piece| (piece, receiver))
    })))
}

fn open(root: &Path, path: &str) -> Result<OwnedFd> {
    let no = |why: &str| {
        Problem::unprocessable("export-path", format!("the directory {path} cannot be exported: {why}"))
            .hint("name a directory that the build has written beneath /workspace")
    };
    let inside = Path::new(path).strip_prefix("/workspace").map_err(|_| no("it is not beneath /workspace"))?;
    if inside.components().any(|c| !matches!(c, Component::Normal(_))) {
        return Err(no("it contains `.` or `..`"));
    }
    let root = std::fs::File::open(root).map_err(|_| no("the instance has no workspace"))?;
    let inside = if inside.as_os_str().is_empty() { Path::new(".") } else { inside };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    rustix::fs::openat2(&root, inside, flags, Mode::empty(), resolve).map_err(|e| match e {
        rustix::io::Errno::NOENT => no("it does not exist"),
        rustix::io::Errno::NOTDIR => no("it is not a directory"),
        rustix::io::Errno::LOOP | rustix::io::Errno::XDEV => no("a symbolic link is on the way"),
        e => no(&e.to_string()),
    })
}

struct Pack {
    tar: tar::Builder<Pieces>,
    files: u64,
    bytes: u64,
}

impl Pack {
    fn folder(&mut self, dir: &OwnedFd, path: &Path) -> Result<()> {
        if path.components().count() > DEPTH_MAX {
            return Err(Problem::too_large("export-too-large", format!("it is deeper than {DEPTH_MAX} folders")));
        }
        let said = |what: &str, e: rustix::io::Errno| io_problem(what, &e.into()).at(path.display());
        let mut names: Vec<OsString> = Vec::new();
        for entry in Dir::read_from(dir).map_err(|e| said("read a folder", e))? {
            let entry = entry.map_err(|e| said("read a folder", e))?;
            let name = entry.file_name().to_bytes();
            if !matches!(name, b"." | b"..") {
                names.push(OsString::from_vec(name.to_vec()));
            }
        }
        names.sort_unstable();
        for name in names {
            self.files += 1;
            if self.files > SOURCE_FILES_MAX {
                return Err(Problem::too_large(
                    "export-too-large",
                    format!("it has more than {SOURCE_FILES_MAX} files"),
                ));
            }
            self.entry(dir, &name, &path.join(&name))?;
        }
        Ok(())
    }

    fn entry(&mut self, dir: &OwnedFd, name: &OsStr, path: &Path) -> Result<()> {
        let said = |what: &str, e: rustix::io::Errno| io_problem(what, &e.into()).at(path.display());
        let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|e| said("look at a file", e))?;
        let open = |flags: OFlags| {
            rustix::fs::openat(dir, name, flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
                .map_err(|e| said("open a file", e))
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let inner = open(OFlags::DIRECTORY)?;
                self.append(header(tar::EntryType::Directory, 0o755, 0), path, io::empty())?;
                self.folder(&inner, path)
            }
            FileType::RegularFile => {
                let file = std::fs::File::from(open(OFlags::empty())?);
                let size = u64::try_from(stat.st_size).unwrap_or(0);
                self.bytes = self.bytes.saturating_add(size);
                if self.bytes > ARTIFACT_UNPACKED_BYTES_MAX {
                    let most = format!("it has more than {ARTIFACT_UNPACKED_BYTES_MAX} bytes");
                    return Err(Problem::too_large("export-too-large", most));
                }
                let mode = if stat.st_mode & 0o100 != 0 { 0o755 } else { 0o644 };
                self.append(header(tar::EntryType::Regular, mode, size), path, io::Read::take(file, size))
            }
            FileType::Symlink => self.link(dir, name, path),
            other => Err(Problem::unprocessable(
                "export-refused",
                format!("it contains a {other:?}, which cannot be part of a release"),
            )
            .at(path.display())
            .hint("remove it at the end of the build")),
        }
    }

    fn link(&mut self, dir: impl AsFd, name: &OsStr, path: &Path) -> Result<()> {
        let target = rustix::fs::readlinkat(dir, name, Vec::new())
            .map_err(|e| io_problem("read a link", &e.into()).at(path.display()))?;
        let target = PathBuf::from(OsStr::from_bytes(target.to_bytes()));
        if !stays_inside(path, &target) {
            return Err(Problem::unprocessable(
                "export-refused",
                format!(
                    "the symbolic link points to `{}`, which is outside of the exported directory",
                    target.display()
                ),
            )
            .at(path.display())
            .hint("copy the file instead of linking to it, or let the link be relative and stay inside"));
        }
        let mut header = header(tar::EntryType::Symlink, 0o777, 0);
        self.tar.append_link(&mut header, path, target).map_err(|e| io_problem("write the archive", &e))
    }

    fn append(&mut self, mut header: tar::Header, path: &Path, content: impl io::Read) -> Result<()> {
        self.tar.append_data(&mut header, path, content).map_err(|e| io_problem("write the archive", &e))
    }
}

fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

/// Whether a link at `path` climbs no higher than the exported directory.
fn stays_inside(path: &Path, target: &Path) -> bool {
    let mut depth = path.components().count().saturating_sub(1);
    target.components().all(|part| match part {
        Component::Normal(_) => {
            depth += 1;
            true
        }
        Component::CurDir => true,
        Component::ParentDir if depth > 0 => {
            depth -= 1;
            true
        }
        _ => false,
    })
}

/// Hands the written bytes to the stream.
struct Pieces {
    sender: mpsc::Sender<Result<Bytes>>,
    buffer: Vec<u8>,
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
        let piece = Bytes::from(std::mem::take(&mut self.buffer));
        self.sender.blocking_send(Ok(piece)).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_judged_by_where_they_lead() {
        let check = |path: &str, target: &str, expect| {
            assert_eq!(stays_inside(Path::new(path), Path::new(target)), expect, "{path} -> {target}");
        };
        check("a", "b", true);
        check("a/b", "../c", true);
        check("a", "../c", false);
        check("a/b", "../../c", false);
        check("a", "/etc/passwd", false);
        check("node_modules/.bin/x", "../x/cli.js", true);
    }
}
