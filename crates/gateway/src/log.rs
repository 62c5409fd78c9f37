//! The access log: workers write lines into memory of their own, one thread brings them to disk.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use base::{Problem, Result};
use parking_lot::{Condvar, Mutex};

use crate::LogOptions;

/// A worker's buffer beyond this wakes the writer, bytes.
const WAKE_BYTES: usize = 64 << 10;

/// Where workers put their lines.
#[derive(Debug)]
pub(crate) struct AccessLog {
    shared: Arc<Buffers>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Buffers {
    waiting: Box<[Mutex<Vec<u8>>]>,
    waiting_bytes: usize,
    dropped: AtomicU64,
    /// The last failure to write, until a write works again.
    trouble: Mutex<Option<String>>,
    wake: Condvar,
    woken: Mutex<bool>,
    stop: AtomicBool,
}

impl AccessLog {
    /// Opens the file and starts the writer.
    ///
    /// # Errors
    /// `access-log` where the file cannot be opened.
    pub(crate) fn open(options: &LogOptions, path: PathBuf, shards: usize) -> Result<Self> {
        let file = open(&path).map_err(|e| {
            Problem::internal("access-log", format!("opening the access log {} failed: {e}", path.display()))
        })?;
        let shared = Arc::new(Buffers {
            waiting: (0..shards).map(|_| Mutex::default()).collect(),
            waiting_bytes: options.waiting_bytes,
            dropped: AtomicU64::new(0),
            trouble: Mutex::new(None),
            wake: Condvar::new(),
            woken: Mutex::new(false),
            stop: AtomicBool::new(false),
        });
        let written = file.metadata().map_or(0, |m| m.len());
        let writer = Writer { shared: Arc::clone(&shared), options: options.clone(), path, file: Some(file), written };
        let thread = std::thread::Builder::new().name("access-log".to_owned()).spawn(move || writer.run());
        let thread = thread.map_err(|e| Problem::internal("access-log", e))?;
        Ok(Self { shared, writer: Mutex::new(Some(thread)) })
    }

    /// Appends one line (without its line feed) written by `line`. It is dropped and counted where
    /// the disk does not keep up.
    pub(crate) fn append(&self, shard: usize, line: impl FnOnce(&mut Vec<u8>)) {
        let Some(buffer) = self.shared.waiting.get(shard) else { return };
        let mut buffer = buffer.lock();
        if buffer.len() >= self.shared.waiting_bytes {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let before = buffer.len();
        line(&mut buffer);
        buffer.push(b'\n');
        if before < WAKE_BYTES && buffer.len() >= WAKE_BYTES {
            drop(buffer);
            self.shared.wake();
        }
    }

    /// Why lines are missing from the log, if some are.
    pub(crate) fn trouble(&self) -> Option<String> {
        let trouble = self.shared.trouble.lock().clone()?;
        let dropped = self.shared.dropped.load(Ordering::Relaxed);
        Some(format!("access log: {trouble}; {dropped} lines dropped"))
    }

    /// Writes what waits and ends the writer.
    pub(crate) fn close(&self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.shared.wake();
        if let Some(thread) = self.writer.lock().take() {
            let _ = thread.join();
        }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.close();
    }
}

impl Buffers {
    fn wake(&self) {
        *self.woken.lock() = true;
        self.wake.notify_one();
    }
}

struct Writer {
    shared: Arc<Buffers>,
    options: LogOptions,
    path: PathBuf,
    file: Option<File>,
    written: u64,
}

impl Writer {
    fn run(mut self) {
        let mut taken = Vec::new();
        loop {
            let stop = self.shared.stop.load(Ordering::SeqCst);
            if !stop {
                let mut woken = self.shared.woken.lock();
                if !*woken {
                    self.shared.wake.wait_for(&mut woken, self.options.flush_every);
                }
                *woken = false;
            }
            for shard in 0..self.shared.waiting.len() {
                if let Some(buffer) = self.shared.waiting.get(shard) {
                    std::mem::swap(&mut *buffer.lock(), &mut taken);
                }
                self.write(&taken);
                taken.clear();
            }
            if stop {
                return;
            }
        }
    }

    fn write(&mut self, lines: &[u8]) {
        if lines.is_empty() {
            return;
        }
        match self.try_write(lines) {
            Ok(()) => {
                if self.shared.trouble.lock().take().is_some() {
                    tracing::info!("the access log can be written again");
                }
            }
            Err(error) => {
                let lost = lines.iter().filter(|b| **b == b'\n').count() as u64;
                self.shared.dropped.fetch_add(lost, Ordering::Relaxed);
                *self.shared.trouble.lock() = Some(error.to_string());
                self.file = None;
            }
        }
    }

