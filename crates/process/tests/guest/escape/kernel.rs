//! System calls and switches of the kernel. Where a call would do harm, its arguments make no sense:
//! a kernel that looks at them has let the caller through.

use std::fs::OpenOptions;

use super::{Attempt, Seen, call, reaches, seen, succeeds};

/// Calls newer than the C library's list.
const OPEN_TREE_ATTR: libc::c_long = 467;
/// A descriptor that is never open.
const NO_FD: usize = 9999;
/// A flag that no call knows.
const NONSENSE: usize = 0x4000_0000;

pub(super) const ATTEMPTS: &[Attempt] = &[
    // other namespaces, roots and mounts
    ("unshare-user", |_| succeeds(libc::SYS_unshare, &[libc::CLONE_NEWUSER as usize])),
    ("unshare-mounts", |_| succeeds(libc::SYS_unshare, &[libc::CLONE_NEWNS as usize])),
    ("unshare-network", |_| succeeds(libc::SYS_unshare, &[libc::CLONE_NEWNET as usize])),
    ("clone-user", |_| clone(libc::CLONE_NEWUSER)),
    ("clone-network", |_| clone(libc::CLONE_NEWNET | libc::CLONE_NEWUSER)),
    ("clone3-user", |_| {
        let mut args = [0u64; 11];
        args[0] = u64::from(libc::CLONE_NEWUSER.unsigned_abs());
        args[4] = u64::from(libc::SIGCHLD.unsigned_abs());
        match call(libc::SYS_clone3, [args.as_ptr() as usize, 88, 0, 0, 0, 0]) {
            // SAFETY: the child ends at once.
            Ok(0) => unsafe { libc::_exit(0) },
            Ok(n) => Ok(format!("made process {n}")),
            Err(e) => Err(e.to_string()),
        }
    }),
    ("join-namespace", |t| {
        let path = std::ffi::CString::new(format!("/proc/{}/ns/mnt", t.get("target"))).expect("no zero byte inside");
        // SAFETY: the path is a C string.
        match unsafe { libc::open(path.as_ptr(), libc::O_RDONLY) } {
            -1 => Err(std::io::Error::last_os_error().to_string()),
            fd => succeeds(libc::SYS_setns, &[fd.unsigned_abs() as usize, libc::CLONE_NEWNS as usize]),
        }
    }),
    ("pivot-root", |_| reaches(libc::SYS_pivot_root, &[root(), root()])),
    ("chroot", |_| succeeds(libc::SYS_chroot, &[root()])),
    ("open-tree", |_| succeeds(libc::SYS_open_tree, &[libc::AT_FDCWD as usize, root(), 1])),
    ("open-tree-attr", |_| reaches(OPEN_TREE_ATTR, &[libc::AT_FDCWD as usize, root(), 1])),
    ("move-mount", |_| reaches(libc::SYS_move_mount, &[NO_FD, nowhere(), NO_FD, nowhere(), 0])),
    ("fsopen", |_| succeeds(libc::SYS_fsopen, &[c"tmpfs".as_ptr() as usize, 0])),
    ("fspick", |_| reaches(libc::SYS_fspick, &[libc::AT_FDCWD as usize, nowhere(), 0])),
    ("fsmount", |_| reaches(libc::SYS_fsmount, &[NO_FD, 0, 0])),
    ("mount-attributes", |_| {
        let attributes = [0u64; 4];
        reaches(libc::SYS_mount_setattr, &[NO_FD, root(), 0, attributes.as_ptr() as usize, 32])
    }),
    ("quota", |_| reaches(libc::SYS_quotactl, &[0x8000_0100, nowhere(), 0, 0])),
    ("watch-all-files", |_| reaches(libc::SYS_fanotify_init, &[0, 0])),
    // other processes
    ("trace-another", |t| reaches(libc::SYS_ptrace, &[0x4206, target(t), 0, 0])),
    ("trace-me", |_| succeeds(libc::SYS_ptrace, &[0])),
    ("read-memory-of-another", |t| reaches(libc::SYS_process_vm_readv, &[target(t), 1, 1, 1, 1, 0])),
    ("write-memory-of-another", |t| reaches(libc::SYS_process_vm_writev, &[target(t), 1, 1, 1, 1, 0])),
    ("steal-descriptor", |t| {
        let fd = call(libc::SYS_pidfd_open, [target(t), 0, 0, 0, 0, 0]).map_err(|e| e.to_string())?;
        succeeds(libc::SYS_pidfd_getfd, &[fd.unsigned_abs() as usize, 1, 0])
    }),
    ("advise-another", |_| reaches(libc::SYS_process_madvise, &[NO_FD, 0, 0, 0, 0])),
    ("compare-processes", |t| reaches(libc::SYS_kcmp, &[std::process::id() as usize, target(t), 1, 0, 0])),
    ("performance-events", |_| reaches(libc::SYS_perf_event_open, &[1, 0, 0, NO_FD, 0])),
    ("migrate-pages", |t| reaches(libc::SYS_migrate_pages, &[target(t), 0, 0, 0])),
    ("move-pages", |t| reaches(libc::SYS_move_pages, &[target(t), 0, 0, 0, 0, 0])),
    // interfaces with a long list of past holes
    ("bpf", |_| reaches(libc::SYS_bpf, &[0, 0, 0])),
    ("userfaultfd", |_| succeeds(libc::SYS_userfaultfd, &[1])),
    ("io-uring", |_| {
        let parameters = [0u8; 120];
        succeeds(libc::SYS_io_uring_setup, &[1, parameters.as_ptr() as usize])
    }),
    ("keyring", |_| reaches(libc::SYS_keyctl, &[0, (-3isize).cast_unsigned(), 1])),
    ("add-key", |_| {
        let (kind, name) = (c"user".as_ptr() as usize, c"escape".as_ptr() as usize);
        reaches(libc::SYS_add_key, &[kind, name, name, 6, (-2isize).cast_unsigned()])
    }),
    ("request-key", |_| {
        let (kind, name) = (c"user".as_ptr() as usize, c"escape".as_ptr() as usize);
        reaches(libc::SYS_request_key, &[kind, name, 0, 0])
    }),
    ("splice-memory", |_| reaches(libc::SYS_vmsplice, &[NO_FD, 0, 0, 0])),
    // the machine itself
    ("load-kernel", |_| reaches(libc::SYS_kexec_load, &[0, 0, 0, NONSENSE])),
    ("load-kernel-file", |_| reaches(libc::SYS_kexec_file_load, &[NO_FD, NO_FD, 0, 0, NONSENSE])),
    ("load-module", |_| reaches(libc::SYS_init_module, &[0, 0, 0])),
    ("load-module-file", |_| reaches(libc::SYS_finit_module, &[NO_FD, 0, 0])),
    ("unload-module", |_| reaches(libc::SYS_delete_module, &[c"no-such-module".as_ptr() as usize, 0x800])),
    ("reboot", |_| reaches(libc::SYS_reboot, &[0, 0, 0, 0])),
    ("swap-on", |_| reaches(libc::SYS_swapon, &[nowhere(), 0])),
    ("swap-off", |_| reaches(libc::SYS_swapoff, &[nowhere()])),
    ("accounting", |_| reaches(libc::SYS_acct, &[nowhere()])),
    ("kernel-log", |_| reaches(libc::SYS_syslog, &[10, 0, 0])),
    ("set-time", |_| reaches(libc::SYS_settimeofday, &[0, 0])),
    ("set-clock", |_| reaches(libc::SYS_clock_settime, &[0, 0])),
    ("tune-clock", |_| {
        let nothing = [0u8; 256];
        succeeds(libc::SYS_adjtimex, &[nothing.as_ptr() as usize])
    }),
    ("set-host-name", |_| {
        let mut name = [0u8; 64];
        // SAFETY: the buffer has the length that is passed.
        unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len()) };
        let length = name.iter().position(|b| *b == 0).unwrap_or(0);
        succeeds(libc::SYS_sethostname, &[name.as_ptr() as usize, length])
    }),
    ("set-domain-name", |_| succeeds(libc::SYS_setdomainname, &[c"(none)".as_ptr() as usize, 6])),
    ("type-into-terminal", |_| reaches(libc::SYS_ioctl, &[0, libc::TIOCSTI as usize, root()])),
    ("terminal-selection", |_| reaches(libc::SYS_ioctl, &[0, libc::TIOCLINUX as usize, root()])),
    #[cfg(target_arch = "x86_64")]
    ("io-ports", |_| succeeds(libc::SYS_ioperm, &[0, 1, 1])),
    #[cfg(target_arch = "x86_64")]
    ("io-privilege", |_| succeeds(libc::SYS_iopl, &[3])),
    #[cfg(target_arch = "x86_64")]
    ("segment-table", |_| {
        let buffer = [0u8; 64];
        succeeds(libc::SYS_modify_ldt, &[0, buffer.as_ptr() as usize, 64])
    }),
    #[cfg(target_arch = "x86_64")]
    ("second-numbering", |_| succeeds(0x4000_0000 | libc::SYS_getpid, &[])),
    #[cfg(target_arch = "x86_64")]
    ("other-language", |_| {
        let mut number = 20i64; // getpid of the 32-bit table
        // SAFETY: the call takes no arguments and changes only eax.
        unsafe {
            std::arch::asm!("int 0x80", inlateout("rax") number, lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("r11") _)
        };
        if number > 0 { Ok(format!("a 32-bit call returned {number}")) } else { Err(format!("absent: {number}")) }
    }),
    // switches in /proc
    ("proc-core-pattern", |_| writable("/proc/sys/kernel/core_pattern")),
    ("proc-modprobe", |_| writable("/proc/sys/kernel/modprobe")),
    ("proc-overcommit", |_| writable("/proc/sys/vm/overcommit_memory")),
    ("proc-forwarding", |_| writable("/proc/sys/net/ipv4/ip_forward")),
    ("proc-file-max", |_| writable("/proc/sys/fs/file-max")),
    ("proc-sysrq", |_| writable("/proc/sysrq-trigger")),
    ("proc-irq", |_| writable("/proc/irq/default_smp_affinity")),
    ("proc-kcore", |_| content("/proc/kcore", |_| true)),
    ("proc-addresses", |_| {
        content("/proc/kallsyms", |text| {
            text.lines().any(|l| l.split(' ').next().is_some_and(|a| a.bytes().any(|b| b != b'0')))
        })
    }),
    ("proc-keys", |_| content("/proc/keys", |text| !text.trim().is_empty())),
    ("proc-timers", |_| content("/proc/timer_list", |text| !text.trim().is_empty())),
    ("proc-kernel-log", |_| seen(std::fs::File::open("/proc/kmsg"), |_| "opened".to_owned())),
    ("sys-kernel-switch", |_| writable("/sys/kernel/mm/transparent_hugepage/enabled")),
];

