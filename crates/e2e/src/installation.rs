//! A whole installation in a temporary folder, from the real binary, and its end.

use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use api::Nothing;
use api::access::{SignIn, SignInCode};
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
}

impl Options {
    /// With these keys of the configuration.
    pub fn with(set: &[&str]) -> Self {
        Self { set: set.iter().map(|s| (*s).to_owned()).collect() }
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
        let binary = orlop_binary()?;
        let failed = |e: std::io::Error| Problem::unavailable("disk", e);
        let folder = tempfile::Builder::new().prefix("orlop-e2e-").tempdir().map_err(failed)?;
        for part in ["home", "work"] {
            std::fs::create_dir(folder.path().join(part)).map_err(failed)?;
        }
        let client = Client::new("", "")?;
        let mut place = Self { client, folder, options, up: None, binary };
        let (_, code) = place.up().await?;
        let body = SignInCode { code, name: Some("e2e".into()) };
        let token = place.client.send::<SignIn>(&Nothing {}, &body).await?.secret;
        place.client = place.client.clone().with_token(token);
        Ok(place)
    }

    /// Runs `orlop up` and waits until it is ready. Again after [`Self::kill_control`].
    pub async fn up(&mut self) -> Result<(u32, String)> {
        let log = self.path("up.log");
        let data = self.data();
        let data = data.to_string_lossy();
        let mut args = vec!["up", "--data", &data, "--listen", "127.0.0.1:0", "--gateway-listen", "127.0.0.1:0"];
        let set = BRISK.iter().copied().chain(self.options.set.iter().map(String::as_str));
        args.extend(set.flat_map(|pair| ["--set", pair]));
        let mut child = Call::at(self.folder.path()).start(self.binary.as_os_str(), &args, &log)?;
        let begun = tokio::time::Instant::now();
        let running = loop {
            if let Some(running) = read::<Running>(&self.data().join("run/control.json"))
                && running.pid == child.id()
            {
                break running;
            }
            let ended = child.try_wait().ok().flatten().is_some();
            if ended || begun.elapsed() > READY {
                let _ = child.kill();
                let _ = child.wait();
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                return Err(Problem::unavailable("not-up", format!("the installation is not ready: {said}")));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let code = read::<SignInFile>(&self.data().join("run/sign-in.json")).map(|s| s.code).unwrap_or_default();
        self.client = Client::new(&running.url, &running.gateway)?.with_token(self.client.token().to_owned());
        self.up = Some(child);
        Ok((running.pid, code))
    }

    /// Everything that the installation keeps.
    pub fn data(&self) -> PathBuf {
        self.path("data")
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

    /// Ends every process of the installation without a chance to say anything, as a power cut does.
    /// Those are the ones whose command line or working folder lies in this installation's folder.
    pub fn kill_everything(&mut self) {
        self.kill_control();
        for _ in 0..20 {
            let found = self.processes();
            if found.is_empty() {
                return;
            }
            found.into_iter().for_each(kill);
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
    fn processes(&self) -> Vec<i32> {
        let own = self.folder.path();
        let belongs = |pid: i32| {
            let proc = PathBuf::from(format!("/proc/{pid}"));
            let line = std::fs::read(proc.join("cmdline")).unwrap_or_default();
            let folder = std::fs::read_link(proc.join("cwd")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(&*own.to_string_lossy()) || folder.starts_with(own)
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

fn kill(pid: i32) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = kill_process(pid, Signal::KILL);
    }
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}
