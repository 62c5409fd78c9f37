use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use base::{
    Bytes, Digest, EnvironmentName, Generation, InstanceId, MilliCpu, ProcessName, ReleaseId, Result, Secret,
    ServiceName, Time,
};
use serde::{Deserialize, Serialize};

use crate::{Address, ByteStream};

/// Runs instances: copies of a process in isolation, on this machine or on another engine.
///
/// Every call is idempotent by [`InstanceId`]. Calls that change something carry a generation; an
/// engine refuses one that is older than what it has seen for that instance with the problem code
/// `stale-generation`. An instance outlives the caller: after a restart of the control plane
/// [`Engine::list`] shows everything that was ever ensured and not removed.
#[async_trait]
pub trait Engine: Send + Sync {
    /// What this engine can and cannot isolate or limit on this host, each with the reason.
    fn features(&self) -> Vec<Feature>;

    /// Starts the instance if it was never started; otherwise changes nothing. Returns what is seen now.
    async fn ensure(&self, spec: &InstanceSpec, generation: Generation) -> Result<InstanceSeen>;

    /// Asks the instance to end (SIGTERM) and ends it by force after `grace`. Returns at once; the
    /// end is seen through [`Engine::list`]. An instance that is unknown or has ended is not an error.
    async fn stop(&self, id: InstanceId, generation: Generation, grace: Duration) -> Result<()>;

    /// Forgets an instance that has ended, with its log and private files. Refuses one that runs
    /// (`instance-running`). An unknown id is not an error.
    async fn remove(&self, id: InstanceId, generation: Generation) -> Result<()>;

    /// Everything that was ensured and not removed, running or ended.
    async fn list(&self) -> Result<Vec<InstanceSeen>>;

    /// One instance, if it is known.
    async fn get(&self, id: InstanceId) -> Result<Option<InstanceSeen>>;

    /// Waits until something about any instance may have changed, or the span is over. A wake-up
    /// carries no news: read [`Engine::list`].
    async fn changed(&self, at_most: Duration);

    /// Which instances may have changed since `mark`, and the mark to ask with the next time; begin
    /// with 0. `None`: any of them. Costs what has changed, however many instances there are.
    async fn news(&self, mark: u64) -> Result<(u64, Option<BTreeSet<InstanceId>>)> {
        Ok((mark, None))
    }

    /// Log lines after `from` (all that are kept when `None`), oldest first, at most `max`. An
    /// empty answer means: nothing new yet, or the log has ended and was read.
    async fn logs(&self, id: InstanceId, from: Option<LogCursor>, max: usize) -> Result<Vec<LogLine>>;

    /// The last `max` kept lines, oldest first.
    async fn log_tail(&self, id: InstanceId, max: usize) -> Result<Vec<LogLine>>;

    /// The newest kept lines up to `until`, oldest first: at most `max`, and at least one where there is
    /// one. An empty answer means: nothing older is kept. Whoever reads a whole log backwards goes on
    /// with [`LogEnd::Before`] the oldest line that came.
    async fn log_back(&self, id: InstanceId, until: LogEnd, max: usize) -> Result<Vec<LogLine>>;

    /// The directory `path` (absolute, as seen inside) of an ended task as an uncompressed tar
    /// stream with deterministic order, times and owners: how a build's result leaves its sandbox.
    async fn export(&self, id: InstanceId, path: &str) -> Result<ByteStream>;
}

/// What to run. Everything that decides behaviour is in here; an engine adds nothing of its own.
#[derive(Clone)]
pub struct InstanceSpec {
    /// Identity; chosen by the caller.
    pub id: InstanceId,
    /// Which service it belongs to.
    pub service: ServiceName,
    /// In which environment; `None` for a build.
    pub environment: Option<EnvironmentName>,
    /// Which release it is a copy of; `None` for a build.
    pub release: Option<ReleaseId>,
    /// Which process of the release.
    pub process: ProcessName,
    /// To serve until stopped, or to run to its end.
    pub purpose: Purpose,
    /// What its file system is made of.
    pub base: Base,
    /// More that is mounted, in order.
    pub mounts: Vec<Mount>,
    /// Working directory inside, absolute.
    pub workdir: String,
    /// Program and arguments; never a shell line. The engine puts variables in as
    /// [`base::placeholder`] says, `${PORT}` among them; `$$` is one `$`.
    pub command: Vec<String>,
    /// The environment, complete: nothing is inherited. `PORT` is added by the engine where `port` is true.
    pub env: BTreeMap<String, Secret<String>>,
    /// Values that the engine keeps out of the log and of what it tells, by the name that stands there instead.
    pub hidden: BTreeMap<String, Secret<String>>,
    /// Whether the engine shall give it a port to listen on (in `PORT`).
    pub port: bool,
    /// How to find out whether it is ready; `None`: it is ready once it runs.
    pub health: Option<Health>,
    /// What it may connect to.
    pub network: Network,
    /// Processor limit.
    pub cpu: MilliCpu,
    /// Processor weight relative to others, 1–10000, 100 is normal.
    pub cpu_weight: u16,
    /// Memory limit.
    pub memory: Bytes,
    /// Most processes and threads.
    pub tasks_max: u32,
    /// Most bytes it may write to its writable mounts and `/tmp` together.
    pub disk_max: Bytes,
    /// After this long the instance is ended by force and seen as [`ExitKind::Deadline`].
    pub deadline: Option<Duration>,
    /// SIGTERM to SIGKILL when it ends by itself being told to.
    pub stop_grace: Duration,
}

/// Whether an instance serves until stopped or runs to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Purpose {
    /// Runs until told to stop; ending by itself is a crash.
    Serve,
    /// Runs to its end: builds, release commands.
    Task,
}