    fn try_write(&mut self, lines: &[u8]) -> std::io::Result<()> {
        if self.written >= self.options.file_bytes {
            self.rotate();
        }
        let file = match &mut self.file {
            Some(file) => file,
            missing => {
                let file = open(&self.path)?;
                self.written = file.metadata()?.len();
                missing.insert(file)
            }
        };
        file.write_all(lines)?;
        self.written = self.written.saturating_add(lines.len() as u64);
        Ok(())
    }

    /// `access.log` → `access.log.1` → … ; the oldest goes.
    fn rotate(&mut self) {
        self.file = None;
        let name = |n: u32| {
            let mut name = self.path.as_os_str().to_owned();
            name.push(format!(".{n}"));
            PathBuf::from(name)
        };
        let keep = self.options.files;
        let _ = fs::remove_file(name(keep));
        for n in (1..keep).rev() {
            let _ = fs::rename(name(n), name(n.saturating_add(1)));
        }
        let result = if keep == 0 { fs::remove_file(&self.path) } else { fs::rename(&self.path, name(1)) };
        if let Err(error) = result {
            tracing::warn!(%error, "rotating the access log failed");
        }
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    OpenOptions::new().create(true).append(true).mode(0o640).open(path)
}

/// Writes a JSON string, quotes included; bytes that are not UTF-8 become U+FFFD.
pub(crate) fn json_string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    // Nearly all text is like this.
    if text.iter().all(|b| matches!(b, b' '..=b'~') && !matches!(b, b'"' | b'\\')) {
        out.extend_from_slice(text);
        out.push(b'"');
        return;
    }
    for chunk in text.utf8_chunks() {
        for byte in chunk.valid().bytes() {
            match byte {
                b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
                0..=0x1f | 0x7f => {
                    let _ = write!(out, "\\u{byte:04x}");
                }
                _ => out.push(byte),
            }
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
    out.push(b'"');
}

/// Writes a number.
pub(crate) fn json_number(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0; 20];
    let mut rest = number;
    let mut from = digits.len();
    for digit in digits.iter_mut().rev() {
        *digit = b'0'.saturating_add(u8::try_from(rest % 10).unwrap_or(0));
        rest /= 10;
        from = from.saturating_sub(1);
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(from..).unwrap_or(b""));
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn lines_arrive_files_rotate_and_the_number_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("access.log");
        let options =
            LogOptions { file_bytes: 1000, files: 2, flush_every: Duration::from_millis(1), ..LogOptions::default() };
        let log = AccessLog::open(&options, path.clone(), 2).unwrap();
        for n in 0..100 {
            log.append(n % 2, |out| out.extend_from_slice(format!("{n:0100}").as_bytes()));
            std::thread::sleep(Duration::from_millis(2));
        }
        log.close();
        let mut names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["access.log", "access.log.1", "access.log.2"]);
        let text: String =
            ["access.log.1", "access.log"].map(|n| fs::read_to_string(dir.path().join(n)).unwrap()).concat();
        assert!(text.trim_end().ends_with("99"));
        assert!(text.lines().all(|l| l.len() == 100));
    }

    #[test]
    fn more_than_may_wait_is_dropped_and_counted() {
        let dir = tempfile::tempdir().unwrap();
        let options = LogOptions { waiting_bytes: 100, flush_every: Duration::from_secs(600), ..LogOptions::default() };
        let log = AccessLog::open(&options, dir.path().join("access.log"), 1).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        (0..10).for_each(|_| log.append(0, |out| out.extend_from_slice(&[b'x'; 49])));
        assert_eq!(log.shared.dropped.load(Ordering::Relaxed), 8);
    }

    #[test]
    fn json_numbers() {
        for number in [0, 9, 10, 4_294_967_296, u64::MAX] {
            let mut out = Vec::new();
            json_number(&mut out, number);
            assert_eq!(String::from_utf8(out).unwrap(), number.to_string());
        }
    }

    #[test]
    fn json_strings() {
        let mut out = Vec::new();
        json_string(&mut out, b"a\"b\\c\n\x7f\xff\xc3\xa4");
        let text: String = serde_json::from_slice(&out).unwrap();
        assert_eq!(text, "a\"b\\c\n\u{7f}\u{fffd}ä");
    }
}
