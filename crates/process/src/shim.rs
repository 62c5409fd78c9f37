//! The keeper of one instance: a small process of its own that outlives the platform. It is the
//! instance's parent, owns its output and its control group, probes its health, and writes down
//! what happens, so that whoever reads the data directory later knows the truth.

mod control;
mod disk;
mod end;
mod health;
mod keeper;
mod network;
mod outward;

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::launch::Launch;
use crate::{files, probe, sys};

pub(crate) use control::{Answer, Request, ask};

/// What the engine passes for an instance, before the path of its directory.
pub(crate) const KEEP: &str = "keep";
/// What the engine passes to find out what this host can do.
pub(crate) const PROBE: &str = "probe";

/// The entry point of the hidden subcommand that the engine re-executes the binary with. `args` are
/// the words after it. Must be called first thing in `main`, before any thread exists.
pub fn shim_main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let words: Vec<&str> = args.iter().filter_map(|a| a.to_str()).collect();
    let done = match words.as_slice() {
        [PROBE] => probe::answer(),
        [KEEP, dir] => keep(Path::new(dir)),
        _ => Err("this command is for the platform itself".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            // The engine reads this; nobody else starts a keeper.
            let _ = writeln!(std::io::stderr(), "{why}");
            ExitCode::FAILURE
        }
    }
}

/// Leaves the caller's process tree and keeps the instance. The first process ends at once, so that
/// the keeper becomes nobody's child.
fn keep(dir: &Path) -> Result<(), String> {
    let mut text = Vec::new();
    std::io::stdin().read_to_end(&mut text).map_err(|e| format!("read the order: {e}"))?;
    let launch: Launch = serde_json::from_slice(&text).map_err(|e| format!("read the order: {e}"))?;
    drop(text);
    if sys::clone_process(0).map_err(|e| format!("fork: {e}"))?.is_some() {
        return Ok(());
    }
    rustix::process::setsid().map_err(|e| format!("start a session: {e}"))?;
    let done = settle(dir).and_then(|lock| match lock {
        Some(lock) => keeper::run(dir.to_owned(), launch, lock),
        None => Ok(()),
    });
    if let Err(why) = &done {
        let _ = writeln!(std::io::stderr(), "{why}");
    }
    sys::exit_now(i32::from(done.is_err()))
}

/// Makes the instance's directory this process's place, and the instance its own. `None` where
/// another keeper has it, or had it.
fn settle(dir: &Path) -> Result<Option<std::fs::File>, String> {
    let said = |what: &'static str| move |e: std::io::Error| format!("{what}: {e}");
    std::env::set_current_dir(dir).map_err(said("enter the instance's directory"))?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let errors = std::fs::OpenOptions::new().create(true).append(true).open("keeper.err");
    sys::become_fd(errors.map_err(said("open keeper.err"))?.as_fd(), 2).map_err(said("set standard error"))?;
    let null = std::fs::File::open("/dev/null").map_err(said("open /dev/null"))?;
    sys::become_fd(null.as_fd(), 0).map_err(said("set standard input"))?;
    let lock = files::lock(Path::new(".")).map_err(said("take the lock"))?;
    let ran: Option<files::State> = files::read(&PathBuf::from(files::STATE)).map_err(said("read the state"))?;
    Ok(lock.filter(|_| ran.is_none()))
}

/// Tells the engine that waits at the other end of standard output that the instance runs, or has
/// ended already; then lets go of it.
fn report() {
    let _ = std::io::stdout().write_all(b"kept\n").and_then(|()| std::io::stdout().flush());
    if let Ok(null) = std::fs::OpenOptions::new().write(true).open("/dev/null") {
        let _ = sys::become_fd(null.as_fd(), 1);
    }
}
