//! The few system calls that have no safe wrapper, each as one small function.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Makes the mount and everything beneath it read-only.
pub(crate) const READ_ONLY: u64 = 0x1;
/// Set-user-id bits have no effect.
pub(crate) const NO_SUID: u64 = 0x2;
/// Device nodes cannot be opened.
pub(crate) const NO_DEV: u64 = 0x4;
/// Programs cannot be started.
pub(crate) const NO_EXEC: u64 = 0x8;

/// `struct mount_attr` of `mount_setattr(2)`.
#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    userns_fd: u64,
}

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Adds attributes to a mount and, if `recursive`, to all mounts beneath it (Linux 5.12).
pub(crate) fn mount_setattr(mount: BorrowedFd<'_>, set: u64, recursive: bool) -> io::Result<()> {
    let attr = MountAttr { set, clear: 0, propagation: 0, userns_fd: 0 };
    let flags = libc::AT_EMPTY_PATH | if recursive { 0x8000 } else { 0 };
    // SAFETY: the path is a valid C string, `attr` outlives the call and its size is passed with it.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attr,
            std::mem::size_of::<MountAttr>(),
        )
    })?;
    Ok(())
}

/// Makes every mount of this mount namespace private.
pub(crate) fn mounts_private() -> io::Result<()> {
    // SAFETY: source, type and data may be null for a change of propagation; the target is a C string.
    check(libc::c_long::from(unsafe {
        libc::mount(
            std::ptr::null(),
            c"/".as_ptr(),
            std::ptr::null(),
            libc::MS_REC | libc::MS_PRIVATE,
            std::ptr::null(),
        )
    }))?;
    Ok(())
}

/// `fork`, with new namespaces for the child. `None` in the child. The calling process must have a
/// single thread: the child goes on with a copy of this stack.
pub(crate) fn clone_process(namespaces: i32) -> io::Result<Option<i32>> {
    let flags = libc::c_long::from(namespaces) | libc::c_long::from(libc::SIGCHLD);
    // SAFETY: with a null stack the child continues on a copy of the caller's, as after fork(2). The
    // keeper and the init process have one thread, so no lock can be held by a thread that is gone.
    let pid = check(unsafe { libc::syscall(libc::SYS_clone, flags, 0usize, 0usize, 0usize, 0usize) })?;
    Ok(i32::try_from(pid).ok().filter(|pid| *pid != 0))
}

/// What `waitpid` says about a child.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Waited {
    /// It has not ended.
    Running,
    /// It ended with this raw wait status.
    Ended(i32),
    /// There is no such child.
    NoChild,
}

/// Looks whether a child has ended, and reaps it. With `pid` -1 any child; the second value says which.
pub(crate) fn try_wait(pid: i32) -> (i32, Waited) {
    let mut status = 0;
    // SAFETY: `status` is valid for a write.
    match unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG) } {
        0 => (0, Waited::Running),
        n if n > 0 => (n, Waited::Ended(status)),
        _ => (0, Waited::NoChild),
    }
}

/// Makes everything that was written to a file system survive a loss of power: `syncfs(2)`, by the C library's name
/// (Linux 5.8 and later tell of writes that failed since `file` was opened).
pub(crate) fn sync_file_system(file: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: no memory is passed.
    check(libc::c_long::from(unsafe { libc::syncfs(file.as_raw_fd()) }))?;
    Ok(())
}

/// Sends a signal to a process that the caller has not reaped yet.
pub(crate) fn kill(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: no memory is passed.
    check(libc::c_long::from(unsafe { libc::kill(pid, signal) }))?;
    Ok(())
}

/// Blocks these signals and returns a descriptor that is readable when one is pending.
pub(crate) fn signal_fd(signals: &[i32]) -> io::Result<OwnedFd> {
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initialises the set before it is used; the pointers are valid.
    let fd = unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in signals {
            libc::sigaddset(set.as_mut_ptr(), *signal);
        }
        if libc::sigprocmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut()) != 0 {
            return Err(io::Error::last_os_error());
        }
        libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
    };
    check(libc::c_long::from(fd))?;
    // SAFETY: the call succeeded, so this is a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Takes one pending signal from a descriptor of [`signal_fd`].
