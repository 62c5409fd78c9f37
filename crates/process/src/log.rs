//! The log of one instance: segments of text on disk, written by its keeper, read by anyone.
//!
//! A cursor is the position in the whole stream that the instance ever wrote, counted in bytes of
//! the stored form. It grows without end; a segment's name is the position at which it starts. So a
//! cursor stays valid when old segments go and when keeper or reader start anew.

mod lines;
mod read;
mod redact;
mod write;

use base::Time;
#[cfg(test)]
use ports::LogEnd;
use ports::{LogCursor, LogLine, LogStream};

pub(crate) use lines::Splitter;
pub(crate) use read::{after, back, tail};
pub(crate) use redact::Redactor;
pub(crate) use write::{Writer, is_no_room};

/// Most segments of one instance; with their size they make up [`base::limits::LOG_BYTES_MAX`].
const SEGMENTS_MAX: u64 = 8;
/// Bytes after which a segment is closed. A last line may reach beyond it, which the bound allows for.
const SEGMENT_BYTES: u64 = base::limits::LOG_BYTES_MAX / SEGMENTS_MAX - RECORD_BYTES_MAX as u64;
/// The longest stored line: the text, its time, its stream.
const RECORD_BYTES_MAX: usize = base::limits::LOG_LINE_BYTES_MAX + 64;

/// `1790000000123456 o text\n`
fn encode(at: Time, stream: LogStream, text: &str, out: &mut Vec<u8>) {
    let tag = match stream {
        LogStream::Out => 'o',
        LogStream::Err => 'e',
        LogStream::Platform => 'p',
    };
    out.extend_from_slice(format!("{} {tag} ", at.micros()).as_bytes());
    // A carriage return before the line feed belongs to the line's end; inside a line it is text.
    out.extend(text.trim_end_matches('\r').bytes().map(|b| if b == b'\n' { b' ' } else { b }));
    out.push(b'\n');
}

/// Reads one stored line without its line feed; `cursor` is the place after it.
fn decode(record: &[u8], cursor: u64) -> Option<LogLine> {
    let text = String::from_utf8_lossy(record);
    let mut parts = text.splitn(3, ' ');
    let at = Time::from_micros(parts.next()?.parse().ok()?);
    let stream = match parts.next()? {
        "o" => LogStream::Out,
        "e" => LogStream::Err,
        "p" => LogStream::Platform,
        _ => return None,
    };
    Some(LogLine { cursor: LogCursor(cursor), at, stream, text: parts.next()?.to_owned() })
}

fn segment_name(start: u64) -> String {
    format!("{start:020}.log")
}

fn segment_start(name: &str) -> Option<u64> {
    name.strip_suffix(".log").filter(|digits| digits.len() == 20)?.parse().ok()
}

