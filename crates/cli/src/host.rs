//! The world outside the command line, as one trait: tests put their own in its place.

mod hidden;
mod system;

use std::io;
use std::path::{Path, PathBuf};

use base::{Result, Time};
use futures_util::future::BoxFuture;
pub use system::System;

/// Where text goes. Standard output is data; standard error is talk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// What a command needs of the machine it runs on.
pub trait Host: Send + Sync {
    /// A variable of the environment; empty ones count as absent.
    fn variable(&self, name: &str) -> Option<String>;
    /// The folder that the command was started in.
    fn folder(&self) -> io::Result<PathBuf>;
    /// The instant of the wall clock.
    fn now(&self) -> Time;
    /// Random bytes, for names of requests.
    fn random(&self) -> [u8; 16];
    /// The machine's name, as shown in lists of tokens.
    fn machine(&self) -> String;
    /// Whether a person looks at this stream.
    fn is_terminal(&self, stream: Stream) -> bool;
    /// Whether a person types.
    fn is_interactive(&self) -> bool;
    /// Columns of the terminal.
    fn columns(&self) -> usize;
    /// Writes to a stream at once.
    fn write(&self, stream: Stream, bytes: &[u8]) -> io::Result<()>;
    /// Reads standard input to its end, at most `max` bytes and one more.
    fn read_all(&self, max: usize) -> io::Result<Vec<u8>>;
    /// Reads one line that a person types, shown or not.
    fn read_line(&self, shown: bool) -> io::Result<String>;
    /// Ends when the person presses Ctrl-C.
    fn interrupted(&self) -> BoxFuture<'_, ()>;
    /// First pause before a call is tried again, milliseconds; later ones double.
    fn pause_ms(&self) -> u64;
    /// Runs git in a folder and returns what it wrote.
    fn git(&self, folder: &Path, args: &[&str]) -> Result<String>;
    /// Shows a page in the browser; `false` where there is none.
    fn browse(&self, url: &str) -> bool;
}
