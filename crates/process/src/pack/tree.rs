//! Whole directories: removed beneath a handle without following links, made for one owner.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

/// Deepest directory that is followed; the file system's own limits keep real trees far below.
const DEPTH_MAX: usize = 4096;

/// Removes a directory and everything in it. One that does not exist is not an error.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::other("this directory has no parent"));
    };
    let parent = match std::fs::File::open(parent) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => OwnedFd::from(other?),
    };
    Ok(remove_at(&parent, name)?)
}

/// A directory that only `owner` (or the platform's own user) may enter.
pub(crate) fn make_private(path: &Path, owner: Option<u32>) -> io::Result<()> {
    std::fs::create_dir_all(path)?;
    let dir = std::fs::File::open(path)?;
    rustix::fs::fchmod(&dir, Mode::from_raw_mode(0o700))?;
    if let Some(id) = owner {
        rustix::fs::fchown(&dir, Some(Uid::from_raw(id)), Some(Gid::from_raw(id)))?;
    }
    Ok(())
}

/// Removes whatever has this name. A name that does not exist is not an error.
pub(super) fn remove_at(dir: &OwnedFd, name: &OsStr) -> rustix::io::Result<()> {
    match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR) => {}
        Err(e) => return Err(e),
    }
    empty(&open(dir, name)?)?;
    match rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR) {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    }
}

/// Removes everything in a directory. Not recursive in code: trees of instances may be deep.
pub(super) fn empty(root: &OwnedFd) -> rustix::io::Result<()> {
    let mut path: Vec<(OwnedFd, Vec<u8>)> = vec![(again(root)?, Vec::new())];
    while let Some((dir, _)) = path.last() {
        let mut deeper = None;
        for entry in Dir::read_from(dir)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            let os = OsStr::from_bytes(name);
            match entry.file_type() {
                FileType::Directory => deeper = Some(name.to_vec()),
                _ => match rustix::fs::unlinkat(dir, os, AtFlags::empty()) {
                    Ok(()) | Err(Errno::NOENT) => {}
                    Err(Errno::ISDIR) => deeper = Some(name.to_vec()),
                    Err(e) => return Err(e),
                },
            }
            if deeper.is_some() {
                break;
            }
        }
        match deeper {
            Some(_) if path.len() >= DEPTH_MAX => return Err(Errno::NAMETOOLONG),
            Some(name) => {
                let next = open(dir, OsStr::from_bytes(&name))?;
                path.push((next, name));
            }
            None => {
                let Some((_, name)) = path.pop() else { break };
                if let Some((parent, _)) = path.last() {
                    rustix::fs::unlinkat(parent, OsStr::from_bytes(&name), AtFlags::REMOVEDIR)?;
                }
            }
        }
    }
    Ok(())
}

fn again(dir: impl AsFd) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(dir, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Opens a folder for removal. Builds make folders that even their owner may not write or enter.
fn open(dir: &OwnedFd, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = || rustix::fs::openat(dir, name, flags, Mode::empty());
    let fd = match open() {
        Err(Errno::ACCESS) => {
            rustix::fs::chmodat(dir, name, Mode::from_raw_mode(0o700), AtFlags::empty())?;
            open()?
        }
        other => other?,
    };
    // Of a foreign owner only where the platform has all rights anyway.
    let _ = rustix::fs::fchmod(&fd, Mode::from_raw_mode(0o700));
    Ok(fd)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn trees_go_and_what_links_point_to_stays() {
        let base = tempfile::tempdir().unwrap();
        let (tree, other) = (base.path().join("tree"), base.path().join("other"));
        std::fs::create_dir_all(tree.join("a/b/c")).unwrap();
        std::fs::create_dir(&other).unwrap();
        std::fs::write(other.join("kept"), "x").unwrap();
        symlink(&other, tree.join("a/link")).unwrap();
        std::fs::write(tree.join("a/b/file"), "x").unwrap();
        std::fs::set_permissions(tree.join("a/b"), PermissionsExt::from_mode(0o000)).unwrap();
        remove_tree(&tree).unwrap();
        assert!(!tree.exists());
        assert!(other.join("kept").exists());
        remove_tree(&tree).unwrap();
    }

    #[test]
    fn a_deep_tree_goes_too() {
        let base = tempfile::tempdir().unwrap();
        let mut path = base.path().join("deep");
        for _ in 0..600 {
            path.push("d");
        }
        std::fs::create_dir_all(&path).unwrap();
        remove_tree(&base.path().join("deep")).unwrap();
        assert!(!base.path().join("deep").exists());
    }
}