/// The segments of a log by their starts, oldest first.
fn segments(dir: &std::path::Path) -> std::io::Result<Vec<u64>> {
    let entries = match std::fs::read_dir(dir) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut starts: Vec<u64> = entries.filter_map(|entry| segment_start(entry.ok()?.file_name().to_str()?)).collect();
    starts.sort_unstable();
    Ok(starts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(dir: &std::path::Path) -> Vec<String> {
        after(dir, None, usize::MAX).unwrap().into_iter().map(|l| l.text).collect()
    }

    #[test]
    fn what_is_written_is_read_back_with_working_cursors() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::open(dir.path()).unwrap();
        for (stream, text) in [(LogStream::Out, "one"), (LogStream::Err, ""), (LogStream::Platform, "three  ☂ \t")] {
            writer.line(Time::from_micros(7), stream, text).unwrap();
        }
        let lines = after(dir.path(), None, 10).unwrap();
        assert_eq!(lines.iter().map(|l| l.text.as_str()).collect::<Vec<_>>(), ["one", "", "three  ☂ \t"]);
        assert_eq!(lines[1].stream, LogStream::Err);
        assert_eq!([0, 1, 2].map(|n: usize| lines[n].at.micros()), [7, 8, 9], "each instant names one line");
        for (i, line) in lines.iter().enumerate() {
            let rest = after(dir.path(), Some(line.cursor), 10).unwrap();
            assert_eq!(rest, lines[i + 1..], "after line {i}");
        }
        assert_eq!(after(dir.path(), Some(lines[0].cursor), 1).unwrap(), lines[1..2]);
        assert_eq!(tail(dir.path(), 2).unwrap(), lines[1..]);
        assert_eq!(tail(dir.path(), 0).unwrap(), []);
    }

    #[test]
    fn a_log_of_several_segments_is_read_backwards_from_anywhere() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::open(dir.path()).unwrap();
        for n in 0..1_500 {
            writer.line(Time::from_micros(n * 10), LogStream::Out, &format!("{n} {}", "x".repeat(6_000))).unwrap();
        }
        assert!(segments(dir.path()).unwrap().len() > 1);
        let all = after(dir.path(), None, usize::MAX).unwrap();
        assert_eq!(all.len(), 1_500);
        let (mut seen, mut until) = (0, LogEnd::Newest);
        loop {
            let lines = back(dir.path(), until, 100).unwrap();
            let Some(oldest) = lines.first() else { break };
            until = LogEnd::Before(oldest.cursor);
            let end = all.len() - seen;
            assert_eq!(lines, all[end - lines.len()..end], "{seen} lines from the end");
            seen += lines.len();
        }
        assert_eq!(seen, all.len());
        for n in [0, 1, 699, 700, 1_499] {
            let line = &all[n];
            assert_eq!(back(dir.path(), LogEnd::Through(line.cursor), 1).unwrap()[0], *line);
            let a_moment_later = Time::from_micros(line.at.micros() + 3);
            assert_eq!(back(dir.path(), LogEnd::At(a_moment_later), 1).unwrap()[0], *line);
        }
        assert_eq!(back(dir.path(), LogEnd::At(Time::from_micros(-1)), 1).unwrap(), [], "before the first one");
        assert_eq!(back(dir.path(), LogEnd::Before(all[0].cursor), 1).unwrap(), []);
    }

    #[test]
    fn a_new_writer_goes_on_where_the_last_one_stopped() {
        let dir = tempfile::tempdir().unwrap();
        Writer::open(dir.path()).unwrap().line(Time::from_micros(1), LogStream::Out, "before").unwrap();
        let seen = after(dir.path(), None, 9).unwrap();
        Writer::open(dir.path()).unwrap().line(Time::from_micros(2), LogStream::Out, "after").unwrap();
        assert_eq!(read_all(dir.path()), ["before", "after"]);
        assert_eq!(after(dir.path(), Some(seen[0].cursor), 9).unwrap()[0].text, "after");
    }

    #[test]
    fn an_unfinished_line_is_not_shown_and_spoils_no_other() {
        let dir = tempfile::tempdir().unwrap();
        Writer::open(dir.path()).unwrap().line(Time::from_micros(1), LogStream::Out, "whole").unwrap();
        let file = dir.path().join(segment_name(0));
        let mut bytes = std::fs::read(&file).unwrap();
        bytes.extend_from_slice(b"12 o cut o");
        std::fs::write(&file, bytes).unwrap();
        assert_eq!(read_all(dir.path()), ["whole"]);
        Writer::open(dir.path()).unwrap().line(Time::from_micros(1), LogStream::Out, "next").unwrap();
        assert_eq!(read_all(dir.path()), ["whole", "cut o", "next"], "what is left of it ends before the next line");
    }

    /// `/dev/full` answers every write as a full disk does (full(4)).
    #[test]
    fn a_full_disk_costs_lines_that_are_counted_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::open(dir.path()).unwrap();
        let say = |writer: &mut Writer, text: &str| writer.line(Time::from_micros(1), LogStream::Out, text).unwrap();
        say(&mut writer, "before");
        let full = std::fs::OpenOptions::new().append(true).open("/dev/full").unwrap();
        let file = writer.swap(full);
        say(&mut writer, "lost");
        say(&mut writer, "lost too");
        writer.swap(file);
        say(&mut writer, "after");
        let lines = read_all(dir.path());
        assert_eq!((lines[0].as_str(), lines[2].as_str(), lines.len()), ("before", "after", 3), "{lines:?}");
        assert!(lines[1].starts_with("2 lines were not kept: "), "{lines:?}");
    }

    #[test]
    fn the_log_is_bounded_and_old_cursors_go_on_at_the_oldest_line() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::open(dir.path()).unwrap();
        let text = "x".repeat(10_000);
        writer.line(Time::from_micros(1), LogStream::Out, "the first").unwrap();
        let first = after(dir.path(), None, 1).unwrap()[0].cursor;
        for n in 0..4_000 {
            writer.line(Time::from_micros(2 + n), LogStream::Out, &text).unwrap();
        }
        let size: u64 = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum();
        assert!(size <= base::limits::LOG_BYTES_MAX, "{size}");
        assert!(size > base::limits::LOG_BYTES_MAX / 2, "{size}");
        let lines = after(dir.path(), Some(first), 5).unwrap();
        assert_eq!(lines.len(), 5);
        assert!(lines.iter().all(|l| l.text == text));
        let last = tail(dir.path(), 3).unwrap();
        assert_eq!(last.last().unwrap().at, Time::from_micros(4_001));
        assert_eq!(last.len(), 3);
        assert_eq!(after(dir.path(), Some(last[2].cursor), 5).unwrap(), []);
    }
}
