//! The changes since the last whole snapshot: one line each, with the digest of its text.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use base::{Digest, Problem, Result};
use ports::SnapshotChange;

use super::{HEAD, SNAPSHOT_BYTES_MAX, TAIL};
use crate::table::Book;

pub(super) const MIDDLE: &str = "\",\"change\":";

/// Writes a change behind the first `at` bytes, durably; whatever was there behind them was not
/// whole and goes. Returns the new length.
pub(super) fn append(path: &Path, at: u64, change: &SnapshotChange) -> io::Result<u64> {
    let json = serde_json::to_string(change)?;
    let line = format!("{HEAD}{}{MIDDLE}{json}{TAIL}", Digest::of(json.as_bytes()));
    let is_new = !path.exists();
    let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    if file.metadata()?.len() != at {
        file.set_len(at)?;
    }
    file.seek(SeekFrom::Start(at))?;
    file.write_all(line.as_bytes())?;
    file.sync_data()?;
    if let (true, Some(dir)) = (is_new, path.parent()) {
        File::open(dir)?.sync_all()?;
    }
    Ok(at.saturating_add(u64::try_from(line.len()).unwrap_or(u64::MAX)))
}

/// How far a journal could be followed.
pub(super) struct Replayed {
    /// Bytes up to the end of the last good line.
    pub good: u64,
    pub stopped: Option<Stopped>,
}

/// Why no further.
pub(super) struct Stopped {
    pub why: String,
    /// Whether something that was acknowledged may be missing.
    pub lost: bool,
}

/// Takes the changes of a journal that follow upon a book; older ones are passed over.
pub(super) fn replay(path: &Path, book: &mut Book) -> Replayed {
    let stop = |good, why: String, lost| Replayed { good, stopped: Some(Stopped { why, lost }) };
    let bytes = match read(path) {
        Ok(bytes) => bytes,
        Err(e) => return stop(0, e.to_string(), true),
    };
    let mut good = 0u64;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let is_whole = line.ends_with(b"\n");
        if let Err(problem) = follow(line, book) {
            return stop(good, problem.to_string(), is_whole);
        }
        good = good.saturating_add(u64::try_from(line.len()).unwrap_or(u64::MAX));
    }
    Replayed { good, stopped: None }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    match std::fs::metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(e),
        Ok(meta) if meta.len() > SNAPSHOT_BYTES_MAX.saturating_mul(2) => {
            Err(io::Error::new(io::ErrorKind::FileTooLarge, "the file is too large"))
        }
        Ok(_) => std::fs::read(path),
    }
}

fn follow(line: &[u8], book: &mut Book) -> Result<()> {
    let bad = |text: &str| Problem::internal("bad-snapshot", text);
    let text = std::str::from_utf8(line).map_err(|_| bad("a line is not text"))?;
    let parts = text.strip_prefix(HEAD).and_then(|rest| rest.strip_suffix(TAIL)).and_then(|r| r.split_once(MIDDLE));
    let (digest, json) = parts.ok_or_else(|| bad("a line is not whole"))?;
    if digest.parse::<Digest>()? != Digest::of(json.as_bytes()) {
        return Err(bad("a line does not have the digest written beside it"));
    }
    let change: SnapshotChange = serde_json::from_str(json).map_err(|e| bad(&e.to_string()))?;
    if change.generation <= book.generation() {
        return Ok(());
    }
    book.check(&change)?;
    book.take(&change);
    Ok(())
}
