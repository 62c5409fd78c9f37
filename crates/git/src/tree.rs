//! What a tree may contain: the rules of `git fsck` that protect whoever checks the tree out.

use std::cmp::Ordering;

use gix::ObjectId;
use gix::bstr::ByteSlice as _;
use gix::validate::path::component;

use crate::pack::Kind;

/// Longest name of an entry, bytes (git's core.longpaths warning begins here too).
const NAME_BYTES_MAX: usize = 4096;

/// One entry of a tree.
pub(crate) struct Entry<'a> {
    pub name: &'a [u8],
    pub mode: Mode,
    pub id: ObjectId,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    File,
    Executable,
    Link,
    Tree,
    Submodule,
}

impl Mode {
    /// The object an entry of this mode leads to; a submodule's commit is elsewhere.
    pub(crate) fn kind(self) -> Option<Kind> {
        match self {
            Self::File | Self::Executable | Self::Link => Some(Kind::Blob),
            Self::Tree => Some(Kind::Tree),
            Self::Submodule => None,
        }
    }
}

/// Reads and checks a whole tree.
///
/// # Errors
/// The first fault, as a text that follows "the tree ".
pub(crate) fn parse(mut data: &[u8]) -> Result<Vec<Entry<'_>>, String> {
    let mut entries: Vec<Entry<'_>> = Vec::new();
    while !data.is_empty() {
        let (entry, rest) = entry(data)?;
        check_name(entry.name, entry.mode)?;
        if entries.last().is_some_and(|previous| order(previous, &entry) != Ordering::Less) {
            return Err(format!("has `{}` twice or in the wrong place", shown(entry.name)));
        }
        if entry.mode == Mode::Tree && has_file(&entries, entry.name) {
            return Err(format!("has `{}` twice", shown(entry.name)));
        }
        entries.push(entry);
        data = rest;
    }
    Ok(entries)
}

/// `MODE NAME NUL ID`.
fn entry(data: &[u8]) -> Result<(Entry<'_>, &[u8]), String> {
    let cut = || "is cut short".to_owned();
    let (mode, rest) = data.split_once_str(b" ").ok_or_else(cut)?;
    let (name, rest) = rest.split_once_str(b"\0").ok_or_else(cut)?;
    let (id, rest) = rest.split_at_checked(20).ok_or_else(cut)?;
    let mode = match mode.strip_prefix(b"0").unwrap_or(mode) {
        b"40000" => Mode::Tree,
        b"100644" | b"100664" => Mode::File,
        b"100755" => Mode::Executable,
        b"120000" => Mode::Link,
        b"160000" => Mode::Submodule,
        _ => return Err(format!("gives `{}` a mode that git does not have", shown(name))),
    };
    let id = ObjectId::from_bytes_or_panic(id);
    if id.is_null() {
        return Err(format!("has `{}` without an object", shown(name)));
    }
    Ok((Entry { name, mode, id }, rest))
}

fn check_name(name: &[u8], mode: Mode) -> Result<(), String> {
    if name.len() > NAME_BYTES_MAX {
        return Err(format!("has a name longer than {NAME_BYTES_MAX} bytes"));
    }
    let options = component::Options { protect_windows: false, protect_hfs: true, protect_ntfs: true };
    let link = (mode == Mode::Link).then_some(component::Mode::Symlink);
    // On Windows a backslash separates: what is behind it must be harmless too.
    let parts = std::iter::once(name).chain(name.split(|b| *b == b'\\').skip(1).filter(|p| !p.is_empty()));
    for part in parts {
        gix::validate::path::component(part.as_bstr(), link, options)
            .map_err(|e| format!("has the name `{}`: {e}", shown(name)))?;
    }
    Ok(())
}

/// git's order: names as bytes, directories as if they ended with a slash.
fn order(a: &Entry<'_>, b: &Entry<'_>) -> Ordering {
    compare(a.name, a.mode == Mode::Tree, b.name, b.mode == Mode::Tree)
}

fn compare(a: &[u8], a_is_tree: bool, b: &[u8], b_is_tree: bool) -> Ordering {
    let end = |is_tree: bool| is_tree.then_some(b'/');
    a.iter().copied().chain(end(a_is_tree)).cmp(b.iter().copied().chain(end(b_is_tree)))
}

/// Whether a file of this name stands before: `a`, `a.b`, `a/` are in order and yet a fault.
fn has_file(entries: &[Entry<'_>], name: &[u8]) -> bool {
    entries.binary_search_by(|e| compare(e.name, e.mode == Mode::Tree, name, false)).is_ok()
}

/// A foreign name, short and without control characters.
pub(crate) fn shown(name: &[u8]) -> String {
    name.to_str_lossy().chars().take(80).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(entries: &[(&str, &str)], allowed: bool) {
        let mut data = Vec::new();
        for (mode, name) in entries {
            data.extend_from_slice(format!("{mode} {name}\0").as_bytes());
            data.extend_from_slice(&[1; 20]);
        }
        let result = parse(&data).map(|e| e.len());
        assert_eq!(result.is_ok(), allowed, "{entries:?}: {result:?}");
        for cut in 1..data.len() {
            if cut % (data.len() / entries.len().max(1)).max(1) != 0 {
                let _ = parse(&data[..cut]);
            }
        }
    }

    #[test]
    fn names() {
        for good in
            ["a", "..a", "a..", ".gitx", ".gitignore", "git", "git~2", "Ä", "a b", "con", "a\\b", "x:y", ".gitmodules"]
        {
            check(&[("100644", good)], true);
        }
        for bad in [
            "",
            ".",
            "..",
            ".git",
            ".GIT",
            ".Git",
            "git~1",
            "GIT~1",
            ".git ",
            ".git.",
            ".git::$DATA",
            "../x",
            "a/b",
            "/a",
            ".g\u{200c}it",
            "\u{feff}.git",
            "a\\..\\b",
            "x\\.git",
        ] {
            check(&[("100644", bad)], false);
            check(&[("40000", bad)], false);
        }
        check(&[("120000", ".gitmodules")], false);
        check(&[("100644", &"a".repeat(NAME_BYTES_MAX + 1))], false);
    }

    #[test]
    fn modes() {
        for good in ["100644", "100664", "100755", "120000", "160000", "40000", "040000"] {
            check(&[(good, "a")], true);
        }
        for bad in ["", "0", "100777", "104755", "20000", "60000", "10644", "-100644", "100644x", "0040000"] {
            check(&[(bad, "a")], false);
        }
    }

    #[test]
    fn order_and_twins() {
        check(&[("100644", "a"), ("100644", "b")], true);
        check(&[("100644", "a.b"), ("40000", "a"), ("100644", "a0")], true);
        check(&[("100644", "b"), ("100644", "a")], false);
        check(&[("40000", "a"), ("100644", "a.b")], false);
        check(&[("100644", "a"), ("100644", "a")], false);
        check(&[("100644", "a"), ("40000", "a")], false);
        check(&[("100644", "a"), ("100644", "a.b"), ("40000", "a")], false);
    }

    #[test]
    fn cut_trees() {
        let mut whole = b"100644 a\0".to_vec();
        whole.extend_from_slice(&[1; 20]);
        for cut in 1..whole.len() {
            assert!(parse(&whole[..cut]).is_err(), "{cut}");
        }
        let mut null = b"100644 a\0".to_vec();
        null.extend_from_slice(&[0; 20]);
        assert!(parse(&null).is_err());
    }
}
