//! What the engine tells a keeper when it starts one: the whole of an instance, as plain values. It
//! goes through a pipe and is never written to disk, since it holds the instance's secrets.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use base::{Bytes, Generation, InstanceId, MilliCpu, Time};
use ports::{Caller, Health, Network};
use serde::{Deserialize, Serialize};

use crate::cgroup::Group;
use crate::sys;

/// Everything a keeper needs to run one instance.
#[derive(Serialize, Deserialize)]
pub(crate) struct Launch {
    pub(crate) id: InstanceId,
    pub(crate) generation: Generation,
    pub(crate) epoch: Epoch,
    pub(crate) health: Option<Health>,
    pub(crate) port: Option<u16>,
    pub(crate) limits: Limits,
    pub(crate) deadline_ms: Option<u64>,
    pub(crate) stop_grace_ms: u64,
    pub(crate) plan: Plan,
    /// How connections to services that it needs are made, if it has any.
    pub(crate) calls: Option<Calls>,
    /// Values that are kept out of the log, by name.
    pub(crate) hidden: BTreeMap<String, String>,
    pub(crate) cgroups: Vec<Group>,
}

/// The way to the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Calls {
    /// The gateway's socket for callers.
    pub(crate) socket: PathBuf,
    /// What it is told with each connection.
    pub(crate) caller: Caller,
}

/// The platform's time at one moment since boot. A keeper has no clock of the platform: from here it
/// goes on by itself, so that what it records is comparable with the platform's time, and evenly
/// spaced, whatever becomes of the machine's wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Epoch {
    time: Time,
    since_boot: Duration,
}

impl Epoch {
    /// It is this time now.
    pub(crate) fn begin(time: Time) -> Self {
        Self { time, since_boot: sys::since_boot() }
    }

    /// The platform's time.
    pub(crate) fn now(&self) -> Time {
        self.time.plus(sys::since_boot().saturating_sub(self.since_boot))
    }
}

/// What one instance may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Limits {
    pub(crate) cpu: MilliCpu,
    pub(crate) cpu_weight: u16,
    pub(crate) memory: Bytes,
    pub(crate) tasks_max: u32,
    pub(crate) disk_max: Bytes,
}

/// The inside of the sandbox and the program that starts there.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) command: Vec<String>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) workdir: String,
    pub(crate) hostname: String,
    /// The unprivileged user of the host as which it runs; `None`: the user of the platform itself.
    pub(crate) uid: Option<u32>,
    /// An empty directory on which the new root is put, inside the instance's own mount namespace.
    pub(crate) root: PathBuf,
    /// Directories and files lent to it, in order.
    pub(crate) binds: Vec<Bind>,
    /// Where `/tmp`, the home directory and `/dev/shm` are.
    pub(crate) scratch: Scratch,
    pub(crate) network: Network,
    pub(crate) port: Option<u16>,
    pub(crate) tasks_max: u32,
    /// Largest file it may write, where its writable mounts are on disk.
    pub(crate) file_bytes_max: Option<u64>,
    pub(crate) walls: Walls,
}

impl Plan {
    /// Whether it gets a network of its own: where the host can, and it is not to reach everything.
    pub(crate) const fn has_own_network(&self) -> bool {
        self.walls.network && matches!(self.network, Network::Only(_))
    }
}

/// A file or directory of the host at a place inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bind {
    pub(crate) source: PathBuf,
    /// Absolute path inside.
    pub(crate) target: String,
    pub(crate) writable: bool,
}

/// What holds the instance's temporary files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Scratch {
    /// Memory, at most this many bytes.
    Memory(u64),
    /// A directory on disk with the folders `tmp`, `home` and `shm`.
    Disk(PathBuf),
}

/// Which of the optional walls stand on this host. What is named here and cannot be raised for an
/// instance keeps that instance from starting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Walls {
    pub(crate) ipc: bool,
    pub(crate) uts: bool,
    pub(crate) cgroup: bool,
    pub(crate) proc: bool,
    /// A network of its own, for what does not reach everything.
    pub(crate) network: bool,
    pub(crate) seccomp: bool,
    /// Version of Landlock's interface, 0 where there is none.
    pub(crate) landlock: u8,
}