pub(crate) fn next_signal(fd: BorrowedFd<'_>) -> Option<i32> {
    let mut buffer = [0u8; 128];
    let n = rustix::io::read(fd, &mut buffer).ok()?;
    let number = buffer.get(..4).filter(|_| n >= 4)?;
    number.try_into().ok().map(u32::from_ne_bytes).and_then(|n| i32::try_from(n).ok())
}

/// Gives every signal its default effect again and unblocks all: what a program expects to start with.
pub(crate) fn default_signals() {
    // SAFETY: only dispositions and the mask of this single-threaded process change; no handler of
    // ours is needed after this, since exec follows.
    unsafe {
        for signal in 1..=64 {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, set.as_ptr(), std::ptr::null_mut());
    }
}

/// Ignores a signal.
pub(crate) fn ignore_signal(signal: i32) {
    // SAFETY: SIG_IGN installs no handler.
    unsafe {
        libc::signal(signal, libc::SIG_IGN);
    }
}

/// Marks every descriptor from `first` on close-on-exec, or closes them now.
pub(crate) fn close_from(first: RawFd, on_exec: bool) -> io::Result<()> {
    let flags: libc::c_uint = if on_exec { libc::CLOSE_RANGE_CLOEXEC } else { 0 };
    // SAFETY: callers close only descriptors whose owners are never dropped (they end with _exit or exec).
    check(unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, flags) })?;
    Ok(())
}

/// Closes all descriptors above 2 except these.
pub(crate) fn close_all_but(keep: &[RawFd]) -> io::Result<()> {
    let mut keep: Vec<RawFd> = keep.iter().copied().filter(|fd| *fd > 2).collect();
    keep.sort_unstable();
    let mut first = 3;
    for fd in keep {
        if fd > first {
            // SAFETY: as in `close_from`.
            check(unsafe { libc::syscall(libc::SYS_close_range, first, fd - 1, 0) })?;
        }
        first = fd + 1;
    }
    close_from(first, false)
}

/// Makes `fd` the descriptor with this number.
pub(crate) fn become_fd(fd: BorrowedFd<'_>, number: RawFd) -> io::Result<()> {
    // SAFETY: descriptors 0 to 2 are owned by nobody in this process.
    check(libc::c_long::from(unsafe { libc::dup2(fd.as_raw_fd(), number) }))?;
    Ok(())
}

/// Replaces this process by a program. Returns only when that failed.
pub(crate) fn exec(path: &CString, argv: &[CString], env: &[CString]) -> io::Error {
    let pointers = |list: &[CString]| -> Vec<*const libc::c_char> {
        list.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (argv, env) = (pointers(argv), pointers(env));
    // SAFETY: path and both null-terminated arrays point to C strings that live until the call returns.
    unsafe {
        libc::execve(path.as_ptr(), argv.as_ptr(), env.as_ptr());
    }
    io::Error::last_os_error()
}

/// Wipes the words with which this process was started from its own memory, where
/// `/proc/<pid>/cmdline` reads them (proc_pid_stat(5): arg_start, arg_end).
pub(crate) fn wipe_arguments() -> io::Result<()> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The name in parentheses may hold anything; the state, field 3, follows the last one.
    let fields = stat.rfind(')').and_then(|at| stat.get(at + 1..)).unwrap_or_default();
    let number = |field: usize| fields.split_whitespace().nth(field - 3).and_then(|word| word.parse::<usize>().ok());
    match (number(48), number(49)) {
        (Some(start), Some(end)) if start != 0 && end > start => {
            // SAFETY: the kernel says that this range holds the arguments of this process; it is on
            // the stack, writable, above every frame, and nothing reads the arguments after this.
            unsafe { std::ptr::write_bytes(std::ptr::without_provenance_mut::<u8>(start), 0, end - start) };
            Ok(())
        }
        _ => Err(io::Error::other("/proc/self/stat does not tell where the arguments are")),
    }
}

