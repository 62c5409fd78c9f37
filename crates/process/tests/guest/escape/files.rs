//! Files of the host, of the platform and of other instances; devices; the file system itself.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::net::{UnixDatagram, UnixStream};

use super::{Attempt, Seen, call, reaches, seen, succeeds};

pub(super) const ATTEMPTS: &[Attempt] = &[
    ("host-file-read", |t| reads(t.get("canary"))),
    ("host-file-write", |t| {
        let file = OpenOptions::new().append(true).open(t.get("canary"));
        seen(file.and_then(|mut f| f.write_all(b" defaced")), |()| "wrote".to_owned())
    }),
    ("host-file-by-dots", |t| reads(&format!("../../../../../../../../../../..{}", t.get("canary")))),
    ("host-file-by-root-of-init", |t| {
        let parent = std::os::unix::process::parent_id();
        let by = |pid| reads(&format!("/proc/{pid}/root{}", t.get("canary")));
        by(1).or_else(|_| by(parent))
    }),
    ("host-file-by-own-root", |t| reads(&format!("/proc/self/root{}", t.get("canary")))),
    ("host-file-by-symlink", |t| {
        let link = scratch("link");
        let _ = std::fs::remove_file(&link);
        let result = std::os::unix::fs::symlink(t.get("canary"), &link).map_err(|e| e.to_string());
        result.and_then(|()| reads(&link))
    }),
    ("host-file-by-hard-link", |t| {
        seen(std::fs::hard_link(t.get("canary"), t.get("canary-link")), |()| "linked".into())
    }),
    ("host-file-by-handle", |_| {
        let mut handle = [0u32; 40];
        handle[0] = 128;
        let mut mount = 0i32;
        let root = CString::new("/").expect("no zero byte inside");
        let at = libc::AT_FDCWD as usize;
        let arguments = [at, root.as_ptr() as usize, handle.as_mut_ptr() as usize, (&raw mut mount) as usize, 0];
        reaches(libc::SYS_name_to_handle_at, &arguments)
    }),
    ("open-by-handle", |_| {
        let mut handle = [0u32; 40];
        handle[0] = 8;
        reaches(libc::SYS_open_by_handle_at, &[libc::AT_FDCWD as usize, handle.as_mut_ptr() as usize, 0])
    }),
    ("host-file-by-chroot", |t| {
        let tmp = CString::new("/tmp").expect("no zero byte inside");
        let up = CString::new("../../../../..").expect("no zero byte inside");
        // SAFETY: both are C strings.
        unsafe { libc::chdir(c"/".as_ptr()) };
        call(libc::SYS_chroot, [tmp.as_ptr() as usize, 0, 0, 0, 0, 0]).map_err(|e| e.to_string())?;
        // SAFETY: as above.
        unsafe { libc::chdir(up.as_ptr()) };
        reads(t.get("canary").trim_start_matches('/'))
    }),
    ("passwords", |_| reads("/etc/shadow")),
    ("home-of-root", |_| lists("/root")),
    ("host-logs", |_| lists("/var/log")),
    ("host-settings", |_| reads("/etc/fstab")),
    ("kernel-settings", |_| lists("/sys/kernel")),
    ("engine-folder", |t| lists(t.get("data"))),
    ("database", |t| reads(t.get("database"))),
    ("engine-socket", |t| {
        let socket = UnixDatagram::unbound().and_then(|s| s.connect(t.get("engine-socket")));
        seen(socket, |()| "connected".to_owned())
    }),
    ("keeper-socket", |t| seen(UnixStream::connect(t.get("keeper-socket")), |_| "connected".to_owned())),
    ("host-socket", |t| seen(UnixStream::connect(t.get("host-socket")), |_| "connected".to_owned())),
    ("neighbour-state", |t| reads(t.get("neighbour-state"))),
    ("neighbour-files", |t| lists(&format!("/proc/{}/root/app", t.get("neighbour")))),
    ("host-shared-memory-file", |t| reads(t.get("shm-file"))),
    ("inherited-descriptors", |_| {
        // The pipe to the parent of this attempt is the first that is free.
        // SAFETY: F_GETFD passes no memory.
        let open: Vec<i32> = (5..4096).filter(|fd| unsafe { libc::fcntl(*fd, libc::F_GETFD) } >= 0).collect();
        if open.is_empty() { Err("none".to_owned()) } else { Ok(format!("{open:?}")) }
    }),
    ("write-root", |_| makes("/escape-attempt")),
    ("write-programs", |_| makes("/usr/escape-attempt")),
    ("write-settings", |_| seen(OpenOptions::new().append(true).open("/etc/passwd"), |_| "opened".to_owned())),
    ("write-run", |_| makes("/run/escape-attempt")),
    ("write-artifact", |t| seen(OpenOptions::new().append(true).open(t.get("artifact")), |_| "opened".to_owned())),
    ("device-of-a-disk", |_| node("disk", libc::S_IFBLK, libc::makedev(8, 0))),
    ("device-of-memory", |_| node("mem", libc::S_IFCHR, libc::makedev(1, 1))),
    ("dev-mem", |_| opens("/dev/mem")),
    ("dev-kmsg", |_| opens("/dev/kmsg")),
    ("dev-disk", |t| opens(t.get("disk"))),
    ("dev-fuse", |_| opens("/dev/fuse")),
    ("dev-console", |_| opens("/dev/console")),
    ("remount-writable", |_| {
        let (path, flags) = (c"/usr".as_ptr() as usize, (libc::MS_REMOUNT | libc::MS_BIND) as usize);
        reaches(libc::SYS_mount, &[0, path, 0, flags, 0])
    }),
    ("mount", |_| {
        let (kind, path) = (c"tmpfs".as_ptr() as usize, c"/tmp".as_ptr() as usize);
        let result = succeeds(libc::SYS_mount, &[kind, path, kind, 0, 0]);
        if result.is_ok() {
            let _ = call(libc::SYS_umount2, [path, 0, 0, 0, 0, 0]);
        }
        result
    }),
    ("unmount", |_| reaches(libc::SYS_umount2, &[c"/proc/sys".as_ptr() as usize, 0])),
    ("control-group", |t| {
        seen(OpenOptions::new().write(true).open(t.get("control-group")), |_| "opened for writing".to_owned())
    }),
    ("set-user-id-program", |_| {
        // A program of the host that becomes another user; what it says of itself is in /proc.
        let Some(program) = ["/usr/bin/su", "/bin/su"].iter().find(|p| std::path::Path::new(p).exists()) else {
            return Err("absent: no su here".to_owned());
        };
        // SAFETY: PR_GET_NO_NEW_PRIVS passes no memory.
        match unsafe { libc::prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) } {
            1 => Err(format!("{program} gains nothing: no_new_privs")),
            _ => Ok(format!("{program} would run as user 0")),
        }
    }),
];

