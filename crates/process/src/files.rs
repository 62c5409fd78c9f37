//! What lies in the data directory, who writes which file, and how it is written.
//!
//! ```text
//! instances/<id>/meta.json     who it is and what it was given; written by the engine
//!                state.json    what it does; written by its keeper (by the engine once the keeper is gone)
//!                lock          locked by the keeper for as long as it lives
//!                control.sock  the keeper listens here
//!                connect.sock  the keeper gives connections to the instance's port here
//!                log/          segments, written by the keeper
//!                root/         empty; the new root is mounted here, inside the instance only
//!                workspace/    writable files of a build
//!                scratch/      temporary files of a build
//! images/<hex>/                unpacked artifacts
//! caches/<name>/               kept between builds
//! removed/<id>                 newest generation of an instance that was removed
//! notify.sock                  keepers tell here that something changed
//! ```

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use base::{Digest, EnvironmentName, Generation, InstanceId, ProcessName, ReleaseId, ServiceName, Time};
use ports::{InstanceState, Purpose};
use rustix::fs::FlockOperation;
use rustix::process::{Flock, FlockType};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::cgroup::Placed;

pub(crate) const STATE: &str = "state.json";
pub(crate) const META: &str = "meta.json";
pub(crate) const LOCK: &str = "lock";
pub(crate) const CONTROL: &str = "control.sock";
/// Connections to the instance's port are given away here, where it has a network of its own.
pub(crate) const CONNECT: &str = "connect.sock";
pub(crate) const LOG: &str = "log";
/// As seen from an instance's directory.
pub(crate) const NOTIFY_FROM_INSTANCE: &str = "../../notify.sock";

/// Who an instance is and what it was given.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Meta {
    pub(crate) id: InstanceId,
    pub(crate) service: ServiceName,
    pub(crate) environment: Option<EnvironmentName>,
    pub(crate) release: Option<ReleaseId>,
    pub(crate) process: ProcessName,
    pub(crate) purpose: Purpose,
    pub(crate) generation: Generation,
    pub(crate) port: Option<u16>,
    /// Whether it has a network of its own, in which its port is.
    #[serde(default)]
    pub(crate) own_network: bool,
    pub(crate) uid: Option<u32>,
    pub(crate) image: Option<Digest>,
    pub(crate) created: Time,
}

/// What an instance does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct State {
    pub(crate) generation: Generation,
    pub(crate) state: InstanceState,
    pub(crate) started: Time,
    pub(crate) since: Time,
    pub(crate) evidence: String,
    /// Pid of the keeper, for people; whether it lives is told by the lock alone.
    pub(crate) keeper: i32,
    /// Pid of init, from which usage is counted where there are no groups.
    pub(crate) init: Option<i32>,
    pub(crate) boot: String,
    pub(crate) groups: Placed,
    /// Processor time in all, once it has ended.
    pub(crate) cpu_us: Option<u64>,
}

/// The directory of all.
#[derive(Debug, Clone)]
pub(crate) struct DataDir(PathBuf);

impl DataDir {
    /// Makes the folders, readable by the platform's user only.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        let data = Self(path.canonicalize()?);
        for dir in [data.instances(), data.images(), data.caches(), data.removed()] {
            fs::create_dir_all(&dir)?;
            fs::set_permissions(&dir, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
        }
        Ok(data)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn instances(&self) -> PathBuf {
        self.0.join("instances")
    }

    pub(crate) fn images(&self) -> PathBuf {
        self.0.join("images")
    }

    pub(crate) fn caches(&self) -> PathBuf {
        self.0.join("caches")
    }

    pub(crate) fn removed(&self) -> PathBuf {
        self.0.join("removed")
    }

    pub(crate) fn instance(&self, id: InstanceId) -> PathBuf {
        self.instances().join(id.to_string())
    }

    /// The ids of all instances that have a directory.
    pub(crate) fn ids(&self) -> io::Result<Vec<InstanceId>> {
        let mut ids = Vec::new();
        for entry in fs::read_dir(self.instances())? {
            ids.extend(entry?.file_name().to_str().and_then(|name| name.parse::<InstanceId>().ok()));
        }
        ids.sort_unstable();
        Ok(ids)
    }
}

/// Reads a JSON file; `None` where there is none.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {e}", path.display()))),
    }
}

/// Replaces a JSON file whole or not at all; with `durable` it also survives a loss of power.
pub(crate) fn write<T: Serialize>(path: &Path, value: &T, durable: bool) -> io::Result<()> {
    let next = path.with_extension("next");
    let mut file = File::create(&next)?;
    file.write_all(&serde_json::to_vec(value)?)?;
    if durable {
        file.sync_data()?;
    }
    fs::rename(&next, path)?;
    if durable && let Some(dir) = path.parent() {
        let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        File::open(dir)?.sync_all()?;
    }
    Ok(())
}

/// Takes the keeper's lock. It is held by this process, not by its children (fcntl(2), record
/// locks), for as long as the file stays open and is opened by nobody else in this process.
pub(crate) fn lock(dir: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(dir.join(LOCK))?;
    match rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// Whether a keeper lives. Asks without taking the lock, so it never gets in the way of a keeper
/// that is just starting.
pub(crate) fn is_locked(dir: &Path) -> io::Result<bool> {
    let file = match OpenOptions::new().write(true).open(dir.join(LOCK)) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        other => other?,
    };
    Ok(rustix::process::fcntl_getlk(&file, &Flock::from(FlockType::WriteLock))?.is_some())
}