/// What the file system of an instance is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Base {
    /// The artifact with this OCI manifest digest, read-only at `/app`, over the engine's read-only system.
    Artifact(Digest),
    /// Only the engine's read-only system, and the uncompressed tar object with this key unpacked
    /// writable at `/workspace`: a build.
    Workspace {
        /// Key in the object store.
        source: String,
    },
}

/// A directory lent to an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Mount {
    /// A writable directory kept by the engine between instances under this name: a build cache.
    /// The name is relative, of `[a-z0-9-]` segments joined by `/`.
    Cache {
        /// Name.
        name: String,
        /// Absolute path inside.
        target: String,
    },
    /// A file or directory of the host, read-only at the same path: a toolchain, a CA bundle, a
    /// registry configuration. Only what the operator's configuration lists.
    Host {
        /// Absolute path on the host and inside.
        path: PathBuf,
    },
    /// The running platform's own binary, read-only and executable, for the static file server.
    Platform {
        /// Absolute path inside.
        target: String,
    },
}

/// How readiness is found out. The engine probes; the caller decides what follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// What counts as an answer.
    pub probe: Probe,
    /// Time between two probes.
    pub every_ms: u64,
    /// One probe may take this long.
    pub timeout_ms: u64,
}

/// One kind of readiness check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Probe {
    /// The port accepts a connection.
    Port,
    /// `GET` of this path answers 200–399.
    Http {
        /// Absolute path.
        path: String,
    },
}

/// What an instance may reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Network {
    /// Everything the host reaches: builds, which fetch dependencies.
    Host,
    /// Nothing but what is listed. Where the engine can, the instance has a network of its own, in
    /// which there is nothing else, and nobody reaches it but through its [`InstanceSeen::address`].
    Only(Vec<Connect>),
}

/// One thing that an instance may connect to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Connect {
    /// Host name or address. A name is resolved outside of the instance, for each connection.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// How the connection is made.
    pub way: Way,
}

/// How a connection that an instance may make is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Way {
    /// To this host and port, whatever answers there.
    Direct,
    /// Through the gateway, whose port this is, as a `Caller`: another service of the installation.
    Gateway,
}

/// What is seen of one instance now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceSeen {
    /// Which one.
    pub id: InstanceId,
    /// Which service.
    pub service: ServiceName,
    /// In which environment.
    pub environment: Option<EnvironmentName>,
    /// Of which release.
    pub release: Option<ReleaseId>,
    /// Which process of the release.
    pub process: ProcessName,
    /// To serve or to end.
    pub purpose: Purpose,
    /// The newest generation it has obeyed.
    pub generation: Generation,
    /// What it is doing.
    pub state: InstanceState,
    /// Where its port can be reached, when it has one.
    pub address: Option<Address>,
    /// When it was started.
    pub started: Time,
    /// When it came into this state.
    pub since: Time,
    /// What was observed that makes the state true: the probe and its answer, the exit status, the
    /// kernel's message. One line.
    pub evidence: String,
    /// Resident memory, bytes, where it can be told.
    pub memory: Option<Bytes>,
    /// Processor time used so far, microseconds, where it can be told.
    pub cpu_us: Option<u64>,
}

/// The states of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "is")]
pub enum InstanceState {
    /// Runs, and has not answered its probe yet.
    Starting,
    /// Runs, and the last probe was answered.
    Ready,
    /// Runs, was ready before, and does not answer its probe now.
    Unready,
    /// Was told to end and has not ended yet.
    Stopping,
    /// Ended.
    Exited {
        /// How it ended.
        kind: ExitKind,
    },
}

impl InstanceState {
    /// Whether there is a process.
    pub const fn is_running(&self) -> bool {
        !matches!(self, Self::Exited { .. })
    }
}

/// How an instance ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "how")]
pub enum ExitKind {
    /// With this exit status.
    Status {
        /// 0–255.
        status: i32,
    },
    /// By this signal.
    Signal {
        /// Signal number.
        signal: i32,
    },
    /// It needed more memory than its limit.
    Memory,
    /// It wrote more than its limit.
    Disk,
    /// Its deadline passed.
    Deadline,
    /// It was told to stop and did, or was killed after the grace.
    Stopped {
        /// Whether it had to be killed.
        killed: bool,
    },
    /// It could not be started; the evidence says why.
    NotStarted,
    /// It vanished with its keeper: the machine was restarted or someone killed both.
    Lost,
}

/// A place in the log of one instance. Opaque to callers, ordered, and valid after a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LogCursor(pub u64);

/// Up to where a log is read backwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogEnd {
    /// Its newest line.
    Newest,
    /// The line with this cursor, that line included.
    Through(LogCursor),
    /// The line with this cursor, without it.
    Before(LogCursor),
    /// The last line that was written by then.
    At(Time),
}

/// Which stream a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LogStream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
    /// The platform's own remark about the instance.
    Platform,
}

/// One line of an instance's output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogLine {
    /// The place after this line: pass it to read on.
    pub cursor: LogCursor,
    /// When it was read from the instance.
    pub at: Time,
    /// From which stream.
    pub stream: LogStream,
    /// The text, without the line feed; bytes that are not UTF-8 are replaced.
    pub text: String,
}

/// One thing an engine can or cannot do on this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Feature {
    /// Short stable name: `user-namespace`, `memory-limit`, `seccomp`, `landlock-tcp`, …
    pub name: String,
    /// What it protects, one line.
    pub purpose: String,
    /// Whether it works here.
    pub availability: Availability,
}

/// Whether a feature works on this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "is")]
pub enum Availability {
    /// It was tried and works.
    Works,
    /// It does not work; why, and what to do about it.
    Missing {
        /// What was tried and found.
        why: String,
        /// What an operator can do.
        fix: String,
    },
}
