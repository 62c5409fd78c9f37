//! The strict extractor. Every path is resolved beneath the target's handle without following any
//! link (openat2(2), RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS).

use std::cell::Cell;
use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use base::{Problem, Result};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Uid};
use rustix::io::Errno;
use tar::EntryType;

/// What an archive may hold and whose its files become.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// Most bytes of all files together.
    pub(crate) bytes_max: u64,
    /// Most entries.
    pub(crate) entries_max: u64,
    /// Owner of everything, where it is not the platform's own user.
    pub(crate) owner: Option<u32>,
    /// Whether names that begin with `.wh.` delete (OCI image-spec, layer.md, whiteouts).
    pub(crate) whiteouts: bool,
}

/// Most bytes that describe one entry: long names and extended headers, which are kept in memory, and
/// whatever an entry that is no file has as content.
const HEADERS_BYTES_MAX: u64 = 1 << 20;
/// Deepest path, parts.
const DEPTH_MAX: usize = 100;
const OPAQUE: &[u8] = b".wh..wh..opq";
const WHITEOUT: &[u8] = b".wh.";

/// Counts over all archives that go into one directory.
#[derive(Debug, Default)]
pub(crate) struct Spent {
    bytes: u64,
    entries: u64,
}

/// Unpacks one tar stream. Modes become 755 or 644 (755 where the owner may execute); times, owners and
/// extended attributes of the archive do not matter.
pub(crate) fn unpack(root: &OwnedFd, archive: impl Read, rules: &Rules, spent: &mut Spent) -> Result<()> {
    // Headers and padding are bounded too: nothing else ends a stream of empty entries.
    let stream_max = rules.bytes_max.saturating_add(rules.entries_max.saturating_mul(4096));
    let left = Cell::new(HEADERS_BYTES_MAX);
    let mut archive = tar::Archive::new(Metered { read: archive.take(stream_max), left: &left });
    let mut entries = archive.entries().map_err(broken)?;
    while let Some(entry) = {
        left.set(HEADERS_BYTES_MAX);
        entries.next()
    } {
        let mut entry = entry.map_err(broken)?;
        // From here on it is content, which counts against the archive's own bound.
        left.set(u64::MAX);
        let path = entry.path().map_err(broken)?.into_owned();
        let shown = shown(path.as_os_str());
        spent.entries += 1;
        spent.bytes = spent.bytes.saturating_add(entry.size());
        if spent.entries > rules.entries_max || spent.bytes > rules.bytes_max {
            return Err(Problem::too_large(
                "archive-too-large",
                format!(
                    "the archive has more than {} files or {} bytes when unpacked",
                    rules.entries_max, rules.bytes_max
                ),
            )
            .at(shown));
        }
        one(root, &mut entry, &path, rules).map_err(|problem| problem.at(shown))?;
    }
    Ok(())
}

/// Ends a stream in which more describes an entry than may.
struct Metered<'m, R> {
    read: R,
    left: &'m Cell<u64>,
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left.get();
        if left == 0 && !buffer.is_empty() {
            let why = format!("is described by more than {HEADERS_BYTES_MAX} bytes of headers");
            return Err(io::Error::other(refused(&why)));
        }
        let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let n = self.read.read(buffer.get_mut(..most).unwrap_or_default())?;
        self.left.set(left.saturating_sub(n as u64));
        Ok(n)
    }
}

