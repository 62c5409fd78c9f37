//! A whole installation in a temporary folder, from the real binary, and its end.

use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use api::Nothing;
use api::access::{SignIn, SignInCode};
use api::platform::Readyz;
use base::{Problem, Result};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

use crate::client::Client;
use crate::program::{Call, Finished, orlop_binary};

/// The control plane must be ready within this span.
const READY: Duration = Duration::from_secs(30);
/// Settings that make tests short. All are what an operator could choose.
const BRISK: [&str; 4] =
    ["rollout.verify=500ms", "rollout.worker_ready=1s", "rollout.drain_deadline=5s", "rollout.start_deadline=20s"];

/// How to start.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// `KEY=VALUE` of the configuration, each after `--set`.
    pub set: Vec<String>,
    /// Variables of the control plane's environment.
    pub env: Vec<(String, String)>,
    /// Another binary than the one under test: an older version.
    pub binary: Option<PathBuf>,
    /// Where the data are; else in the installation's own folder.
    pub data: Option<PathBuf>,
}

impl Options {
    /// With these keys of the configuration.
    pub fn with(set: &[&str]) -> Self {
        Self { set: set.iter().map(|s| (*s).to_owned()).collect(), ..Self::default() }
    }
}

/// A running installation. Dropping it stops everything that it started.
pub struct Installation {
    /// A person who is signed in.
    pub client: Client,
    folder: tempfile::TempDir,
    options: Options,
    up: Option<Child>,
    binary: PathBuf,
    /// Where API and gateway listen: any free port at first, the same ones ever after.
    listens: (String, String),
    took: Duration,
}

#[derive(Deserialize)]
struct Running {
    pid: u32,
    url: String,
    gateway: String,
}

#[derive(Deserialize)]
struct SignInFile {
    code: String,
}

impl Installation {
    /// Starts one with what makes tests short.
    pub async fn start() -> Result<Self> {
        Self::with(Options::default()).await
    }

    /// Starts one.
    pub async fn with(options: Options) -> Result<Self> {
        let mut place = Self::prepared(options)?;
        place.begin().await?;
        Ok(place)
    }

    /// A folder for one that nobody has started: data may be put there first.
    pub fn prepared(options: Options) -> Result<Self> {
        let binary = options.binary.clone().map_or_else(orlop_binary, Ok)?;
        let failed = |e: std::io::Error| Problem::unavailable("disk", e);
        let folder = tempfile::Builder::new().prefix("orlop-e2e-").tempdir().map_err(failed)?;
        for part in ["home", "work"] {
            std::fs::create_dir(folder.path().join(part)).map_err(failed)?;
        }
        let free = "127.0.0.1:0".to_owned();
        let listens = (free.clone(), free);
        Ok(Self { client: Client::new("", "")?, folder, options, up: None, binary, listens, took: Duration::ZERO })
    }

    /// Starts one that was prepared and signs in with the code that it leaves.
    pub async fn begin(&mut self) -> Result<()> {
        let (_, code) = self.up().await?;
        let body = SignInCode { code, name: Some("e2e".into()), session: false };
        let token = self.client.send::<SignIn>(&Nothing {}, &body).await?.secret;
        self.client = self.client.clone().with_token(token);
        Ok(())
    }

    /// Acts with a credential that was issued before.
    pub fn use_token(&mut self, token: String) {
        self.client = self.client.clone().with_token(token);
    }

    /// Goes on with another binary at the next [`Self::up`].
    pub fn use_binary(&mut self, binary: PathBuf) {
        self.binary = binary;
    }

    /// Runs `orlop up` without waiting for anything. Again after [`Self::kill_control`].
    pub fn launch(&mut self) -> Result<u32> {
        let (log, data) = (self.path("up.log"), self.data());
        let data = data.to_string_lossy();
        let mut args = vec!["up", "--data", &data, "--listen", &self.listens.0, "--gateway-listen", &self.listens.1];
        let set = BRISK.iter().copied().chain(self.options.set.iter().map(String::as_str));
        args.extend(set.flat_map(|pair| ["--set", pair]));
        let call = self.options.env.iter().fold(Call::at(self.folder.path()), |call, (k, v)| call.env(k, v));
        let child = call.start(self.binary.as_os_str(), &args, &log)?;
        let pid = child.id();
        self.up = Some(child);
        Ok(pid)
    }