/// Ends this process without running anything that its parent registered.
pub(crate) fn exit_now(status: i32) -> ! {
    // SAFETY: _exit never returns and touches no memory.
    unsafe { libc::_exit(status) }
}

/// `prctl` with one number.
pub(crate) fn prctl(option: i32, value: u64) -> io::Result<()> {
    // SAFETY: only options whose arguments are numbers are used in this crate.
    check(libc::c_long::from(unsafe { libc::prctl(option, value, 0u64, 0u64, 0u64) }))?;
    Ok(())
}

/// Sets user, group and (where that is allowed) supplementary groups of this process.
pub(crate) fn become_user(uid: u32, gid: u32, clear_groups: bool) -> io::Result<()> {
    // SAFETY: no memory is passed except the empty list of groups.
    unsafe {
        if clear_groups {
            check(libc::c_long::from(libc::setgroups(0, std::ptr::null())))?;
        }
        check(libc::c_long::from(libc::setresgid(gid, gid, gid)))?;
        check(libc::c_long::from(libc::setresuid(uid, uid, uid)))?;
    }
    Ok(())
}

/// The three capability sets of this process (version 3 of the kernel's interface: two words each).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Capabilities {
    /// Everything that is permitted becomes effective.
    AllPermitted,
    /// None, for good.
    None,
}

/// Changes the capability sets of this process.
pub(crate) fn set_capabilities(to: Capabilities) -> io::Result<()> {
    let header: [u32; 2] = [0x2008_0522, 0];
    let mut data = [0u32; 6];
    if to == Capabilities::AllPermitted {
        // SAFETY: header and data have the layout of version 3.
        check(unsafe { libc::syscall(libc::SYS_capget, header.as_ptr(), data.as_mut_ptr()) })?;
        // effective, permitted, inheritable; then the same for capabilities 32 and up.
        data[0] = data[1];
        data[3] = data[4];
    }
    // SAFETY: as above.
    check(unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr()) })?;
    Ok(())
}

/// Sets both limits of a resource, never above the hard limit that holds now.
pub(crate) fn limit(resource: u32, value: u64) -> io::Result<()> {
    let mut now = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `now` is valid for the write and the read; the resource numbers come from libc's constants.
    unsafe {
        check(libc::c_long::from(libc::getrlimit(resource as _, &raw mut now)))?;
        let value = value.min(now.rlim_max);
        let to = libc::rlimit { rlim_cur: value, rlim_max: value };
        check(libc::c_long::from(libc::setrlimit(resource as _, &raw const to)))?;
    }
    Ok(())
}

/// The number that names this run of the kernel; pids and namespaces of another run mean nothing.
pub(crate) fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|s| s.trim().to_owned()).unwrap_or_default()
}

/// The time since the machine was started, its sleep included (clock_gettime(2), CLOCK_BOOTTIME).
pub(crate) fn since_boot() -> std::time::Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is valid for a write. The call cannot fail with a clock that every Linux has.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut now) };
    std::time::Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// The wall clock.
#[expect(clippy::disallowed_methods, reason = "a keeper has no ports: it outlives the process that has them")]
pub(crate) fn now() -> base::Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    base::Time::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// The version of Landlock's interface (landlock_create_ruleset(2)); not positive where there is none.
pub(crate) fn landlock_version() -> i64 {
    const CREATE_RULESET_VERSION: u32 = 1;
    // SAFETY: with this flag the call reads no memory and only returns a number.
    unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0usize, CREATE_RULESET_VERSION) }
}

/// From here on this process sees its control groups as the roots.
pub(crate) fn new_cgroup_namespace() -> io::Result<()> {
    // SAFETY: CLONE_NEWCGROUP only changes how the paths of control groups are shown.
    check(libc::c_long::from(unsafe { libc::unshare(libc::CLONE_NEWCGROUP) }))?;
    Ok(())
}

/// The size of a page of memory.
pub(crate) fn page_bytes() -> u64 {
    // SAFETY: no memory is passed.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}
