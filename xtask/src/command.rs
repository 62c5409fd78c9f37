//! The one place of xtask that starts other programs.
#![expect(clippy::disallowed_methods, reason = "xtask runs cargo and git; every start goes through this module")]

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

/// How long a silent program is left alone before it is asked whether it has ended.
const POLL: Duration = Duration::from_millis(500);
/// What cargo tells a program it runs about that program's own package. Handed on, it would make
/// build scripts of other packages believe that something changed.
const CARGO_TALK: [&str; 4] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"];

/// The directory of the root manifest.
pub fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map_or_else(|| here.clone(), Path::to_path_buf)
}

/// Runs `program` at the root of the project and returns what it wrote to its output, or `None`
/// when it could not be started or failed.
pub fn output(root: &Path, program: &str, args: &[&str]) -> Option<String> {
    let output = command(root, program, args).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    if output.status.success() { String::from_utf8(output.stdout).ok() } else { None }
}

/// Which of the two streams of a program a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// What the program answers.
    Out,
    /// What it says meanwhile.
    Err,
}

/// Runs a program and hands every line to `line` as it appears. Returns whether it ended well.
///
/// # Errors
/// Says which program could not be started and why.
pub fn stream(
    root: &Path,
    argv: &[String],
    env: &[(String, String)],
    mut line: impl FnMut(Stream, &str),
) -> Result<bool, String> {
    let (program, args) = argv.split_first().ok_or("no program was named")?;
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut command = command(root, program, &args);
    command.envs(env.iter().map(|(name, value)| (name, value)));
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|why| format!("`{program}` could not be started: {why}"))?;
    let (sender, lines) = mpsc::sync_channel(1024);
    if let Some(pipe) = child.stdout.take() {
        let sender = sender.clone();
        std::thread::spawn(move || forward(pipe, Stream::Out, &sender));
    }
    if let Some(pipe) = child.stderr.take() {
        std::thread::spawn(move || forward(pipe, Stream::Err, &sender));
    }
    let mut ended = None;
    loop {
        match lines.recv_timeout(POLL) {
            Ok((stream, text)) => line(stream, &text),
            // Something that outlived the program still holds its pipes; nobody waits for that.
            Err(RecvTimeoutError::Timeout) if ended.is_some() => break,
            Err(RecvTimeoutError::Timeout) => ended = child.try_wait().ok().flatten(),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let status = child.wait().map_err(|why| format!("`{program}` could not be waited for: {why}"))?;
    Ok(status.success())
}

fn forward(pipe: impl Read, stream: Stream, sender: &mpsc::SyncSender<(Stream, String)>) {
    let mut reader = BufReader::new(pipe);
    let mut bytes = Vec::new();
    while reader.read_until(b'\n', &mut bytes).is_ok_and(|read| read > 0) {
        let text = String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']).to_owned();
        if sender.send((stream, text)).is_err() {
            return;
        }
        bytes.clear();
    }
}

/// Writes a line and does not mind when the reader went away.
pub fn say(to_stderr: bool, text: &str) {
    if to_stderr {
        let _ = writeln!(std::io::stderr(), "{text}");
    } else {
        let _ = writeln!(std::io::stdout(), "{text}");
    }
}

/// The cargo that runs xtask, so that every stage uses the same toolchain.
pub fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

fn command(root: &Path, program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root).args(args);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| CARGO_TALK.iter().any(|talk| name.starts_with(talk))) {
            command.env_remove(name);
        }
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a program and compares whether it ended well and what was heard.
    fn check(argv: &[&str], ok: bool, heard: &[(Stream, &str)]) {
        let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
        let mut lines = Vec::new();
        let ended = stream(Path::new("/"), &argv, &[], |stream, line| lines.push((stream, line.to_owned())));
        assert_eq!(ended, Ok(ok));
        assert_eq!(lines.iter().map(|(stream, line)| (*stream, line.as_str())).collect::<Vec<_>>(), heard);
    }

    #[test]
    fn lines_and_results_come_through() {
        check(&["printf", "a\\nb"], true, &[(Stream::Out, "a"), (Stream::Out, "b")]);
        check(&["false"], false, &[]);
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let ended = stream(Path::new("/"), &["no-such-program".to_owned()], &[], |_, _| {});
        assert!(ended.is_err_and(|why| why.contains("no-such-program")));
    }

    #[test]
    fn what_outlives_a_program_is_not_waited_for() {
        let argv = ["sh", "-c", "(sleep 20; echo late) & echo started"].map(str::to_owned);
        let mut lines = Vec::new();
        let ended = stream(Path::new("/"), &argv, &[], |_, line| lines.push(line.to_owned()));
        assert_eq!((ended, lines), (Ok(true), vec!["started".to_owned()]));
    }
}
