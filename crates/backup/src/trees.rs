//! Which files of a data folder belong in a backup, and in which order they are read.
//!
//! Two sorts of files need two ways. What is *replaced* (the refs of a repository) is read into
//! memory before the ledger is, so that the backup never knows a push that its ledger does not.
//! What only *grows* (objects, packs) is read after the ledger, so that all of what the ledger names
//! is there; what came later does no harm.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The folders that are kept.
pub(crate) const FOLDERS: [&str; 2] = ["objects", "git"];
/// Most files of one backup.
const FILES_MAX: usize = 10_000_000;
/// Largest file that is replaced in place: a `packed-refs` of a million refs.
const REPLACED_BYTES_MAX: u64 = 128 << 20;

/// A file that is replaced in place, as it was.
pub(crate) struct Replaced {
    pub path: String,
    pub content: Vec<u8>,
}

/// The files that are replaced in place. One that vanishes meanwhile was not needed any more.
pub(crate) fn replaced(data: &Path) -> io::Result<Vec<Replaced>> {
    let mut found = Vec::new();
    for file in files(data)?.into_iter().filter(|file| !grows(file)) {
        let read = fs::metadata(data.join(&file)).and_then(|meta| match meta.len() > REPLACED_BYTES_MAX {
            true => Err(io::Error::other(format!("{file} is larger than a file of refs may be"))),
            false => fs::read(data.join(&file)),
        });
        match read {
            Ok(content) => found.push(Replaced { path: file, content }),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    Ok(found)
}

/// The files that only grow in number, in order.
pub(crate) fn growing(data: &Path) -> io::Result<Vec<String>> {
    Ok(files(data)?.into_iter().filter(|file| grows(file)).collect())
}

/// Objects, and the objects of repositories.
fn grows(path: &str) -> bool {
    match path.split_once('/') {
        Some(("objects", _)) => true,
        Some((_, inside)) => is_of_repository_objects(inside),
        None => false,
    }
}

fn is_of_repository_objects(path: &str) -> bool {
    let mut parts = path.split('/').peekable();
    while let Some(part) = parts.next() {
        if part.ends_with(".git") && parts.peek() == Some(&"objects") {
            return true;
        }
    }
    false
}

fn files(data: &Path) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    for folder in FOLDERS {
        walk(data, PathBuf::from(folder), &mut found)?;
    }
    found.sort();
    Ok(found)
}

fn walk(data: &Path, folder: PathBuf, found: &mut Vec<String>) -> io::Result<()> {
    let entries = match fs::read_dir(data.join(&folder)) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
    };
    for entry in entries {
        let entry = entry?;
        let path = folder.join(entry.file_name());
        let Some(text) = path.to_str() else {
            return Err(io::Error::other(format!("{} is not named in UTF-8", path.display())));
        };
        if is_unfinished(text) {
            continue;
        }
        let kind = entry.file_type()?;
        if kind.is_dir() {
            walk(data, path, found)?;
        } else if kind.is_file() {
            found.push(text.to_owned());
        }
        if found.len() > FILES_MAX {
            return Err(io::Error::other(format!("there are more than {FILES_MAX} files")));
        }
    }
    Ok(())
}

/// Files that are still being written: uploads of the object store, quarantines, locks and half-made
/// repositories. A crash would leave them behind, and the next start would remove them.
fn is_unfinished(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let is_upload = path.starts_with("objects/") && name.contains('#');
    let is_lock = path.starts_with("git/") && [".lock", ".making", ".removing"].iter().any(|end| name.ends_with(end));
    let is_intake = is_of_repository_objects(path) && (name.starts_with("incoming-") || name.starts_with("tmp_"));
    is_upload || is_lock || is_intake
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_replaced_is_told_from_what_grows() {
        for grown in ["objects/oci/a", "git/shop.git/objects/pack/p.pack", "git/shop.git/objects/aa/bb"] {
            assert!(grows(grown), "{grown}");
        }
        for replaced in ["git/shop.git/HEAD", "git/shop.git/refs/heads/objects", "git/shop.git/packed-refs"] {
            assert!(!grows(replaced), "{replaced}");
        }
    }

    #[test]
    fn what_is_unfinished_is_left_out() {
        for left in ["objects/a/b#1", "git/shop.git/HEAD.lock", "git/shop.making", "git/shop.git/objects/incoming-x"] {
            assert!(is_unfinished(left), "{left}");
        }
        for kept in ["objects/a/b.lock", "git/shop.git/refs/heads/fix#1", "git/shop.git/refs/heads/incoming-x"] {
            assert!(!is_unfinished(kept), "{kept}");
        }
    }
}
