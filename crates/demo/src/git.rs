//! The one place where this crate starts a program: the real git.

#![expect(clippy::disallowed_methods, reason = "pushing with the real git is the point; typed arguments, no shell")]

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs git to its end. Nothing of the caller's git configuration takes part.
pub(crate) fn git<S: AsRef<OsStr>>(folder: &Path, args: impl IntoIterator<Item = S>) -> std::io::Result<Output> {
    Command::new("git")
        .args(args)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_AUTHOR_NAME", "Demo")
        .env("GIT_AUTHOR_EMAIL", "demo@example.org")
        .env("GIT_COMMITTER_NAME", "Demo")
        .env("GIT_COMMITTER_EMAIL", "demo@example.org")
        .stdin(Stdio::null())
        .output()
}
