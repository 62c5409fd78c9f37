use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use base::{Problem, Result};
use ignore::{DirEntry, WalkBuilder};

use super::Limits;

/// What a working tree holds, in the order in which it is packed.
#[derive(Debug)]
pub struct Tree {
    pub root: PathBuf,
    pub entries: Vec<Entry>,
    /// Sizes of all files together.
    pub bytes: u64,
    /// Links that lead out of the tree, and what is neither file, folder nor link.
    pub left_out: Vec<PathBuf>,
}

/// A file or link of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    /// Relative to the root.
    pub path: PathBuf,
    pub form: Form,
}

/// What an entry is.
#[derive(Debug, PartialEq, Eq)]
pub enum Form {
    File { size: u64, executable: bool, changed_s: u64 },
    Link { target: PathBuf },
}

/// Walks a working tree: all that neither `.gitignore`, `.ignore` nor `.orlopignore` leaves out, and
/// never `.git`. A person's own global ignore file does not count, so that everybody sends the same.
pub fn survey(root: &Path, limits: &Limits) -> Result<Tree> {
    let walk = WalkBuilder::new(root)
        .hidden(false)
        .git_global(false)
        .require_git(false)
        .follow_links(false)
        .add_custom_ignore_filename(".orlopignore")
        .filter_entry(|entry| entry.file_name() != ".git")
        .sort_by_file_name(|a, b| a.cmp(b))
        .build();
    let mut tree = Tree { root: root.to_owned(), entries: Vec::new(), bytes: 0, left_out: Vec::new() };
    for entry in walk {
        let entry = entry
            .map_err(|e| Problem::invalid("source-unreadable", format!("the working tree cannot be read: {e}")))?;
        tree.take(&entry)?;
        // Enough to name the offenders; the rest of a huge tree need not be walked.
        if tree.entries.len() as u64 > limits.files.saturating_mul(4) {
            break;
        }
    }
    limits.check(&tree)?;
    Ok(tree)
}

impl Tree {
    fn take(&mut self, entry: &DirEntry) -> Result<()> {
        let Some(kind) = entry.file_type() else { return Ok(()) };
        let path = entry.path().strip_prefix(&self.root).unwrap_or(entry.path()).to_owned();
        if kind.is_dir() || path.as_os_str().is_empty() {
            return Ok(());
        }
        let unreadable = |e: &dyn std::fmt::Display| {
            Problem::invalid("source-unreadable", format!("a file cannot be read: {e}")).at(entry.path().display())
        };
        if kind.is_symlink() {
            let target = std::fs::read_link(entry.path()).map_err(|e| unreadable(&e))?;
            if stays_inside(&path, &target) {
                self.entries.push(Entry { path, form: Form::Link { target } });
            } else {
                self.left_out.push(path);
            }
        } else if kind.is_file() {
            let meta = entry.metadata().map_err(|e| unreadable(&e))?;
            self.bytes = self.bytes.saturating_add(meta.len());
            self.entries.push(Entry { path, form: file(&meta) });
        } else {
            self.left_out.push(path);
        }
        Ok(())
    }
}

fn file(meta: &Metadata) -> Form {
    // Build tools compare times of change; a tree whose files all had one time would build from stale caches.
    let changed_s = u64::try_from(meta.mtime()).unwrap_or(0);
    Form::File { size: meta.len(), executable: meta.mode() & 0o111 != 0, changed_s }
}

/// Whether a link leads to a place inside the tree, by its text alone.
fn stays_inside(link: &Path, target: &Path) -> bool {
    let mut depth = link.components().count() - 1;
    for part in target.components() {
        match part {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir if depth > 0 => depth -= 1,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    fn check(files: &[(&str, &str)], expect: &[&str]) {
        let folder = tree(files);
        let tree = survey(folder.path(), &Limits::PUBLISHED).unwrap();
        let paths: Vec<_> = tree.entries.iter().map(|e| e.path.to_str().unwrap()).collect();
        assert_eq!(paths, expect);
    }

    #[test]
    fn ignore_rules_are_honoured_without_git_too() {
        check(
            &[
                (".git/config", ""),
                (".gitignore", "target/\n*.log\n!keep.log\n"),
                (".ignore", "notes\n"),
                (".orlopignore", "fixtures/big\n"),
                (".env.example", ""),
                ("b.rs", ""),
                ("a.rs", ""),
                ("sub/.git", "gitdir: x"),
                ("sub/.gitignore", "local"),
                ("sub/local", ""),
                ("sub/z", ""),
                ("target/debug/x", ""),
                ("x.log", ""),
                ("keep.log", ""),
                ("notes", ""),
                ("fixtures/big/1", ""),
                ("fixtures/small", ""),
            ],
            &[
                ".env.example",
                ".gitignore",
                ".ignore",
                ".orlopignore",
                "a.rs",
                "b.rs",
                "fixtures/small",
                "keep.log",
                "sub/.gitignore",
                "sub/z",
            ],
        );
    }

    #[test]
    fn a_folder_of_a_repository_obeys_the_repository() {
        let folder = tree(&[(".git/HEAD", ""), (".gitignore", "*.tmp\n"), ("api/a", ""), ("api/b.tmp", "")]);
        let tree = survey(&folder.path().join("api"), &Limits::PUBLISHED).unwrap();
        assert_eq!(tree.entries.len(), 1);
    }

    #[test]
    fn links_stay_links_and_inside() {
        let folder = tree(&[("a/file", "x"), ("b", "")]);
        symlink("../b", folder.path().join("a/in")).unwrap();
        symlink("../../b", folder.path().join("a/out")).unwrap();
        symlink("/etc/passwd", folder.path().join("abs")).unwrap();
        symlink("a", folder.path().join("dir")).unwrap();
        let tree = survey(folder.path(), &Limits::PUBLISHED).unwrap();
        let links: Vec<_> =
            tree.entries.iter().filter(|e| matches!(e.form, Form::Link { .. })).map(|e| e.path.clone()).collect();
        assert_eq!(links, [PathBuf::from("a/in"), "dir".into()]);
        assert_eq!(tree.left_out, [PathBuf::from("a/out"), "abs".into()]);
        assert_eq!(tree.entries.len(), 4, "what lies behind a link is not packed twice");
    }

    #[test]
    fn limits_name_the_offenders() {
        let folder = tree(&[("node_modules/a", "12345678"), ("node_modules/b", "1"), ("src/x", "12"), ("y", "1")]);
        let refused = |files, bytes| survey(folder.path(), &Limits { files, bytes, packed_bytes: 100 }).unwrap_err();
        let problem = refused(10, 11);
        assert_eq!(problem.code, "source-too-large");
        assert!(
            problem.message.contains(
                "holds 12 B, and 11 B is the most; the largest parts:\nnode_modules/  9 B  2 files\nsrc/  2 B"
            ),
            "{problem}"
        );
        assert_eq!(problem.hint.unwrap(), "leave out what is not source: echo '/node_modules/' >> .orlopignore");
        assert!(refused(3, 100).message.contains("holds 4 files, and 3 files is the most"), "{}", refused(3, 100));
        assert!(survey(folder.path(), &Limits { files: 4, bytes: 12, packed_bytes: 0 }).is_ok());
    }
}
