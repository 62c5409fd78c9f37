use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base::Time;
use ports::LogStream;

use super::{SEGMENT_BYTES, SEGMENTS_MAX, encode, segment_name, segments};

/// A line that is older than the one before it by more than this was written by another clock.
const CLOCK_SET_BACK: Duration = Duration::from_secs(1);

/// The one writer of a log.
pub(crate) struct Writer {
    dir: PathBuf,
    file: File,
    start: u64,
    length: u64,
    buffer: Vec<u8>,
    /// When the last line was written.
    last: Time,
    /// Lines that could not be kept since one could, and why.
    lost: Option<(u64, String)>,
    /// Whether the last line was written in part.
    torn: bool,
}

/// Whether something could not be written because there is no room for it now, or no permission to
/// change anything on that disk: it may be otherwise in a moment.
pub(crate) fn is_no_room(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem)
}

impl Writer {
    /// Goes on after the last whole line, or starts a new log.
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let start = segments(dir)?.last().copied().unwrap_or(0);
        let file = open_segment(dir, start)?;
        let length = file.metadata()?.len();
        let mut writer = Self {
            dir: dir.to_owned(),
            file,
            start,
            length,
            buffer: Vec::new(),
            last: Time::default(),
            lost: None,
            torn: false,
        };
        if length > 0 && fs::read(dir.join(segment_name(start)))?.last() != Some(&b'\n') {
            writer.append(b"\n")?;
        }
        Ok(writer)
    }

    /// Adds one line.
    pub(crate) fn line(&mut self, at: Time, stream: LogStream, text: &str) -> io::Result<()> {
        self.push(at, stream, text);
        self.flush()
    }

    /// Adds one line to those that the next [`Writer::flush`] writes at once. Lines that were read at once
    /// are a microsecond apart, so that an instant names one line. A clock that was set back is believed.
    pub(crate) fn push(&mut self, at: Time, stream: LogStream, text: &str) {
        let is_later = at > self.last || self.last.since(at) > CLOCK_SET_BACK;
        self.last = if is_later { at } else { self.last.plus(Duration::from_micros(1)) };
        encode(self.last, stream, text, &mut self.buffer);
    }

    /// Writes what was pushed. Readers see only whole lines, since they wait for the line feed.
    ///
    /// Where there is no room, lines are lost: an instance that serves is worth more than its output.
    /// They are counted, and the log says how many as soon as it can say anything.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut rest = buffer.as_slice();
        let written = self.confess().and_then(|()| self.write_lines(&mut rest));
        let lines = u64::try_from(rest.iter().filter(|b| **b == b'\n').count()).unwrap_or(u64::MAX);
        let outcome = match written {
            Err(e) if is_no_room(&e) => {
                let before = self.lost.take().map_or(0, |(count, _)| count);
                self.lost = Some((before.saturating_add(lines), e.to_string()));
                Ok(())
            }
            other => other,
        };
        buffer.clear();
        self.buffer = buffer;
        outcome
    }

    /// Says what was lost.
    fn confess(&mut self) -> io::Result<()> {
        let Some((count, why)) = &self.lost else { return Ok(()) };
        let mut line = if self.torn { b"\n".to_vec() } else { Vec::new() };
        encode(crate::sys::now(), LogStream::Platform, &format!("{count} lines were not kept: {why}"), &mut line);
        self.append(&line)?;
        (self.lost, self.torn) = (None, false);
        Ok(())
    }

    fn write_lines(&mut self, lines: &mut &[u8]) -> io::Result<()> {
        while !lines.is_empty() {
            let rest = *lines;
            let room = usize::try_from(SEGMENT_BYTES.saturating_sub(self.length)).unwrap_or(usize::MAX);
            let (now, later) = rest.split_at(fitting(rest, room));
            let before = self.length;
            let appended = self.append(now);
            let kept = usize::try_from(self.length.saturating_sub(before)).unwrap_or(0);
            *lines = if appended.is_ok() { later } else { rest.get(kept..).unwrap_or_default() };
            appended?;
            if self.length >= SEGMENT_BYTES {
                self.rotate()?;
            }
        }
        Ok(())
    }

    /// Puts another file in the place of the one that is written.
    #[cfg(test)]
    pub(super) fn swap(&mut self, file: File) -> File {
        std::mem::replace(&mut self.file, file)
    }

    /// Makes what was written survive a loss of power.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// What was written of it before an error counts for readers' cursors.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let before = self.length;
        let written = self.file.write_all(bytes);
        self.length = match &written {
            Ok(()) => before + bytes.len() as u64,
            Err(_) => self.file.metadata().map_or(before, |meta| meta.len().max(before)),
        };
        if written.is_err() && self.length > before {
            let last = usize::try_from(self.length - before).ok().and_then(|kept| bytes.get(kept.checked_sub(1)?));
            self.torn = last != Some(&b'\n');
        }
        written
    }

    fn rotate(&mut self) -> io::Result<()> {
        let start = self.start + self.length;
        self.file = open_segment(&self.dir, start)?;
        (self.start, self.length) = (start, 0);
        let all = segments(&self.dir)?;
        let too_many = all.len().saturating_sub(usize::try_from(SEGMENTS_MAX).unwrap_or(usize::MAX));
        for start in all.into_iter().take(too_many) {
            fs::remove_file(self.dir.join(segment_name(start)))?;
        }
        Ok(())
    }
}

/// How many bytes of whole lines to write now: those that end within `room`, and at least one line.
fn fitting(lines: &[u8], room: usize) -> usize {
    let mut end = 0;
    for line in lines.split_inclusive(|b| *b == b'\n') {
        end += line.len();
        if end >= room {
            break;
        }
    }
    end
}

fn open_segment(dir: &Path, start: u64) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(dir.join(segment_name(start)))
}
