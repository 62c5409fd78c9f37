//! Where groups can be made on this host.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Controller, Group, Version, values};
use crate::launch::Limits;

/// One mounted hierarchy and where this process is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hierarchy {
    version: Version,
    own: PathBuf,
    controllers: Vec<Controller>,
}

/// Where this process moves in a delegated group of version 2.
const CONTROL: &str = "orlop-control";

const NAMES: [(&str, Controller); 4] = [
    ("memory", Controller::Memory),
    ("cpu", Controller::Cpu),
    ("cpuacct", Controller::Cpuacct),
    ("pids", Controller::Pids),
];

/// The groups in which a limit could be set when it was tried just now, each controller at most
/// once, and for the others what was found.
pub(crate) fn usable() -> (Vec<Group>, Vec<(Controller, String)>) {
    let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let found = hierarchies(&text("/proc/self/mountinfo"), &text("/proc/self/cgroup"));
    let mut groups: Vec<Group> = Vec::new();
    let mut missing = Vec::new();
    for (name, controller) in NAMES {
        let mut why = format!("no mounted control group hierarchy has the controller `{name}`");
        for hierarchy in &found {
            let offered = match hierarchy.version {
                Version::V1 => hierarchy.controllers.contains(&controller),
                // Processor time is told by the group itself there.
                Version::V2 if controller == Controller::Cpuacct => false,
                Version::V2 => words(&hierarchy.own.join("cgroup.controllers")).iter().any(|w| w == name),
            };
            if !offered || groups.iter().any(|g| g.controllers.contains(&controller)) {
                continue;
            }
            match attempt(hierarchy, name, controller) {
                Ok(dir) => add(&mut groups, hierarchy.version, dir, controller),
                Err(e) => why = e,
            }
        }
        if !groups.iter().any(|g| g.controllers.contains(&controller)) {
            missing.push((controller, why));
        }
    }
    (groups, missing)
}

fn add(groups: &mut Vec<Group>, version: Version, dir: PathBuf, controller: Controller) {
    match groups.iter_mut().find(|g| g.dir == dir) {
        Some(group) => group.controllers.push(controller),
        None => groups.push(Group { version, dir, controllers: vec![controller] }),
    }
}

/// Makes a group, sets generous limits in it and removes it again.
fn attempt(hierarchy: &Hierarchy, name: &str, controller: Controller) -> Result<PathBuf, String> {
    if hierarchy.version == Version::V2 {
        delegate(&hierarchy.own, name)?;
    }
    let dir = hierarchy.own.join(format!("orlop-probe-{}-{name}", std::process::id()));
    let said = |what: &str, path: &Path, e: std::io::Error| format!("{what} {}: {e}", path.display());
    fs::create_dir(&dir).map_err(|e| said("make", &dir, e))?;
    let limits = Limits {
        cpu: base::MilliCpu(1000),
        cpu_weight: 100,
        memory: base::Bytes(64 << 20),
        tasks_max: 1000,
        disk_max: base::Bytes(0),
    };
    let mut result = Ok(());
    for setting in values::settings(hierarchy.version, controller, &limits).iter().filter(|s| s.required) {
        let path = dir.join(setting.file);
        result = result.and_then(|()| fs::write(&path, &setting.value).map_err(|e| said("write", &path, e)));
    }
    let removed = fs::remove_dir(&dir).map_err(|e| said("remove", &dir, e));
    result.and(removed).map(|()| hierarchy.own.clone())
}

/// In version 2 a controller reaches the groups below only if it is switched on for them, and only
/// a group without processes of its own may do that. Where a service manager has delegated a group
/// that holds nobody but this process, it moves into a group below (cgroups(7), "no internal processes").
fn delegate(own: &Path, name: &str) -> Result<(), String> {
    let control = own.join("cgroup.subtree_control");
    if words(&control).iter().any(|w| w == name) {
        return Ok(());
    }
    let turn_on = || fs::write(&control, format!("+{name}"));
    let said = |e: std::io::Error| format!("write +{name} to {}: {e}", control.display());
    let Err(first) = turn_on() else { return Ok(()) };
    let me = std::process::id().to_string();
    let alone = words(&own.join("cgroup.procs")).iter().all(|pid| *pid == me);
    if first.raw_os_error() != Some(libc::EBUSY) || !alone {
        return Err(said(first));
    }
    let below = own.join(CONTROL);
    let _ = fs::create_dir(&below);
    fs::write(below.join("cgroup.procs"), &me).map_err(said)?;
    turn_on().map_err(said)
}

