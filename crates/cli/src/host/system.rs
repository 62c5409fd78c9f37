use std::fs::File;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use base::{Result, Time};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::hidden::read_hidden;
use super::{Host, Stream};
use crate::spawn;

/// The machine itself.
#[derive(Debug, Default)]
pub struct System(());

impl System {
    /// This machine.
    pub const fn new() -> Self {
        Self(())
    }
}

impl Host for System {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok().filter(|value| !value.is_empty())
    }

    fn folder(&self) -> io::Result<PathBuf> {
        std::env::current_dir()
    }

    #[expect(clippy::disallowed_methods, reason = "this is where the command line gets its clock from")]
    fn now(&self) -> Time {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Time::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    fn random(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        let read = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
        if read.is_err() {
            // These bytes name requests and protect nothing: the clock and the process are unlikely enough.
            let seed = self.now().micros().unsigned_abs() ^ u64::from(std::process::id()).rotate_left(40);
            bytes[..8].copy_from_slice(&seed.to_be_bytes());
        }
        bytes
    }

    fn machine(&self) -> String {
        rustix::system::uname().nodename().to_string_lossy().into_owned()
    }

    fn is_terminal(&self, stream: Stream) -> bool {
        match stream {
            Stream::Out => io::stdout().is_terminal(),
            Stream::Err => io::stderr().is_terminal(),
        }
    }

    fn is_interactive(&self) -> bool {
        io::stdin().is_terminal()
    }

    fn columns(&self) -> usize {
        rustix::termios::tcgetwinsize(io::stderr()).map_or(80, |size| usize::from(size.ws_col).max(20))
    }

    fn write(&self, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        match stream {
            Stream::Out => {
                let mut out = io::stdout().lock();
                out.write_all(bytes)?;
                out.flush()
            }
            Stream::Err => io::stderr().lock().write_all(bytes),
        }
    }

    fn read_all(&self, max: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        io::stdin().lock().take(max as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn read_line(&self, shown: bool) -> io::Result<String> {
        if !shown {
            return read_hidden();
        }
        let mut line = String::new();
        io::stdin().lock().take(4096).read_line(&mut line)?;
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }

    fn interrupted(&self) -> BoxFuture<'_, ()> {
        async {
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
        .boxed()
    }

    fn pause_ms(&self) -> u64 {
        250
    }

    fn git(&self, folder: &Path, args: &[&str]) -> Result<String> {
        spawn::git(folder, args)
    }

    fn browse(&self, url: &str) -> bool {
        spawn::browse(url)
    }
}
