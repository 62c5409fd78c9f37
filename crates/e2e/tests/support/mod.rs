//! A real installation in a folder of its own: the real binary, driven as a person drives it.
//! Everything is stopped when it is dropped, also by a panic.
#![allow(dead_code, reason = "each test target uses its part")]
#![expect(clippy::disallowed_methods, reason = "starts the binary under test")]

use std::ffi::OsStr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Nothing that a test waits for takes longer.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Settings that make tests short. All are what an operator could choose.
const BRISK: &[&str] = &["--set", "rollout.verify=500ms", "--set", "rollout.worker_ready=1s"];

/// An installation; not started by itself.
pub struct Installation {
    home: TempDir,
    /// Its data folder.
    pub data: PathBuf,
    /// The binary.
    pub binary: PathBuf,
    /// The user that everything runs as, where it is not the one of the test.
    pub user: Option<u32>,
    /// Further flags of `orlop up`.
    pub flags: Vec<String>,
    /// Further variables of `orlop up`.
    pub variables: Vec<(String, String)>,
    /// Where it listens once it was up: it comes back there.
    listens: Mutex<(String, String)>,
}

/// What `orlop up --detach --json` said.
#[derive(Debug, Clone)]
pub struct Up {
    pub pid: i32,
    pub url: String,
    pub gateway: String,
    pub code: String,
}

/// What a command did.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// Its standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{}\n{}", self.out, self.err);
        self
    }
}

/// The binary that was built beside this test; `ORLOP_BIN` names another.
pub fn binary() -> PathBuf {
    if let Some(named) = std::env::var_os("ORLOP_BIN") {
        return named.into();
    }
    let own = std::env::current_exe().expect("a test knows where it is");
    let beside = own.parent().and_then(Path::parent).expect("tests are in target/PROFILE/deps").join("orlop");
    assert!(
        beside.is_file(),
        "{} is not there: build it first with `cargo build --workspace --bin orlop`",
        beside.display()
    );
    beside
}

/// Any free port of this machine.
fn free() -> String {
    "127.0.0.1:0".to_owned()
}

/// A fixture of this crate.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

/// Waits until something is so.
#[track_caller]
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "this did not come about: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Whether a process still runs; one that nobody has taken note of yet does not.
pub fn runs(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// Says that something was not tested, past the capture of the test harness.
pub fn skip(why: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "\n*** SKIPPED: {why} ***\n");
}

impl Installation {
    pub fn new() -> Self {
        Self::of(None)
    }

    /// As an ordinary user; the test itself must be root then.
    pub fn of(user: Option<u32>) -> Self {
        let home = tempfile::Builder::new().prefix("orlop-e2e-").tempdir().expect("a temporary folder");
        if let Some(user) = user {
            std::os::unix::fs::chown(home.path(), Some(user), Some(user)).expect("root may give files away");
        }
        Self {
            data: home.path().join("data"),
            home,
            binary: binary(),
            user,
            flags: Vec::new(),
            variables: Vec::new(),
            listens: Mutex::new((free(), free())),
        }
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Starts it in the background.
    #[track_caller]
    pub fn up(&self) -> Up {
        let flags: Vec<&str> = self.flags.iter().map(String::as_str).collect();
        let (api, gateway) = self.listens.lock().expect("nobody panicked here").clone();
        let args = ["up", "--detach", "--json", "--listen", &*api, "--gateway-listen", &*gateway];
        let ran = self.orlop([&args, BRISK, &*flags].concat()).ok();
        let said = ran.json();
        let text = |at: &str| said.pointer(at).and_then(Value::as_str).expect(at).to_owned();
        let address = |url: String| url.trim_start_matches("http://").to_owned();
        *self.listens.lock().expect("nobody panicked here") =
            (address(text("/running/url")), address(text("/running/gateway")));
        Up {
            pid: said.pointer("/running/pid").and_then(Value::as_i64).and_then(|p| i32::try_from(p).ok()).expect("pid"),
            url: text("/running/url"),
            gateway: text("/running/gateway"),
            code: text("/signIn/code"),
        }
    }

    /// Runs a command to its end.
    pub fn orlop<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Ran {
        self.orlop_in(self.home.path(), args)
    }

    /// Runs a command in a folder to its end.
    pub fn orlop_in<S: AsRef<OsStr>>(&self, folder: &Path, args: impl IntoIterator<Item = S>) -> Ran {
        let mut command = self.command(args);
        let output = command.current_dir(folder).output().expect("the binary starts");
        let Output { status, stdout, stderr } = output;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ran { code: status.code().unwrap_or(-1), out: text(stdout), err: text(stderr) }
    }

    /// A command with nothing of the tester's own state.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(&self.binary);
        let args: Vec<S> = args.into_iter().collect();
        if args.first().is_some_and(|verb| verb.as_ref() == "up") {
            command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        }
        command.args(args).stdin(Stdio::null()).env("ORLOP_DATA", &self.data);
        command.env("XDG_CONFIG_HOME", self.home.path().join("config")).env_remove("ORLOP_URL");
        if let Some(user) = self.user {
            command.uid(user).gid(user).env("HOME", self.home.path());
        }
        command
    }

    /// Copies a fixture into the home folder, owned by whoever the installation runs as.
    pub fn copy(&self, from: &Path, name: &str) -> PathBuf {
        let to = self.home.path().join(name);
        copy_tree(from, &to, self.user);
        to
    }

    /// Process ids of everything whose command line names this data folder.
    pub fn processes(&self) -> Vec<i32> {
        let needle = self.data.display().to_string();
        let Ok(all) = std::fs::read_dir("/proc") else { return Vec::new() };
        let named = |pid: &i32| {
            std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|c| String::from_utf8_lossy(&c).contains(&needle))
        };
        all.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).filter(named).collect()
    }

    /// Process ids of the gateway.
    pub fn gateways(&self) -> Vec<i32> {
        let is_gateway = |pid: &i32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.split(|b| *b == 0).nth(1) == Some(b"gateway")
        };
        self.processes().into_iter().filter(is_gateway).collect()
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        let _ = self.orlop(["down"]);
    }
}

fn copy_tree(from: &Path, to: &Path, user: Option<u32>) {
    std::fs::create_dir_all(to).expect("a folder can be made");
    for entry in std::fs::read_dir(from).expect("the fixture is there").flatten() {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy_tree(&path, &target, user);
        } else {
            std::fs::copy(&path, &target).expect("a file can be copied");
            if let Some(user) = user {
                std::os::unix::fs::chown(&target, Some(user), Some(user)).expect("root may give files away");
            }
        }
    }
    if let Some(user) = user {
        std::os::unix::fs::chown(to, Some(user), Some(user)).expect("root may give files away");
    }
}