fn words(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

/// Reads the two tables of the kernel (proc(5): mountinfo; cgroups(7): /proc/self/cgroup).
fn hierarchies(mountinfo: &str, own: &str) -> Vec<Hierarchy> {
    mountinfo
        .lines()
        .filter_map(|line| {
            let (left, right) = line.split_once(" - ")?;
            let left: Vec<&str> = left.split(' ').collect();
            let right: Vec<&str> = right.split(' ').collect();
            let (root, mount) = (*left.get(3)?, Path::new(*left.get(4)?));
            let version = match *right.first()? {
                "cgroup" => Version::V1,
                "cgroup2" => Version::V2,
                _ => return None,
            };
            let options: Vec<&str> = right.get(2)?.split(',').collect();
            let controllers =
                NAMES.iter().filter(|(name, _)| options.contains(name)).map(|(_, c)| *c).collect::<Vec<_>>();
            let path = own.lines().find_map(|line| member(line, version, &options))?;
            let below = Path::new(path).strip_prefix(root).or_else(|_| Path::new(path).strip_prefix("/")).ok()?;
            let mut own = mount.join(below);
            if own.ends_with(CONTROL) {
                // An earlier start moved this process (or its parent) one down; groups are made beside it.
                own.pop();
            }
            Some(Hierarchy { version, own, controllers })
        })
        .filter(|h| h.version == Version::V2 || !h.controllers.is_empty())
        .collect()
}

/// The path in a line `id:controllers:path` if it is about this hierarchy.
fn member<'a>(line: &'a str, version: Version, options: &[&str]) -> Option<&'a str> {
    let mut parts = line.splitn(3, ':');
    let (_, names, path) = (parts.next()?, parts.next()?, parts.next()?);
    let ours = match version {
        Version::V2 => names.is_empty(),
        Version::V1 => !names.is_empty() && names.split(',').all(|name| options.contains(&name)),
    };
    ours.then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(mountinfo: &str, own: &str, expect: &[(Version, &str, &[Controller])]) {
        let got = hierarchies(mountinfo, own);
        let got: Vec<(Version, &str, &[Controller])> =
            got.iter().map(|h| (h.version, h.own.to_str().unwrap(), h.controllers.as_slice())).collect();
        assert_eq!(got, expect);
    }

    #[test]
    fn version_2_alone() {
        check(
            "35 24 0:30 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n36 24 0:5 / /dev rw - devtmpfs d rw",
            "0::/system.slice/orlop.service\n",
            &[(Version::V2, "/sys/fs/cgroup/system.slice/orlop.service", &[])],
        );
    }

    #[test]
    fn both_versions_with_joint_controllers() {
        check(
            "30 25 0:26 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
             31 25 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
             32 25 0:28 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n\
             33 25 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw",
            "4:memory:/a/b\n3:cpu,cpuacct:/\n1:name=systemd:/x\n0::/y\n",
            &[
                (Version::V1, "/sys/fs/cgroup/cpu,cpuacct/", &[Controller::Cpu, Controller::Cpuacct]),
                (Version::V1, "/sys/fs/cgroup/memory/a/b", &[Controller::Memory]),
                (Version::V2, "/sys/fs/cgroup/unified/y", &[]),
            ],
        );
    }

    #[test]
    fn a_container_sees_its_own_part_of_the_tree() {
        check(
            "31 25 0:27 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory",
            "4:memory:/docker/abc/child\n",
            &[(Version::V1, "/sys/fs/cgroup/memory/child", &[Controller::Memory])],
        );
    }
}
