//! The only place that starts programs: typed arguments, no shell.
#![expect(clippy::disallowed_methods, reason = "this is the module of the command line that builds child processes")]

use std::path::Path;
use std::process::{Command, Stdio};

use base::{Problem, Result};

/// Runs git in `folder` and returns what it wrote. Asks nothing of anybody.
pub fn git(folder: &Path, args: &[&str]) -> Result<String> {
    let shown = || format!("git {}", args.join(" "));
    let output = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(args)
        .env("GIT_TERMINAL_PROMPT", "0")
        .stdin(Stdio::null())
        .output()
        .map_err(|e| Problem::internal("git-not-started", format!("`{}` could not be started: {e}", shown())))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Problem::conflict("git-failed", format!("`{}` failed: {}", shown(), said.trim())))
}

/// Shows a page in the browser; `false` where no program for it is found.
pub fn browse(url: &str) -> bool {
    Command::new("xdg-open")
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
