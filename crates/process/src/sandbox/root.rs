//! The file system of an instance: a new root in memory with the host's system directories
//! read-only, a few devices, its own `/proc`, and what it was lent. Nothing else of the host exists
//! inside: what is not named here cannot be reached by any path.
//!
//! Sources are opened first, under the platform's own rights; everything after that is done as the
//! instance's user, and each tree is made read-only before it is attached.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, fsconfig_create,
    fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};

use super::etc;
use crate::launch::{Plan, Scratch};
use crate::sys::{self, NO_DEV, NO_EXEC, NO_SUID, READ_ONLY};

/// System directories that every instance sees read-only.
const SYSTEM: [&str; 7] = ["usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32"];
const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];
/// The root holds only folders and a few small files.
const ROOT_BYTES: &str = "4m";
/// Most files in the temporary file system.
const SCRATCH_FILES: &str = "65536";
/// What of `/proc` may only be read, and what is hidden.
const PROC_READ_ONLY: [&str; 5] = ["proc/sys", "proc/bus", "proc/fs", "proc/irq", "proc/sysrq-trigger"];
const PROC_HIDDEN: [&str; 9] = [
    "proc/acpi",
    "proc/asound",
    "proc/kcore",
    "proc/keys",
    "proc/latency_stats",
    "proc/timer_list",
    "proc/sched_debug",
    "proc/scsi",
    "proc/kallsyms",
];

/// Places of the host, opened under the platform's rights.
pub(super) struct Sources {
    root: OwnedFd,
    system: Vec<(&'static str, System)>,
    lent: Vec<Lent>,
    etc: Vec<(String, Vec<u8>)>,
}

enum System {
    Tree(OwnedFd),
    Link(PathBuf),
}

struct Lent {
    fd: OwnedFd,
    is_dir: bool,
    target: String,
    attributes: u64,
}

/// The finished root.
pub(super) struct Built {
    /// The file system of the temporary files, where it is in memory.
    pub(super) scratch: Option<OwnedFd>,
}

/// Opens everything that the instance will be lent.
pub(super) fn open(plan: &Plan) -> Result<Sources, String> {
    let mut system = Vec::new();
    for name in SYSTEM {
        let path = Path::new("/").join(name);
        match std::fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_symlink() => {
                let to = std::fs::read_link(&path).map_err(|e| format!("read the link {}: {e}", path.display()))?;
                system.push((name, System::Link(to)));
            }
            Ok(_) => system.push((name, System::Tree(open_path(&path)?))),
            Err(_) => {}
        }
    }
    let mut lent = Vec::new();
    for name in etc::LENT {
        let path = Path::new("/etc").join(name);
        if path.is_dir() {
            lent.push(lend(&path, &format!("/etc/{name}"), READ_ONLY | NO_SUID | NO_DEV)?);
        }
    }
    for name in DEVICES {
        let target = format!("/dev/{name}");
        lent.push(lend(Path::new(&target), &target, NO_SUID | NO_EXEC)?);
    }
    if let Scratch::Disk(dir) = &plan.scratch {
        for (folder, target) in [("tmp", "/tmp"), ("home", "/home/app"), ("shm", "/dev/shm")] {
            lent.push(lend(&dir.join(folder), target, NO_SUID | NO_DEV)?);
        }
    }
    for bind in plan.binds.iter().filter(|b| !(b.source == Path::new(&b.target) && already_there(&b.source))) {
        let access = if bind.writable { 0 } else { READ_ONLY };
        lent.push(lend(&bind.source, &bind.target, access | NO_SUID | NO_DEV)?);
    }
    let read = |name: &str| std::fs::read(Path::new("/etc").join(name)).ok();
    let mut files: Vec<(String, Vec<u8>)> =
        etc::copied(plan).filter_map(|name| read(name).map(|content| (name.to_owned(), content))).collect();
    let hosts = read("hosts").map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default();
    files.extend(etc::made(plan, &hosts).into_iter().map(|(name, text)| (name.to_owned(), text.into_bytes())));
    Ok(Sources { root: open_path(&plan.root)?, system, lent, etc: files })
}

