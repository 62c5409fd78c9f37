//! Reads an uncompressed tar strictly (POSIX.1 pax, ustar and GNU long names): every path stays
//! inside, every link too, nothing but files, folders and links, everything bounded.

use std::io::Read;

use base::limits::SOURCE_FILES_MAX;
use base::{Problem, Result};
use tar::EntryType;

use super::stream::problem_of;
use crate::model::one_line;

/// Longest path and link, bytes (Linux: PATH_MAX).
const PATH_BYTES_MAX: u64 = 4096;
/// Largest extended header, bytes.
const PAX_BYTES_MAX: u64 = 64 << 10;
/// Deepest path, parts.
const DEPTH_MAX: usize = 100;

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    /// Relative, without `.` and `..`.
    pub path: String,
    pub kind: ItemKind,
    /// Where the content begins in the archive.
    pub offset: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ItemKind {
    File {
        size: u64,
        executable: bool,
    },
    Folder,
    /// A symbolic link and what it says.
    Link(String),
    /// Another name of a file that came before.
    Same(String),
}

/// Shows every entry with its content. Returns how many there are and their bytes.
pub(super) fn walk(
    read: impl Read,
    bytes_max: u64,
    mut visit: impl FnMut(Item, &mut dyn Read) -> Result<()>,
) -> Result<(u64, u64)> {
    let (mut files, mut bytes) = (0u64, 0u64);
    let mut archive = tar::Archive::new(read);
    let mut told = Told::default();
    for entry in archive.entries().map_err(broken)?.raw(true) {
        let mut entry = entry.map_err(broken)?;
        let kind = entry.header().entry_type();
        if told.take(&mut entry, kind)? {
            continue;
        }
        let (path, link) = told.names(&entry)?;
        let size = entry.size();
        if std::mem::take(&mut told.size).is_some_and(|pax| pax != size) {
            return Err(refused(&path, "has two different sizes"));
        }
        let Some(path) = clean(&path)? else { continue };
        files = files.saturating_add(1);
        bytes = bytes.saturating_add(size);
        if files > SOURCE_FILES_MAX {
            return Err(Problem::too_large("source-too-large", format!("it has more than {SOURCE_FILES_MAX} files")));
        }
        if bytes > bytes_max {
            return Err(Problem::too_large(
                "source-too-large",
                format!("its files have more than {}", base::Bytes(bytes_max)),
            ));
        }
        let kind = item_kind(&path, kind, &entry, link)?;
        let item = Item { path, kind, offset: entry.raw_file_position() };
        visit(item, &mut entry)?;
    }
    Ok((files, bytes))
}

fn item_kind(path: &str, kind: EntryType, entry: &tar::Entry<'_, impl Read>, link: Option<String>) -> Result<ItemKind> {
    let target = || link.filter(|target| !target.is_empty()).ok_or_else(|| refused(path, "is a link without a target"));
    match kind {
        EntryType::Regular | EntryType::Continuous => {
            let mode = entry.header().mode().map_err(broken)?;
            Ok(ItemKind::File { size: entry.size(), executable: mode & 0o100 != 0 })
        }
        EntryType::Directory => Ok(ItemKind::Folder),
        EntryType::Symlink => {
            let target = target()?;
            if !stays_inside(path, &target) {
                return Err(refused(path, &format!("is a link to `{}`, which is outside", one_line(&target, 100))));
            }
            Ok(ItemKind::Link(target))
        }
        EntryType::Link => {
            let target = target()?;
            Ok(ItemKind::Same(clean(&target)?.ok_or_else(|| refused(path, "is a hard link to nothing"))?))
        }
        EntryType::Block | EntryType::Char | EntryType::Fifo => Err(refused(path, "is a device or a pipe")),
        _ => Err(refused(path, "is of a type that is not supported")),
    }
}

/// What extended headers say of the next entry.
#[derive(Default)]
struct Told {
    path: Option<String>,
    link: Option<String>,
    size: Option<u64>,
}

