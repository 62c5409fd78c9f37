use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use base::Time;
use ports::LogStream;

use super::{SEGMENT_BYTES, SEGMENTS_MAX, encode, segment_name, segments};

/// The one writer of a log.
pub(crate) struct Writer {
    dir: PathBuf,
    file: File,
    start: u64,
    length: u64,
    buffer: Vec<u8>,
}

impl Writer {
    /// Goes on after the last whole line, or starts a new log.
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let start = segments(dir)?.last().copied().unwrap_or(0);
        let file = open_segment(dir, start)?;
        let length = file.metadata()?.len();
        let mut writer = Self { dir: dir.to_owned(), file, start, length, buffer: Vec::new() };
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

    /// Adds one line to those that the next [`Writer::flush`] writes at once.
    pub(crate) fn push(&mut self, at: Time, stream: LogStream, text: &str) {
        encode(at, stream, text, &mut self.buffer);
    }

    /// Writes what was pushed. Readers see only whole lines, since they wait for the line feed.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let written = self.write_lines(&buffer);
        buffer.clear();
        self.buffer = buffer;
        written
    }

    fn write_lines(&mut self, mut rest: &[u8]) -> io::Result<()> {
        while !rest.is_empty() {
            let room = usize::try_from(SEGMENT_BYTES.saturating_sub(self.length)).unwrap_or(usize::MAX);
            let (now, later) = rest.split_at(fitting(rest, room));
            self.append(now)?;
            rest = later;
            if self.length >= SEGMENT_BYTES {
                self.rotate()?;
            }
        }
        Ok(())
    }

    /// Makes what was written survive a loss of power.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.start += self.length;
        self.length = 0;
        self.file = open_segment(&self.dir, self.start)?;
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