fn one(root: &OwnedFd, entry: &mut tar::Entry<'_, impl Read>, path: &Path, rules: &Rules) -> Result<()> {
    let kind = entry.header().entry_type();
    if matches!(kind, EntryType::XGlobalHeader | EntryType::XHeader) {
        return Ok(());
    }
    let parts = parts(path)?;
    let Some((name, dirs)) = parts.split_last() else {
        return if kind.is_dir() { Ok(()) } else { Err(refused("has no name")) };
    };
    let dir = enter(root, dirs, rules)?;
    if rules.whiteouts && name.as_bytes().starts_with(WHITEOUT) {
        return white_out(&dir, name);
    }
    match kind {
        EntryType::Directory => make_dir(&dir, name, rules).map(drop),
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => file(&dir, name, entry, rules),
        EntryType::Symlink => {
            let target = link_target(entry)?;
            stays_inside(dirs.len(), &target)?;
            clear(&dir, name)?;
            rustix::fs::symlinkat(&target, &dir, *name).map_err(|e| failed("make a link", e))?;
            own(&dir, name, rules)
        }
        EntryType::Link => {
            let target = link_target(entry)?;
            let target = self::parts(&target)?;
            let Some((from, from_dirs)) = target.split_last() else { return Err(refused("links to nothing")) };
            let from_dir = open_beneath(root, from_dirs)?;
            let stat = rustix::fs::statat(&from_dir, *from, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|e| failed("find the target of a link", e))?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
                return Err(refused("is a hard link to something that is not a file"));
            }
            clear(&dir, name)?;
            rustix::fs::linkat(&from_dir, *from, &dir, *name, AtFlags::empty()).map_err(|e| failed("make a link", e))
        }
        EntryType::Block | EntryType::Char | EntryType::Fifo => Err(refused("is a device or a pipe")),
        other => Err(refused(&format!("has the unknown type {:?}", other.as_byte()))),
    }
}

/// The parts of a relative path that only goes down.
fn parts(path: &Path) -> Result<Vec<&OsStr>> {
    let mut parts = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => parts.push(name),
            Component::CurDir => {}
            Component::ParentDir => return Err(refused("contains `..`")),
            Component::RootDir | Component::Prefix(_) => return Err(refused("is an absolute path")),
        }
    }
    if parts.len() > DEPTH_MAX {
        return Err(refused("is too deep"));
    }
    Ok(parts)
}

fn link_target(entry: &tar::Entry<'_, impl Read>) -> Result<PathBuf> {
    let target = entry.link_name().map_err(broken)?.ok_or_else(|| refused("is a link without a target"))?;
    Ok(target.into_owned())
}

/// Whether a symbolic link `depth` folders down points to a place beneath the root: it may climb only
/// as far as its own depth.
fn stays_inside(depth: usize, target: &Path) -> Result<()> {
    let mut at = depth;
    for part in target.components() {
        match part {
            Component::Normal(_) => at += 1,
            Component::CurDir => {}
            Component::ParentDir => {
                at = at.checked_sub(1).ok_or_else(|| refused(&leaves(target)))?;
            }
            Component::RootDir | Component::Prefix(_) => return Err(refused(&leaves(target))),
        }
    }
    Ok(())
}

fn leaves(target: &Path) -> String {
    format!("is a link to `{}`, which is outside", shown(target.as_os_str()))
}

fn file(dir: &OwnedFd, name: &OsStr, entry: &mut tar::Entry<'_, impl Read>, rules: &Rules) -> Result<()> {
    let executable = entry.header().mode().map_err(broken)? & 0o100 != 0;
    clear(dir, name)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(dir, name, flags, Mode::from_raw_mode(0o600)).map_err(|e| failed("make a file", e))?;
    let mut file = std::fs::File::from(fd);
    std::io::copy(entry, &mut file).map_err(broken)?;
    file.flush().map_err(broken)?;
    own_fd(&file, rules)?;
    let mode = if executable { 0o755 } else { 0o644 };
    rustix::fs::fchmod(&file, Mode::from_raw_mode(mode)).map_err(|e| failed("set the mode of a file", e))
}

/// Goes down into folders, making those that are missing.
fn enter(root: &OwnedFd, dirs: &[&OsStr], rules: &Rules) -> Result<OwnedFd> {
    match open_beneath(root, dirs) {
        Ok(dir) => return Ok(dir),
        Err(problem) if problem.code != "archive-entry-missing" => return Err(problem),
        Err(_) => {}
    }
    let mut at = root.try_clone().map_err(broken)?;
    for name in dirs {
        at = make_dir(&at, name, rules)?;
    }
    Ok(at)
}

