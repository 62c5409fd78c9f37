//! The one place of this crate where programs are started: the binary under test, git, and python
//! where a test changes a database from outside. Typed arguments, no shell.

#![expect(clippy::disallowed_methods, reason = "starting the binary under test is what this module is for")]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base::{Problem, Result};

/// No program that a test starts and waits for may take longer.
const DEADLINE: Duration = Duration::from_secs(240);

/// What a program that has ended said.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Exit status; `None` after a signal.
    pub status: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Finished {
    /// Both outputs, for looking for words.
    pub fn all(&self) -> String {
        format!("{}\n{}", self.out, self.err)
    }

    /// The output of a program that succeeded.
    pub fn done(self) -> Result<Self> {
        match self.status {
            Some(0) => Ok(self),
            _ => Err(Problem::internal("program-failed", format!("status {:?}: {}", self.status, self.all()))),
        }
    }
}

/// The binary under test: `ORLOP_BIN`, else the one beside this test program's folder.
pub fn orlop_binary() -> Result<PathBuf> {
    let named = std::env::var_os("ORLOP_BIN").map(PathBuf::from);
    let own = std::env::current_exe().map_err(|e| Problem::internal("no-own-path", e))?;
    let beside = own.ancestors().nth(2).map(|target| target.join("orlop"));
    let found = named.or(beside).filter(|path| path.is_file());
    found.ok_or_else(|| {
        Problem::not_found("no-binary", "the binary under test is not there")
            .hint("`cargo build --workspace --bin orlop` makes it; another one is named by ORLOP_BIN; `cargo xtask test` does both")
    })
}

/// Where a program is started, with what.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub folder: PathBuf,
    pub env: Vec<(String, String)>,
    /// Variables that must not come from whoever runs the tests.
    pub without: Vec<String>,
}

impl Call {
    /// Starts in a folder, free of the caller's own Orlop and git configuration.
    pub(crate) fn at(folder: &Path) -> Self {
        let own = std::env::vars().map(|(name, _)| name);
        let without = own.filter(|n| n.starts_with("ORLOP_") || n.starts_with("GIT_")).collect();
        Self { folder: folder.to_owned(), env: Vec::new(), without }
    }

    pub(crate) fn env(mut self, name: &str, value: impl ToString) -> Self {
        self.env.push((name.to_owned(), value.to_string()));
        self
    }

    fn command(&self, program: &OsStr, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        for name in &self.without {
            command.env_remove(name);
        }
        command.args(args).current_dir(&self.folder).envs(self.env.iter().map(|(k, v)| (k, v))).stdin(Stdio::null());
        command
    }

    /// Runs a program to its end.
    pub(crate) async fn run(&self, program: impl AsRef<OsStr>, args: &[&str]) -> Result<Finished> {
        let program = program.as_ref();
        let failed = |e: std::io::Error| {
            Problem::unavailable("not-started", format!("{} cannot be run: {e}", program.display()))
        };
        let mut command = tokio::process::Command::from(self.command(program, args));
        let output = command.kill_on_drop(true).output();
        let output = tokio::time::timeout(DEADLINE, output)
            .await
            .map_err(|_| Problem::timeout("program-hangs", format!("{} {args:?} has not ended", program.display())))?;
        let output = output.map_err(failed)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Finished { status: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) })
    }

    /// Runs a program to its end where nothing can be awaited.
    pub(crate) fn run_now(&self, program: &OsStr, args: &[&str]) -> std::io::Result<Finished> {
        let output = self.command(program, args).output()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Finished { status: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) })
    }

    /// Starts a program that goes on, its output in a file.
    pub(crate) fn start(&self, program: &OsStr, args: &[&str], log: &Path) -> Result<Child> {
        let failed = |e: std::io::Error| Problem::unavailable("not-started", e);
        let out = std::fs::OpenOptions::new().create(true).append(true).open(log).map_err(failed)?;
        let err = out.try_clone().map_err(failed)?;
        self.command(program, args).stdout(out).stderr(err).spawn().map_err(failed)
    }
}