fn scratch(name: &str) -> String {
    format!("/tmp/escape-{}-{name}", std::process::id())
}

fn opens(path: &str) -> Seen {
    match File::open(path) {
        Ok(_) => Ok("opened".to_owned()),
        Err(e) if matches!(e.raw_os_error(), Some(libc::ENXIO | libc::ENODEV)) => Err(format!("absent: {e}")),
        Err(e) => Err(e.to_string()),
    }
}

fn reads(path: &str) -> Seen {
    let mut start = [0u8; 16];
    match File::open(path).and_then(|mut f| f.read(&mut start)) {
        Ok(n) => Ok(format!("{:?}", String::from_utf8_lossy(&start[..n]))),
        Err(e) => Err(e.to_string()),
    }
}

fn lists(path: &str) -> Seen {
    seen(std::fs::read_dir(path), |entries| format!("{} entries", entries.count()))
}

/// Makes a file where nothing may be made, and takes it away again.
fn makes(path: &str) -> Seen {
    let made = OpenOptions::new().write(true).create_new(true).open(path);
    let _ = made.as_ref().map(|_| std::fs::remove_file(path));
    seen(made, |_| "made a file".to_owned())
}

fn node(name: &str, kind: libc::mode_t, device: libc::dev_t) -> Seen {
    let path = CString::new(scratch(name)).expect("no zero byte inside");
    // SAFETY: the path is a C string.
    let made = unsafe { libc::mknod(path.as_ptr(), kind | 0o666, device) };
    let result = if made == 0 { Ok("made it".to_owned()) } else { Err(std::io::Error::last_os_error().to_string()) };
    // SAFETY: as above.
    unsafe { libc::unlink(path.as_ptr()) };
    result
}
