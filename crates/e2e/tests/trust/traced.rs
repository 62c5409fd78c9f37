//! An installation whose every started program is written down from outside.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::strings::Canary;
use crate::support::Installation;

/// Whether programs can be traced here.
#[expect(clippy::disallowed_methods, reason = "looks whether strace works")]
pub fn can_trace() -> Result<(), String> {
    let output = std::process::Command::new("strace")
        .args(["-f", "--seccomp-bpf", "-e", "trace=execve", "-o", "/dev/null", "true"])
        .output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("strace does not work: {}", String::from_utf8_lossy(&output.stderr))),
        Err(e) => Err(format!("there is no strace: {e}")),
    }
}

/// A program with the binary's own arguments. The tracer lives on with whatever the binary leaves
/// behind, beside it (`-D`): so it must not hold the ends of pipes that somebody reads to their end.
macro_rules! wrapper {
    () => {
        r#"#!/usr/bin/env python3
import os, shutil, subprocess, sys, tempfile

TRACE = ['strace', '-D', '-ff', '-qq', '--seccomp-bpf', '-s', '300', '-e', 'trace=execve,execveat', '-e', 'signal=none']
with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
    where = '{log}/' + str(os.getpid())
    status = subprocess.call(TRACE + ['-o', where, '{binary}'] + sys.argv[1:], stdout=out, stderr=err)
    for told, to in [(out, sys.stdout), (err, sys.stderr)]:
        told.seek(0)
        shutil.copyfileobj(told, to.buffer)
        to.flush()
sys.exit(status if status >= 0 else 128 - status)
"#
    };
}

/// The binary under test, started through the tracer.
pub fn wrapped(place: &mut Installation) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let log = place.home().join("trace");
    std::fs::create_dir_all(&log).expect("a folder");
    let wrapper = place.home().join("orlop-traced");
    let text = format!(wrapper!(), log = log.display(), binary = place.binary.display());
    std::fs::write(&wrapper, text).expect("a file");
    std::fs::set_permissions(&wrapper, std::fs::Permissions::from_mode(0o755)).expect("its own file");
    place.binary = wrapper;
    log
}

/// Programs, each with how often it was started and one way it was called.
pub type Programs = BTreeMap<String, (usize, String)>;

/// The programs that were started.
pub fn started(log: &Path) -> Programs {
    let mut programs = Programs::new();
    for entry in std::fs::read_dir(log).into_iter().flatten().flatten() {
        let text = std::fs::read(entry.path()).unwrap_or_default();
        for line in String::from_utf8_lossy(&text).lines().filter(|l| l.contains("exec") && l.ends_with(" = 0")) {
            let program = line.split('"').nth(1).unwrap_or_default().to_owned();
            let known = programs.entry(program).or_insert((0, line.to_owned()));
            known.0 += 1;
        }
    }
    programs
}

/// Listens and counts who calls; and a folder where no file may appear.
pub struct Trap {
    pub canary: Canary,
    calls: Arc<AtomicUsize>,
    folder: tempfile::TempDir,
}

impl Trap {
    pub fn set() -> Self {
        let folder = tempfile::Builder::new().prefix("canary-").tempdir().expect("a folder");
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).expect("its own");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let calls = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&calls);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::SeqCst);
                let _ = stream.set_read_timeout(Some(std::time::Duration::from_millis(100)));
                let _ = stream.read(&mut [0; 512]);
            }
        });
        Self { canary: Canary { folder: folder.path().display().to_string(), port }, calls, folder }
    }

    /// What was carried out.
    pub fn sprung(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.folder.path()).into_iter().flatten().flatten();
        let mut all: Vec<String> = files.map(|e| format!("file {}", e.path().display())).collect();
        let calls = self.calls.load(Ordering::SeqCst);
        if calls > 0 {
            all.push(format!("{calls} calls of port {}", self.canary.port));
        }
        all
    }
}