/// Whether a path is beneath a system directory that is visible anyway.
fn already_there(path: &Path) -> bool {
    SYSTEM.iter().any(|name| path.starts_with(Path::new("/").join(name)))
}

fn open_path(path: &Path) -> Result<OwnedFd, String> {
    rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .map_err(|e| format!("open {}: {e}", path.display()))
}

fn lend(source: &Path, target: &str, attributes: u64) -> Result<Lent, String> {
    let fd = open_path(source)?;
    let stat = rustix::fs::fstat(&fd).map_err(|e| format!("look at {}: {e}", source.display()))?;
    let is_dir = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    Ok(Lent { fd, is_dir, target: target.to_owned(), attributes })
}

/// Puts the new root together, makes it this process's root, and lets go of the old one.
pub(super) fn build(plan: &Plan, sources: Sources) -> Result<Built, String> {
    sys::mounts_private().map_err(|e| format!("separate the mounts: {e}"))?;
    let root = file_system("tmpfs", &[("size", ROOT_BYTES), ("mode", "0755")], MountAttrFlags::MOUNT_ATTR_NODEV)?;
    attach(&root, &sources.root, "", "the new root")?;
    rustix::process::fchdir(&root).map_err(|e| format!("enter the new root: {e}"))?;
    for (name, what) in sources.system {
        match what {
            System::Link(to) => symlink(to, name).map_err(|e| format!("make the link /{name}: {e}"))?,
            System::Tree(fd) => {
                let target = format!("/{name}");
                bind(&Lent { fd, is_dir: true, target, attributes: READ_ONLY | NO_SUID | NO_DEV })?;
            }
        }
    }
    for folder in ["etc", "dev", "proc", "tmp", "home/app", "run", "var", "dev/shm"] {
        make_dir(Path::new(folder))?;
    }
    for (link, to) in [
        ("var/tmp", "/tmp"),
        ("dev/fd", "/proc/self/fd"),
        ("dev/stdin", "/proc/self/fd/0"),
        ("dev/stdout", "/proc/self/fd/1"),
        ("dev/stderr", "/proc/self/fd/2"),
    ] {
        symlink(to, link).map_err(|e| format!("make the link /{link}: {e}"))?;
    }
    for (name, content) in &sources.etc {
        std::fs::write(Path::new("etc").join(name), content).map_err(|e| format!("write /etc/{name}: {e}"))?;
    }
    let scratch = match plan.scratch {
        Scratch::Memory(bytes) => Some(scratch(bytes)?),
        Scratch::Disk(_) => None,
    };
    for lent in &sources.lent {
        bind(lent)?;
    }
    if plan.walls.proc {
        proc()?;
    }
    switch(&root)?;
    Ok(Built { scratch })
}

/// One file system in memory behind `/tmp`, the home directory and `/dev/shm`: one common bound.
fn scratch(bytes: u64) -> Result<OwnedFd, String> {
    let options = [("size", &*bytes.to_string()), ("nr_inodes", SCRATCH_FILES), ("mode", "0755")];
    let fd = file_system("tmpfs", &options, MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOSUID)?;
    attach(&fd, CWD, "run", "temporary files")?;
    for (folder, target) in [("tmp", "/tmp"), ("home", "/home/app"), ("shm", "/dev/shm")] {
        let path = Path::new("run").join(folder);
        make_dir(&path)?;
        let lent =
            Lent { fd: open_path(&path)?, is_dir: true, target: target.to_owned(), attributes: NO_SUID | NO_DEV };
        bind(&lent)?;
    }
    rustix::mount::unmount("run", UnmountFlags::DETACH).map_err(|e| format!("detach the temporary files: {e}"))?;
    open_path(Path::new("tmp"))
}

