//! The one place where this binary starts programs: itself in another role.

#![expect(clippy::disallowed_methods, reason = "starting roles is what this module is for; typed arguments, no shell")]

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use base::{Problem, Result};

/// The binary itself, as it was called when this was first asked: once the file was replaced by a
/// new version, the system calls the old one deleted.
pub(crate) fn own_binary() -> Result<std::path::PathBuf> {
    static FOUND: std::sync::OnceLock<std::path::PathBuf> = std::sync::OnceLock::new();
    if let Some(found) = FOUND.get() {
        return Ok(found.clone());
    }
    let found = std::env::current_exe()
        .map_err(|e| Problem::internal("no-own-path", format!("cannot find the own binary: {e}")))?;
    Ok(FOUND.get_or_init(|| found).clone())
}

/// Starts the guard of this process: the very same binary, even where its file was replaced meanwhile,
/// with a pipe that ends when this process does.
pub(crate) fn guard(args: &[String; 2]) -> Result<Child> {
    let failed = |e: std::io::Error| Problem::internal("role-not-started", format!("cannot start a guard: {e}"));
    let mut command = Command::new(ITSELF);
    command.arg0("orlop").arg("guard").args(args).process_group(0).stdin(Stdio::piped());
    command.spawn().map_err(failed)
}

/// Goes on as a gateway; returns only when that fails.
pub(crate) fn become_gateway(args: [&str; 3]) -> Problem {
    let error = Command::new(ITSELF).arg0("orlop").arg("gateway").args(args).stdin(Stdio::null()).exec();
    Problem::internal("role-not-started", format!("cannot become a gateway: {error}"))
}

/// The program that runs, whatever has its path now.
const ITSELF: &str = "/proc/self/exe";

/// What a role sees of the environment of whoever started it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sees {
    /// All of it: the same command in the background.
    All,
    /// Nothing but how much it shall say: whoever carries traffic needs none of an operator's secrets.
    Little,
}

/// The only variable of a role that sees little.
const LOG_LEVEL: &str = "ORLOP_LOG";

/// Starts the own binary in another role, in a process group of its own (a Ctrl-C in the terminal
/// is not for it), with its output appended to a log file.
pub(crate) fn role<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>, sees: Sees, log: &Path) -> Result<Child> {
    let failed =
        |e: std::io::Error| Problem::internal("role-not-started", format!("cannot start another role of orlop: {e}"));
    let output = OpenOptions::new().create(true).append(true).mode(0o600).open(log).map_err(failed)?;
    let again = output.try_clone().map_err(failed)?;
    let mut command = Command::new(own_binary()?);
    if sees == Sees::Little {
        command.env_clear();
        command.envs(std::env::var_os(LOG_LEVEL).map(|level| (LOG_LEVEL, level)));
    }
    command.args(args).process_group(0).stdin(Stdio::null()).stdout(output).stderr(again).spawn().map_err(failed)
}
