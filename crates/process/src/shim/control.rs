//! The conversation between engine and keeper: one line of JSON each way per connection.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use base::Generation;
use serde::{Deserialize, Serialize};

use crate::files;

/// What the engine asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Request {
    /// End the instance.
    Stop { generation: Generation, grace_ms: u64 },
    /// Refuse anything older from now on.
    Obey { generation: Generation },
}

/// What the keeper answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// Done, or under way.
    Done,
    /// It has seen this newer generation.
    Stale { seen: Generation },
}

const LINE_BYTES_MAX: u64 = 4096;
const ENGINE_WAITS: Duration = Duration::from_secs(5);
/// Only the engine can reach the socket, and it sends at once.
const KEEPER_WAITS: Duration = Duration::from_millis(250);

/// Asks the keeper of the instance in this directory.
pub(crate) fn ask(dir: &Path, request: &Request) -> io::Result<Answer> {
    // The path of a socket may have 107 bytes only; a descriptor of its directory makes it short.
    let handle = std::fs::File::open(dir)?;
    let mut stream = UnixStream::connect(format!("/proc/self/fd/{}/{}", handle.as_raw_fd(), files::CONTROL))?;
    stream.set_read_timeout(Some(ENGINE_WAITS))?;
    stream.set_write_timeout(Some(ENGINE_WAITS))?;
    write_line(&mut stream, request)?;
    read_line(&stream)
}

/// Takes one request from a connection, lets `decide` answer it, and sends the answer.
pub(super) fn serve(mut stream: UnixStream, decide: impl FnOnce(Request) -> Answer) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(KEEPER_WAITS))?;
    stream.set_write_timeout(Some(KEEPER_WAITS))?;
    let answer = decide(read_line(&stream)?);
    write_line(&mut stream, &answer)
}

fn write_line(stream: &mut UnixStream, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    stream.write_all(&line)
}

fn read_line<T: serde::de::DeserializeOwned>(stream: &UnixStream) -> io::Result<T> {
    let mut line = String::new();
    BufReader::new(stream.take(LINE_BYTES_MAX)).read_line(&mut line)?;
    Ok(serde_json::from_str(&line)?)
}
