use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use base::Time;
use ports::{LogCursor, LogEnd, LogLine};

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

/// The last lines, oldest first.
pub(crate) fn tail(dir: &Path, max: usize) -> io::Result<Vec<LogLine>> {
    up_to(dir, LogEnd::Newest, max, max)
}

/// The newest lines up to an end, oldest first: at most `max`, and at least one where there is one.
pub(crate) fn back(dir: &Path, until: LogEnd, max: usize) -> io::Result<Vec<LogLine>> {
    up_to(dir, until, max, 1)
}

/// Reads from the end in growing pieces, until there are enough.
fn up_to(dir: &Path, until: LogEnd, max: usize, enough: usize) -> io::Result<Vec<LogLine>> {
    let starts = segments(dir)?;
    let (Some(first), Some(last)) = (starts.first(), starts.last()) else { return Ok(Vec::new()) };
    if max == 0 {
        return Ok(Vec::new());
    }
    let end = match until {
        LogEnd::Newest => last + std::fs::metadata(dir.join(segment_name(*last)))?.len(),
        LogEnd::Through(cursor) => cursor.0,
        LogEnd::Before(cursor) => cursor.0.saturating_sub(1),
        LogEnd::At(at) => place_at(dir, &starts, at)?,
    };
    let mut back = BLOCK_BYTES as u64;
    loop {
        let from = end.saturating_sub(back).max(*first);
        let mut kept = VecDeque::new();
        each(dir, from, |line| {
            let within = line.cursor.0 <= end;
            if within && kept.len() == max {
                kept.pop_front();
            }
            if within {
                kept.push_back(line);
            }
            within
        })?;
        if kept.len() >= enough || from <= *first {
            return Ok(kept.into());
        }
        back = back.saturating_mul(4);
    }
}

/// The place behind the last line that was written by then. Segments are few: the one that it is in is
/// found by their first lines, and read.
fn place_at(dir: &Path, starts: &[u64], at: Time) -> io::Result<u64> {
    let begins_by_then = |start: u64| {
        let mut began = None;
        each(dir, start, |line| {
            began = Some(line.at);
            false
        })?;
        io::Result::Ok(began.is_some_and(|began| began <= at))
    };
    for start in starts.iter().rev() {
        if !begins_by_then(*start)? {
            continue;
        }
        let mut place = *start;
        each(dir, *start, |line| {
            let by_then = line.at <= at;
            if by_then {
                place = line.cursor.0;
            }
            by_then
        })?;
        return Ok(place);
    }
    Ok(0)
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