/// A path that leads to nothing.
fn nowhere() -> usize {
    c"/nonexistent/place".as_ptr() as usize
}

fn root() -> usize {
    c"/".as_ptr() as usize
}

fn target(t: &super::Targets) -> usize {
    t.number("target").unsigned_abs() as usize
}

fn clone(flags: i32) -> Seen {
    match call(libc::SYS_clone, [(flags | libc::SIGCHLD) as usize, 0, 0, 0, 0, 0]) {
        // SAFETY: the child ends at once.
        Ok(0) => unsafe { libc::_exit(0) },
        Ok(n) => Ok(format!("made process {n}")),
        Err(e) => Err(e.to_string()),
    }
}

/// Opens only: nothing is written to a switch of the kernel.
fn writable(path: &str) -> Seen {
    let opened = OpenOptions::new().write(true).open(path);
    match opened {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(format!("not there: {e}")),
        other => seen(other, |_| "opened for writing".to_owned()),
    }
}

/// Reads the start of a file that should tell nothing.
fn content(path: &str, tells: impl Fn(&str) -> bool) -> Seen {
    use std::io::Read;
    let mut start = vec![0u8; 64 << 10];
    let n = std::fs::File::open(path).and_then(|mut f| f.read(&mut start)).map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&start[..n]);
    if n > 0 && tells(&text) { Ok(format!("told {n} bytes")) } else { Err("tells nothing".to_owned()) }
}
