//! Other processes and their memory, rights of one's own, and everything that is shared between
//! processes without a file.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};

use super::{Attempt, Seen, seen, succeeds};

pub(super) const ATTEMPTS: &[Attempt] = &[
    ("signal-platform", |t| signal(t.number("platform"))),
    ("signal-keeper", |t| signal(t.number("keeper"))),
    ("signal-neighbour", |t| signal(t.number("neighbour"))),
    ("see-platform", |_| {
        for entry in std::fs::read_dir("/proc").map_err(|e| e.to_string())?.flatten() {
            let words = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            if String::from_utf8_lossy(&words).contains("process-testbed") {
                return Ok(format!("{:?} is a keeper", entry.file_name()));
            }
        }
        Err("no process of the platform is in /proc".to_owned())
    }),
    ("see-neighbour", |t| {
        let words =
            std::fs::read_to_string(format!("/proc/{}/cmdline", t.get("neighbour"))).map_err(|e| e.to_string())?;
        if words.contains("neighbour-word") { Ok(words.replace('\0', " ")) } else { Err("another process".to_owned()) }
    }),
    ("environment-of-another", |t| {
        seen(std::fs::read(format!("/proc/{}/environ", t.get("target"))), |b| format!("{} bytes", b.len()))
    }),
    ("memory-of-another", |t| {
        seen(std::fs::File::open(format!("/proc/{}/mem", t.get("target"))), |_| "opened".to_owned())
    }),
    ("descriptors-of-another", |t| {
        seen(std::fs::read_dir(format!("/proc/{}/fd", t.get("target"))), |d| format!("{} entries", d.count()))
    }),
    ("become-root", |_| succeeds(libc::SYS_setresuid, &[0, 0, 0])),
    ("become-root-group", |_| succeeds(libc::SYS_setresgid, &[0, 0, 0])),
    ("join-groups", |_| {
        let groups = [0u32];
        succeeds(libc::SYS_setgroups, &[1, groups.as_ptr() as usize])
    }),
    ("take-capabilities", |_| {
        let header = [0x2008_0522u32, 0];
        let all = [0x3fu32, 0x3f, 0, 0, 0, 0];
        succeeds(libc::SYS_capset, &[header.as_ptr() as usize, all.as_ptr() as usize])
    }),
    ("bounding-set", |_| {
        // SAFETY: the option passes a number.
        match unsafe { libc::prctl(libc::PR_CAPBSET_READ, 21, 0, 0, 0) } {
            1 => Ok("a set-user-id program could get CAP_SYS_ADMIN".to_owned()),
            n => Err(format!("returned {n}")),
        }
    }),
    ("secure-bits", |_| {
        // SAFETY: the option passes a number.
        seen(number(unsafe { libc::prctl(libc::PR_SET_SECUREBITS, 0, 0, 0, 0) }), |()| "set".to_owned())
    }),
    // SAFETY: no memory is passed.
    ("priority", |_| seen(number(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -20) }), |()| "-20".to_owned())),
    ("real-time", |_| {
        let priority = [1i32];
        succeeds(libc::SYS_sched_setscheduler, &[0, libc::SCHED_FIFO as usize, priority.as_ptr() as usize])
    }),
    ("disk-priority", |_| succeeds(libc::SYS_ioprio_set, &[1, 0, 1 << 13])),
    ("never-end-for-memory", |_| {
        seen(std::fs::write("/proc/self/oom_score_adj", "-1000"), |()| "set to -1000".to_owned())
    }),
    ("more-processes", |_| raise(libc::RLIMIT_NPROC)),
    ("more-files", |_| raise(libc::RLIMIT_NOFILE)),
    ("host-shared-memory", |t| succeeds(libc::SYS_shmget, &[t.number("sysv").unsigned_abs() as usize, 0, 0])),
    ("host-semaphore", |t| succeeds(libc::SYS_semget, &[t.number("sysv").unsigned_abs() as usize, 0, 0])),
    ("host-message-queue", |t| succeeds(libc::SYS_msgget, &[t.number("sysv").unsigned_abs() as usize, 0])),
    ("host-socket-without-path", |t| {
        let address = SocketAddr::from_abstract_name(t.get("abstract")).map_err(|e| e.to_string())?;
        seen(UnixStream::connect_addr(&address), |_| "connected".to_owned())
    }),
    ("host-name", |t| {
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        if name.trim() == t.get("hostname") { Ok(name) } else { Err(format!("is {}", name.trim())) }
    }),
    ("control-group-names", |_| {
        let text = std::fs::read_to_string("/proc/self/cgroup").map_err(|e| e.to_string())?;
        match text.lines().find(|l| l.contains("/orlop-")) {
            Some(line) => Ok(line.to_owned()),
            None => Err("names nothing of the platform".to_owned()),
        }
    }),
];

/// Signal 0 asks only whether a signal could be sent.
fn signal(pid: i32) -> Seen {
    // SAFETY: no memory is passed.
    seen(number(unsafe { libc::kill(pid, 0) }), |()| format!("{pid} could be signalled"))
}

fn number(result: i32) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A limit one above the hard one.
fn raise(resource: libc::__rlimit_resource_t) -> Seen {
    let mut now = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `now` is valid for both calls.
    unsafe {
        number(libc::getrlimit(resource, &raw mut now)).map_err(|e| e.to_string())?;
        let to = libc::rlimit { rlim_cur: now.rlim_cur, rlim_max: now.rlim_max.saturating_add(1) };
        seen(number(libc::setrlimit(resource, &raw const to)), |()| format!("{}", to.rlim_max))
    }
}