    /// Runs `orlop up` and waits until it is ready. Again after [`Self::kill_control`].
    pub async fn up(&mut self) -> Result<(u32, String)> {
        let begun = tokio::time::Instant::now();
        let pid = self.launch()?;
        let running = loop {
            if let Some(running) = read::<Running>(&self.data().join("run/control.json"))
                && running.pid == pid
                && ready(&running.url).await
            {
                break running;
            }
            let ended = self.up.as_mut().is_none_or(|child| child.try_wait().ok().flatten().is_some());
            if ended || begun.elapsed() > READY {
                self.kill_control();
                let said = std::fs::read_to_string(self.path("up.log")).unwrap_or_default();
                return Err(Problem::unavailable("not-up", format!("the installation is not ready: {said}")));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        self.took = begun.elapsed();
        let code = read::<SignInFile>(&self.data().join("run/sign-in.json")).map(|s| s.code).unwrap_or_default();
        self.client = Client::new(&running.url, &running.gateway)?.with_token(self.client.token().to_owned());
        let address = |url: &str| url.trim_start_matches("http://").to_owned();
        self.listens = (address(&running.url), address(&running.gateway));
        Ok((running.pid, code))
    }

    /// From the start of the process to the first answer of the API, the last time.
    pub fn took(&self) -> Duration {
        self.took
    }

    /// Everything that the installation keeps.
    pub fn data(&self) -> PathBuf {
        self.options.data.clone().unwrap_or_else(|| self.path("data"))
    }

    /// A folder or file beside the data.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where sources are worked on.
    pub fn work(&self) -> PathBuf {
        self.path("work")
    }

    /// Ends the control plane without a chance to say anything.
    pub fn kill_control(&mut self) {
        if let Some(mut child) = self.up.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Ends every process of the installation without a chance to say anything, as a power cut does:
    /// all stand still before the first one ends, so that none sees another one go.
    /// Those are the ones whose command line or working folder lies in this installation's folder.
    pub fn kill_everything(&mut self) {
        self.processes().into_iter().for_each(|pid| signal(pid, Signal::STOP));
        self.kill_control();
        for _ in 0..20 {
            let found = self.processes();
            if found.is_empty() {
                return;
            }
            found.into_iter().for_each(|pid| signal(pid, Signal::KILL));
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Types a command, in a folder.
    pub async fn orlop_in(&self, folder: &Path, args: &[&str]) -> Result<Finished> {
        let call = self.typed(folder).env("ORLOP_URL", self.client.url()).env("ORLOP_TOKEN", self.client.token());
        call.run(&self.binary, args).await
    }

    /// Types a command.
    pub async fn orlop(&self, args: &[&str]) -> Result<Finished> {
        self.orlop_in(&self.work(), args).await
    }

    /// Runs another program in a folder, in a home of its own.
    pub async fn program(&self, folder: &Path, program: &str, args: &[&str]) -> Result<Finished> {
        self.typed(folder).run(program, args).await
    }

    /// Starts another role of the binary by hand, which goes on.
    pub fn start_role(&self, args: &[&str]) -> Result<u32> {
        let child = Call::at(self.folder.path()).start(self.binary.as_os_str(), args, &self.path("role.log"))?;
        let pid = child.id();
        // Somebody must take note of its end, or it stays as a zombie.
        std::thread::spawn(move || {
            let mut child = child;
            child.wait()
        });
        Ok(pid)
    }

    /// Ends a process of the installation, as a fault would.
    pub fn kill(&self, pid: i32) {
        signal(pid, Signal::KILL);
    }

    /// The processes of the installation that play this role: the first word of their command line.
    pub fn playing(&self, role: &str) -> Vec<i32> {
        let plays = |pid: &i32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.split(|b| *b == 0).nth(1) == Some(role.as_bytes())
        };
        self.processes().into_iter().filter(plays).collect()
    }

    fn typed(&self, folder: &Path) -> Call {
        let home = self.path("home").display().to_string();
        let mut call =
            Call::at(folder).env("HOME", &home).env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_TERMINAL_PROMPT", "0");
        for name in ["XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"] {
            call = call.env(name, format!("{home}/{name}"));
        }
        for who in ["AUTHOR", "COMMITTER"] {
            call = call.env(&format!("GIT_{who}_NAME"), "Ada").env(&format!("GIT_{who}_EMAIL"), "ada@example.org");
        }
        call.env("NO_PROXY", "127.0.0.1,localhost").env("no_proxy", "127.0.0.1,localhost")
    }

    /// Processes that belong to this installation alone.
    pub fn processes(&self) -> Vec<i32> {
        let own = [self.folder.path().to_owned(), self.data()];
        let belongs = |pid: i32| {
            let proc = PathBuf::from(format!("/proc/{pid}"));
            let line = std::fs::read(proc.join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line);
            let folder = std::fs::read_link(proc.join("cwd")).unwrap_or_default();
            own.iter().any(|own| line.contains(&*own.to_string_lossy()) || folder.starts_with(own))
        };
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok());
        pids.filter(|pid| *pid > 1 && *pid != std::process::id().cast_signed() && belongs(*pid)).collect()
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        let data = self.data();
        let said =
            Call::at(self.folder.path()).run_now(self.binary.as_os_str(), &["down", "--data", &data.to_string_lossy()]);
        if !said.as_ref().is_ok_and(|f| f.status == Some(0)) {
            eprintln!("`orlop down` failed: {said:?}");
        }
        self.kill_everything();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.path("up.log")).unwrap_or_default();
            let lines: Vec<&str> = log.lines().rev().take(30).collect();
            eprintln!("the last of the control plane's log:");
            lines.into_iter().rev().for_each(|line| eprintln!("  {line}"));
        }
    }
}

fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = kill_process(pid, signal);
    }
}

/// Whether the API answers and says that it can work.
async fn ready(url: &str) -> bool {
    let Ok(client) = Client::new(url, "") else { return false };
    client.get::<Readyz>(&Nothing {}).await.is_ok_and(|alive| alive.ok)
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}
