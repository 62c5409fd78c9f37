//! The data folder: what lies where, and who may use it.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use base::{Problem, Result, Time};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::anchor::Anchor;

/// Room that a start takes: the lock, what it says about itself, sockets, the engine's trial.
const START_BYTES: u64 = 1 << 20;

/// The folder of an installation.
#[derive(Debug, Clone)]
pub(crate) struct Installation {
    pub data: PathBuf,
}

/// What the running control plane says about itself, for other processes of this machine.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Running {
    pub pid: i32,
    pub url: String,
    pub gateway: String,
    pub domain: String,
    pub version: String,
    pub started: Time,
}

/// The one-time code that `orlop up` leaves for whoever may read this folder.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SignInFile {
    pub url: String,
    pub code: String,
    pub expires: Time,
}

/// Held as long as this process is the installation's control plane.
pub(crate) struct Lock {
    _file: File,
}

impl Installation {
    /// The folder that is meant.
    pub(crate) fn find(named: Option<&Path>) -> Result<Self> {
        let variable = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let data = named
            .map(Path::to_path_buf)
            .or_else(|| variable("ORLOP_DATA"))
            .or_else(|| variable("XDG_DATA_HOME").map(|d| d.join("orlop")))
            .or_else(|| variable("HOME").map(|d| d.join(".local/share/orlop")))
            .ok_or_else(|| {
                Problem::invalid("no-data-folder", "neither ORLOP_DATA nor HOME is set").hint("orlop up --data FOLDER")
            })?;
        let data = std::path::absolute(&data).map_err(|e| Problem::invalid("bad-data-folder", e))?;
        Ok(Self { data })
    }