impl Told {
    /// Takes an extended header; says whether it was one.
    fn take(&mut self, entry: &mut tar::Entry<'_, impl Read>, kind: EntryType) -> Result<bool> {
        let most = match kind {
            EntryType::GNULongName | EntryType::GNULongLink => PATH_BYTES_MAX,
            EntryType::XHeader | EntryType::XGlobalHeader => PAX_BYTES_MAX,
            _ => return Ok(false),
        };
        if entry.size() > most {
            return Err(refused("an extended header", &format!("has more than {most} bytes")));
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(broken)?;
        match kind {
            EntryType::GNULongName => self.path = Some(text(trimmed(&content))?),
            EntryType::GNULongLink => self.link = Some(text(trimmed(&content))?),
            EntryType::XHeader => self.pax(&content)?,
            // What holds for all entries (git writes its commit here) names no path of one.
            _ => {}
        }
        Ok(true)
    }

    /// Records `LENGTH KEY=VALUE\n` (POSIX.1-2017, pax, "pax Extended Header").
    fn pax(&mut self, mut rest: &[u8]) -> Result<()> {
        let bad = || refused("an extended header", "cannot be read");
        while !rest.is_empty() {
            let space = rest.iter().position(|b| *b == b' ').ok_or_else(bad)?;
            let length: usize = std::str::from_utf8(rest.get(..space).ok_or_else(bad)?)
                .ok()
                .and_then(|t| t.parse().ok())
                .ok_or_else(bad)?;
            let record =
                rest.get(space.saturating_add(1)..length).and_then(|r| r.strip_suffix(b"\n")).ok_or_else(bad)?;
            let equals = record.iter().position(|b| *b == b'=').ok_or_else(bad)?;
            let (key, value) =
                (record.get(..equals).ok_or_else(bad)?, record.get(equals.saturating_add(1)..).ok_or_else(bad)?);
            match key {
                b"path" => self.path = Some(text(value)?),
                b"linkpath" => self.link = Some(text(value)?),
                b"size" => self.size = Some(text(value)?.parse().map_err(|_| bad())?),
                key if key.starts_with(b"GNU.sparse") => {
                    return Err(refused("an entry", "is a sparse file, which is not supported"));
                }
                _ => {}
            }
            rest = rest.get(length..).unwrap_or_default();
        }
        Ok(())
    }

    /// The path and the link of an entry.
    fn names(&mut self, entry: &tar::Entry<'_, impl Read>) -> Result<(String, Option<String>)> {
        let path = match self.path.take() {
            Some(path) => path,
            None => text(&entry.header().path_bytes())?,
        };
        let link = match (self.link.take(), entry.header().link_name_bytes()) {
            (Some(link), _) => Some(link),
            (None, Some(bytes)) => Some(text(&bytes)?),
            (None, None) => None,
        };
        Ok((path, link))
    }
}

fn trimmed(bytes: &[u8]) -> &[u8] {
    bytes.split(|b| *b == 0).next().unwrap_or_default()
}

fn text(bytes: &[u8]) -> Result<String> {
    String::from_utf8(bytes.to_vec())
        .map_err(|e| refused(&String::from_utf8_lossy(e.as_bytes()), "has a name that is not UTF-8"))
}

/// `./a//b/` → `a/b`; nothing for the root itself.
fn clean(path: &str) -> Result<Option<String>> {
    if path.starts_with('/') {
        return Err(refused(path, "is an absolute path"));
    }
    if path.len() as u64 > PATH_BYTES_MAX || path.chars().any(char::is_control) {
        return Err(refused(path, "is longer than 4096 bytes or has control characters"));
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.contains(&"..") {
        return Err(refused(path, "contains `..`"));
    }
    if parts.len() > DEPTH_MAX {
        return Err(refused(path, "is deeper than 100 folders"));
    }
    Ok((!parts.is_empty()).then(|| parts.join("/")))
}

/// Whether a link at `path` climbs no higher than the root.
pub(super) fn stays_inside(path: &str, target: &str) -> bool {
    if target.starts_with('/') || target.contains('\0') {
        return false;
    }
    let mut depth = path.matches('/').count();
    target.split('/').all(|part| match part {
        "" | "." => true,
        ".." => match depth.checked_sub(1) {
            Some(up) => {
                depth = up;
                true
            }
            None => false,
        },
        _ => {
            depth = depth.saturating_add(1);
            true
        }
    })
}

fn refused(path: &str, why: &str) -> Problem {
    Problem::unprocessable("archive-refused", format!("`{}` {why}", one_line(path, 200)))
        .hint("only files, folders and links that stay inside of the source can be deployed")
}

fn broken(error: std::io::Error) -> Problem {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Problem>()) {
        Some(problem) => problem.clone(),
        None if error.kind() == std::io::ErrorKind::BrokenPipe => problem_of(error, "hand the bytes on"),
        None => Problem::invalid("bad-archive", format!("the archive cannot be read: {error}"))
            .hint("send a gzip-compressed tar, as `orlop deploy` does"),
    }
}