fn open_beneath(root: &OwnedFd, dirs: &[&OsStr]) -> Result<OwnedFd> {
    let path: PathBuf = if dirs.is_empty() { PathBuf::from(".") } else { dirs.iter().collect() };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(root, &path, flags, Mode::empty(), resolve).map_err(|e| match e {
        Errno::NOENT => Problem::unprocessable("archive-entry-missing", "a folder is missing"),
        Errno::LOOP | Errno::NOTDIR | Errno::XDEV => refused("goes through a link or a file"),
        e => failed("open a folder", e),
    })
}

/// A folder in a folder, made if it is missing. Something else of that name is in the way.
fn make_dir(dir: &OwnedFd, name: &OsStr, rules: &Rules) -> Result<OwnedFd> {
    let made = match rustix::fs::mkdirat(dir, name, Mode::from_raw_mode(0o755)) {
        Ok(()) => true,
        Err(Errno::EXIST) => false,
        Err(e) => return Err(failed("make a folder", e)),
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(dir, name, flags, Mode::empty()).map_err(|e| match e {
        Errno::LOOP | Errno::NOTDIR => refused("goes through a link or a file"),
        e => failed("open a folder", e),
    })?;
    if made {
        rustix::fs::fchmod(&fd, Mode::from_raw_mode(0o755)).map_err(|e| failed("set the mode of a folder", e))?;
        own_fd(&fd, rules)?;
    }
    Ok(fd)
}

/// Removes what an earlier entry or layer left under this name, unless it is a folder.
fn clear(dir: &OwnedFd, name: &OsStr) -> Result<()> {
    match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(Errno::ISDIR) => Err(refused("replaces a folder")),
        Err(e) => Err(failed("replace a file", e)),
    }
}

fn white_out(dir: &OwnedFd, name: &OsStr) -> Result<()> {
    let bytes = name.as_bytes();
    if bytes == OPAQUE {
        return super::tree::empty(dir).map_err(|e| failed("empty a folder", e));
    }
    let victim = OsStr::from_bytes(bytes.strip_prefix(WHITEOUT).unwrap_or(bytes));
    if victim.is_empty() || victim == ".." || victim == "." {
        return Err(refused("deletes nothing that has a name"));
    }
    super::tree::remove_at(dir, victim).map_err(|e| failed("delete what a layer takes away", e))
}

fn own(dir: &OwnedFd, name: &OsStr, rules: &Rules) -> Result<()> {
    let Some(id) = rules.owner else { return Ok(()) };
    let (uid, gid) = (Some(Uid::from_raw(id)), Some(Gid::from_raw(id)));
    rustix::fs::chownat(dir, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW).map_err(|e| failed("set the owner", e))
}

fn own_fd(fd: &impl AsFd, rules: &Rules) -> Result<()> {
    let Some(id) = rules.owner else { return Ok(()) };
    rustix::fs::fchown(fd, Some(Uid::from_raw(id)), Some(Gid::from_raw(id))).map_err(|e| failed("set the owner", e))
}

fn refused(why: &str) -> Problem {
    Problem::unprocessable("archive-refused", format!("an entry of the archive {why}"))
        .hint("archives may hold files, folders and links that stay inside; pack it again without this entry")
}

fn broken(e: std::io::Error) -> Problem {
    // A source that fails in the middle has a problem of its own to tell.
    match e.get_ref().and_then(|inner| inner.downcast_ref::<Problem>()) {
        Some(problem) => problem.clone(),
        None => Problem::unprocessable("archive-broken", format!("the archive cannot be read: {e}")),
    }
}

fn failed(what: &str, e: Errno) -> Problem {
    let full = matches!(e, Errno::NOSPC | Errno::DQUOT);
    let problem = if full {
        Problem::unavailable("disk-full", format!("{what}: {e}"))
    } else {
        Problem::internal("unpack-failed", format!("{what}: {e}"))
    };
    if full { problem.hint("free space in the platform's data directory") } else { problem }
}

fn shown(name: &OsStr) -> String {
    name.to_string_lossy().chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).take(200).collect()
}

#[cfg(test)]
#[path = "unpack_tests.rs"]
mod tests;
