//! Whole directories: removed beneath a handle without following links, made for one owner.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, RenameFlags, Uid};
use rustix::io::Errno;

/// Folders that are open at a time. What lies deeper is moved up first, so that no depth of a tree
/// takes more descriptors or longer paths than this.
const OPEN_MAX: usize = 64;

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

/// Removes everything in a directory, however deep: builds make trees that no path can name.
pub(super) fn empty(root: &OwnedFd) -> rustix::io::Result<()> {
    let mut path: Vec<(OwnedFd, Vec<u8>)> = vec![(again(root)?, Vec::new())];
    let mut moved = 0u64;
    while let Some((dir, _)) = path.last() {
        match remove_files(dir)? {
            Some(name) if path.len() >= OPEN_MAX => {
                lift(dir, &name, root, &mut moved)?;
            }
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

/// Removes files until there is a folder, and tells its name.
fn remove_files(dir: &OwnedFd) -> rustix::io::Result<Option<Vec<u8>>> {
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if matches!(name, b"." | b"..") {
            continue;
        }
        if entry.file_type() == FileType::Directory {
            return Ok(Some(name.to_vec()));
        }
        match rustix::fs::unlinkat(dir, OsStr::from_bytes(name), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(Errno::ISDIR) => return Ok(Some(name.to_vec())),
            Err(e) => return Err(e),
        }
    }
    Ok(None)
}

/// Moves a folder to the top of the tree, under a name that is free there.
fn lift(dir: &OwnedFd, name: &[u8], root: &OwnedFd, moved: &mut u64) -> rustix::io::Result<()> {
    // A folder may only be moved by who may write it: its entry `..` changes.
    drop(open(dir, OsStr::from_bytes(name))?);
    loop {
        *moved += 1;
        let to = format!(".orlop-deep-{moved}");
        match rustix::fs::renameat_with(dir, OsStr::from_bytes(name), root, &*to, RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => {}
            other => return other,
        }
    }
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
        std::fs::create_dir(base.path().join("deep")).unwrap();
        // Deeper than a path can name and than a process may have files open.
        let mut dir = OwnedFd::from(std::fs::File::open(base.path().join("deep")).unwrap());
        rustix::fs::mkdirat(&dir, ".orlop-deep-1", Mode::from_raw_mode(0o700)).unwrap();
        for _ in 0..4500 {
            rustix::fs::mkdirat(&dir, "folder", Mode::from_raw_mode(0o700)).unwrap();
            dir = open(&dir, OsStr::new("folder")).unwrap();
        }
        remove_tree(&base.path().join("deep")).unwrap();
        assert!(!base.path().join("deep").exists());
    }
}