/// A `/proc` that shows only this pid namespace, with the switches of the kernel out of reach.
fn proc() -> Result<(), String> {
    let attributes =
        MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    attach(&file_system("proc", &[], attributes)?, CWD, "proc", "/proc")?;
    for path in PROC_READ_ONLY.iter().map(Path::new).filter(|p| p.exists()) {
        let target = format!("/{}", path.display());
        bind(&lend(path, &target, READ_ONLY | NO_SUID | NO_DEV | NO_EXEC)?)?;
    }
    for path in PROC_HIDDEN.iter().map(Path::new) {
        let target = format!("/{}", path.display());
        match std::fs::metadata(path) {
            Ok(meta) if meta.is_dir() => {
                let options = [("size", "4k"), ("nr_inodes", "2"), ("mode", "0555")];
                let empty = file_system("tmpfs", &options, attributes | MountAttrFlags::MOUNT_ATTR_RDONLY)?;
                attach(&empty, CWD, &path.to_string_lossy(), &target)?;
            }
            Ok(_) => bind(&lend(Path::new("dev/null"), &target, NO_SUID | NO_EXEC)?)?,
            Err(_) => {}
        }
    }
    Ok(())
}

/// Makes the new root the root, drops the old one, and closes the new one to writing.
fn switch(root: &OwnedFd) -> Result<(), String> {
    rustix::process::pivot_root(".", ".").map_err(|e| format!("switch to the new root: {e}"))?;
    // The old root now lies on top of the new one at the same place (pivot_root(2), NOTES).
    rustix::mount::unmount(".", UnmountFlags::DETACH).map_err(|e| format!("let go of the old root: {e}"))?;
    sys::mount_setattr(root.as_fd(), READ_ONLY | NO_SUID | NO_DEV, false)
        .map_err(|e| format!("make the root read-only: {e}"))?;
    rustix::process::chdir("/").map_err(|e| format!("enter the root: {e}"))
}

fn file_system(kind: &str, options: &[(&str, &str)], attributes: MountAttrFlags) -> Result<OwnedFd, String> {
    let said = |e: rustix::io::Errno| format!("make a file system of type {kind}: {e}");
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).map_err(said)?;
    for (key, value) in options {
        fsconfig_set_string(context.as_fd(), *key, *value).map_err(said)?;
    }
    fsconfig_create(context.as_fd()).map_err(said)?;
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes).map_err(said)
}

fn attach(tree: &OwnedFd, at: impl AsFd, path: &str, what: &str) -> Result<(), String> {
    let mut flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    if path.is_empty() {
        flags |= MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    }
    move_mount(tree, "", at, path, flags).map_err(|e| format!("attach {what}: {e}"))
}

/// Attaches a copy of a mount tree with narrower attributes.
fn bind(lent: &Lent) -> Result<(), String> {
    let target = lent.target.trim_start_matches('/');
    let said = |what: &'static str| move |e: std::io::Error| format!("{what} /{target}: {e}");
    if lent.is_dir {
        make_dir(Path::new(target))?
    } else {
        make_file(Path::new(target))?
    }
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | OpenTreeFlags::AT_RECURSIVE;
    let tree = open_tree(&lent.fd, "", flags).map_err(|e| said("copy the mount for")(e.into()))?;
    sys::mount_setattr(tree.as_fd(), lent.attributes, true).map_err(said("restrict the mount for"))?;
    attach(&tree, CWD, target, &lent.target)
}

fn make_dir(path: &Path) -> Result<(), String> {
    if path.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(path).map_err(|e| format!("make the folder /{}: {e}", path.display()))
}

fn make_file(path: &Path) -> Result<(), String> {
    if path.exists() {
        return Ok(());
    }
    path.parent().map_or(Ok(()), make_dir)?;
    std::fs::write(path, b"").map_err(|e| format!("make the mount point /{}: {e}", path.display()))
}