    /// Makes the folders, for their owner only.
    pub(crate) fn make(&self) -> Result<()> {
        for folder in [self.data.clone(), self.run_dir(), self.gateway_dir()] {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&folder)
                .and_then(|()| std::fs::set_permissions(&folder, Permissions::from_mode(0o700)))
                .map_err(|e| {
                    Problem::unavailable("data-folder-unusable", format!("cannot make {}: {e}", folder.display()))
                        .hint("choose a folder that you may write: `orlop up --data FOLDER`")
                })?;
        }
        Ok(())
    }

    /// Makes room for the few small files of a start where the disk is full: gives up what
    /// [`Self::save_up`] has put aside.
    pub(crate) fn spend(&self) {
        if kernel::room::free(&self.data).is_ok_and(|free| free.0 < START_BYTES) {
            // Nothing put aside is nothing to give up.
            let _ = std::fs::remove_file(self.savings());
        }
    }

    /// Puts room aside for the next start, where there is plenty.
    pub(crate) fn save_up(&self) -> std::io::Result<()> {
        let path = self.savings();
        if path.exists() || kernel::room::free(&self.data).is_ok_and(|free| free < kernel::room::FLOOR) {
            return Ok(());
        }
        let mut file = tempfile::NamedTempFile::new_in(self.run_dir())?;
        let piece = [0x5a_u8; 64 << 10];
        for _ in 0..START_BYTES / (64 << 10) {
            file.write_all(&piece)?;
        }
        file.persist(path)?;
        Ok(())
    }

    fn savings(&self) -> PathBuf {
        self.run_dir().join("savings")
    }

    /// Becomes the control plane of this installation, if nobody is.
    pub(crate) fn lock(&self) -> Result<Lock> {
        let path = self.run_dir().join("lock");
        let failed = |e: std::io::Error| {
            Problem::unavailable("data-folder-unusable", format!("cannot use {}: {e}", path.display()))
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut holder = String::new();
            let _ = file.read_to_string(&mut holder);
            return Err(Problem::conflict(
                "already-running",
                format!("{} is in use by process {}", self.data.display(), holder.trim()),
            )
            .hint(
                "`orlop status` talks to it, `orlop down` stops it; another installation needs another `--data FOLDER`",
            ));
        }
        // Written over, not anew: a full disk has room for that.
        let write = |file: &mut File| -> std::io::Result<()> {
            file.rewind()?;
            write!(file, "{:<10}", std::process::id())
        };
        write(&mut file).map_err(failed)?;
        Ok(Lock { _file: file })
    }

    /// The process that is the control plane now: the holder of the lock, not whatever has its number.
    pub(crate) fn holder(&self) -> Option<i32> {
        let file = File::open(self.run_dir().join("lock")).ok()?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => None,
            Err(_) => std::fs::read_to_string(self.run_dir().join("lock")).ok()?.trim().parse().ok(),
        }
    }

    /// What the running control plane says about itself.
    pub(crate) fn running(&self) -> Option<Running> {
        self.holder()?;
        serde_json::from_slice(&std::fs::read(self.run_dir().join("control.json")).ok()?).ok()
    }

    /// Tells other processes of this machine where the control plane is.
    pub(crate) fn write_running(&self, running: &Running) -> Result<()> {
        self.write_private("control.json", running)
    }

    /// Leaves the one-time code for whoever may read this folder.
    pub(crate) fn write_sign_in(&self, sign_in: &SignInFile) -> Result<()> {
        self.write_private("sign-in.json", sign_in)
    }

    /// The one-time code that was left last; it may be used up.
    pub(crate) fn read_sign_in(&self) -> Option<SignInFile> {
        serde_json::from_slice(&std::fs::read(self.run_dir().join("sign-in.json")).ok()?).ok()
    }

    /// Where the platform's time was when a control plane last wrote it down.
    pub(crate) fn anchor(&self) -> Option<Anchor> {
        serde_json::from_slice(&std::fs::read(self.run_dir().join("clock.json")).ok()?).ok()
    }

    /// Writes down where the platform's time is.
    pub(crate) fn write_anchor(&self, anchor: &Anchor) -> Result<()> {
        self.write_private("clock.json", anchor)
    }

    /// Writes a file that only its owner may read, whole or not at all.
    fn write_private(&self, name: &str, content: &impl Serialize) -> Result<()> {
        let failed = |e: &dyn std::fmt::Display| {
            Problem::unavailable("data-folder-unusable", format!("cannot write {name}: {e}"))
        };
        let text = serde_json::to_vec_pretty(content).map_err(|e| failed(&e))?;
        let mut file = tempfile::NamedTempFile::new_in(self.run_dir()).map_err(|e| failed(&e))?;
        file.write_all(&text).map_err(|e| failed(&e))?;
        file.persist(self.run_dir().join(name)).map_err(|e| failed(&e))?;
        Ok(())
    }

    /// The lock, what running processes tell each other, and the platform's own logs.
    pub(crate) fn run_dir(&self) -> PathBuf {
        self.data.join("run")
    }

    /// The gateway's: snapshots, sockets, access log.
    pub(crate) fn gateway_dir(&self) -> PathBuf {
        self.data.join("gateway")
    }

    /// The key under which secrets and the end of the audit trail are sealed.
    pub(crate) fn key_file(&self) -> PathBuf {
        self.data.join("master.key")
    }

    /// What the audit trail was when it was last seen: finds a database that was replaced by an older copy.
    pub(crate) fn anchor_file(&self) -> PathBuf {
        self.data.join("audit.anchor")
    }

    /// Sources, artifacts and logs of builds.
    pub(crate) fn objects_dir(&self) -> PathBuf {
        self.data.join("objects")
    }

    /// One bare repository for each service.
    pub(crate) fn git_dir(&self) -> PathBuf {
        self.data.join("git")
    }

    /// The engine's: instances, unpacked artifacts, caches of builds.
    pub(crate) fn engine_dir(&self) -> PathBuf {
        self.data.join("engine")
    }

    /// Where backups go that were told no other place.
    pub(crate) fn backups_dir(&self) -> PathBuf {
        self.data.join("backups")
    }

    /// Which backups were read back.
    pub(crate) fn backup_record(&self) -> PathBuf {
        self.run_dir().join("backups.json")
    }

    /// What a role of the platform says about itself.
    pub(crate) fn log_file(&self, role: &str) -> PathBuf {
        self.run_dir().join(format!("{role}.log"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_control_plane_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let place = Installation::find(Some(dir.path())).unwrap();
        place.make().unwrap();
        assert_eq!(place.holder(), None);
        let lock = place.lock().unwrap();
        assert_eq!(place.holder(), Some(std::process::id().cast_signed()));
        let problem = place.lock().err().unwrap();
        assert_eq!(problem.code, "already-running");
        assert!(problem.message.contains(&std::process::id().to_string()));
        drop(lock);
        assert!(place.holder().is_none());
        assert!(place.lock().is_ok());
    }
}
