use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use ports::{LogCursor, LogLine};

use super::{RECORD_BYTES_MAX, decode, segment_name, segments};

/// Bytes read at once.
const BLOCK_BYTES: usize = 256 << 10;

/// Lines after a cursor, oldest first. A cursor whose lines are gone goes on at the oldest kept line.
pub(crate) fn after(dir: &Path, from: Option<LogCursor>, max: usize) -> io::Result<Vec<LogLine>> {
    let mut lines = Vec::new();
    let from = from.map_or(0, |c| c.0);
    each(dir, from, |line| {
        if lines.len() < max {
            lines.push(line);
        }
        lines.len() < max
    })?;
    Ok(lines)
}

/// The last lines, oldest first. Reads from the end in growing pieces.
pub(crate) fn tail(dir: &Path, max: usize) -> io::Result<Vec<LogLine>> {
    if max == 0 {
        return Ok(Vec::new());
    }
    let starts = segments(dir)?;
    let (Some(first), Some(last)) = (starts.first(), starts.last()) else { return Ok(Vec::new()) };
    let end = last + std::fs::metadata(dir.join(segment_name(*last)))?.len();
    let mut back = BLOCK_BYTES as u64;
    loop {
        let from = end.saturating_sub(back).max(*first);
        let mut kept = VecDeque::new();
        each(dir, from, |line| {
            if kept.len() == max {
                kept.pop_front();
            }
            kept.push_back(line);
            true
        })?;
        if kept.len() == max || from <= *first {
            return Ok(kept.into());
        }
        back = back.saturating_mul(4);
    }
}

/// Calls for each whole line from a position on until the callback has had enough.
fn each(dir: &Path, from: u64, mut take: impl FnMut(LogLine) -> bool) -> io::Result<()> {
    let starts = segments(dir)?;
    let first = starts.partition_point(|start| *start <= from).saturating_sub(1);
    for start in starts.into_iter().skip(first) {
        let mut file = match File::open(dir.join(segment_name(start))) {
            // Rotated away since the directory was read.
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            other => other?,
        };
        if !in_segment(&mut file, start, from, &mut take)? {
            break;
        }
    }
    Ok(())
}

fn in_segment(file: &mut File, start: u64, from: u64, take: &mut impl FnMut(LogLine) -> bool) -> io::Result<bool> {
    let mut at = from.max(start);
    // A position that no cursor names may be inside a line: skip to the next one.
    let mut inside = at > start && {
        file.seek(SeekFrom::Start(at - start - 1))?;
        let mut before = [0u8];
        file.read(&mut before)? == 1 && before != *b"\n"
    };
    file.seek(SeekFrom::Start(at - start))?;
    let mut pending = Vec::new();
    let mut block = vec![0u8; BLOCK_BYTES];
    loop {
        let n = file.read(&mut block)?;
        if n == 0 {
            return Ok(true);
        }
        for piece in block.get(..n).unwrap_or_default().split_inclusive(|b| *b == b'\n') {
            at += piece.len() as u64;
            if pending.len() <= RECORD_BYTES_MAX {
                pending.extend_from_slice(piece);
            }
            if piece.last() != Some(&b'\n') {
                continue;
            }
            let line = pending.strip_suffix(b"\n").and_then(|record| decode(record, at));
            pending.clear();
            let whole = !std::mem::take(&mut inside);
            if let Some(line) = line.filter(|_| whole)
                && !take(line)
            {
                return Ok(false);
            }
        }
    }
}
