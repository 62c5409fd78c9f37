//! Control groups, version 1, 2 and both at once: memory, processor and task limits for one
//! instance, and what it used. The engine finds out once where groups can be made; each keeper makes
//! its own group there and removes it at the end.

mod find;
mod values;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base::{Bytes, InstanceId};
use serde::{Deserialize, Serialize};

use crate::launch::Limits;

pub(crate) use find::usable;

/// Which interface a hierarchy has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Version {
    V1,
    V2,
}

/// What a group can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Controller {
    Memory,
    Cpu,
    Cpuacct,
    Pids,
}

/// A group in which others can be made, with the controllers that were seen to work in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Group {
    pub(crate) version: Version,
    pub(crate) dir: PathBuf,
    pub(crate) controllers: Vec<Controller>,
}

/// The groups of one instance. Written into its state, so that whoever comes later can clean up.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Placed {
    groups: Vec<Group>,
}

/// What a running or ended instance used of its memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Oom {
    /// How many of its processes the kernel ended for lack of memory.
    pub(crate) kills: u64,
}

impl Placed {
    /// Makes the groups and sets the limits. What cannot be set is an error: these were tried before.
    pub(crate) fn make(parents: &[Group], id: InstanceId, limits: &Limits) -> Result<Self, String> {
        let mut placed = Self::default();
        for parent in parents {
            let dir = parent.dir.join(format!("orlop-{id}"));
            match fs::create_dir(&dir) {
                Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => {
                    placed.remove();
                    return Err(format!("make the control group {}: {e}", dir.display()));
                }
                _ => placed.groups.push(Group { dir, ..parent.clone() }),
            }
        }
        match placed.set(limits) {
            Ok(()) => Ok(placed),
            Err(why) => {
                placed.remove();
                Err(why)
            }
        }
    }

    fn set(&self, limits: &Limits) -> Result<(), String> {
        for group in &self.groups {
            for setting in group.controllers.iter().flat_map(|c| values::settings(group.version, *c, limits)) {
                let path = group.dir.join(setting.file);
                match fs::write(&path, &setting.value) {
                    Err(e) if setting.required => {
                        return Err(format!("write {} to {}: {e}", setting.value, path.display()));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Puts a process into all groups.
    pub(crate) fn add(&self, pid: i32) -> Result<(), String> {
        for group in &self.groups {
            let path = group.dir.join("cgroup.procs");
            fs::write(&path, pid.to_string()).map_err(|e| format!("write {pid} to {}: {e}", path.display()))?;
        }
        Ok(())
    }

    /// How often the kernel ended something in here for lack of memory.
    pub(crate) fn oom(&self) -> Oom {
        let Some(group) = self.with(Controller::Memory) else { return Oom::default() };
        let file = match group.version {
            Version::V1 => "memory.oom_control",
            Version::V2 => "memory.events",
        };
        Oom { kills: values::field(&read(&group.dir.join(file)), "oom_kill").unwrap_or(0) }
    }

    /// Memory that cannot be given back by dropping caches.
    pub(crate) fn memory(&self) -> Option<Bytes> {
        let group = self.with(Controller::Memory)?;
        let (file, inactive) = match group.version {
            Version::V1 => ("memory.usage_in_bytes", "total_inactive_file"),
            Version::V2 => ("memory.current", "inactive_file"),
        };
        let used: u64 = read(&group.dir.join(file)).trim().parse().ok()?;
        let cache = values::field(&read(&group.dir.join("memory.stat")), inactive).unwrap_or(0);
        Some(Bytes(used.saturating_sub(cache)))
    }

    /// Processor time used, microseconds.
    pub(crate) fn cpu_us(&self) -> Option<u64> {
        if let Some(group) = self.with(Controller::Cpuacct) {
            return read(&group.dir.join("cpuacct.usage")).trim().parse::<u64>().ok().map(|ns| ns / 1000);
        }
        let group = self.with(Controller::Cpu).filter(|g| g.version == Version::V2)?;
        values::field(&read(&group.dir.join("cpu.stat")), "usage_usec")
    }

    fn with(&self, controller: Controller) -> Option<&Group> {
        self.groups.iter().find(|g| g.controllers.contains(&controller))
    }

    /// Kills what is left in the groups and removes them. Bounded; what resists is left for the next try.
    pub(crate) fn remove(&self) {
        for _ in 0..50 {
            let mut left = false;
            for group in self.groups.iter().filter(|g| g.dir.exists()) {
                for pid in read(&group.dir.join("cgroup.procs")).lines().filter_map(|l| l.parse().ok()) {
                    // A pid in the file is alive at the moment of reading; the group holds only the instance.
                    let _ = crate::sys::kill(pid, libc::SIGKILL);
                }
                left |= fs::remove_dir(&group.dir).is_err() && group.dir.exists();
            }
            if !left {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}
