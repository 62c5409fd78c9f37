//! What an instance should not be able to do.

use std::ffi::CString;
use std::fmt::Display;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, ExitCode};
use std::time::Duration;

/// `write: ok` or `write: <error>`.
pub(crate) fn tell<T, E: Display>(what: &str, result: Result<T, E>) {
    match result {
        Ok(_) => println!("{what}: ok"),
        Err(e) => println!("{what}: {e}"),
    }
}

/// `talk: <what came of it>` or `talk: <error>`.
pub(crate) fn tell_text(what: &str, result: io::Result<String>) {
    match result {
        Ok(text) => println!("{what}: {text}"),
        Err(e) => println!("{what}: error: {e}"),
    }
}

fn call(number: libc::c_long, a: usize, b: usize, c: usize, d: usize) -> io::Result<i64> {
    // SAFETY: arguments are numbers, null or pointers to C strings that live until the call returns;
    // the calls are expected to be refused.
    let result = unsafe { libc::syscall(number, a, b, c, d, 0usize, 0usize) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Tries one thing and says what happened. Status 0 in any case: the test reads the words.
pub(crate) fn attack(words: &[&str]) -> ExitCode {
    match words {
        ["syscalls"] => syscalls(),
        ["identity"] => identity(),
        ["connect", address] => {
            let address: SocketAddr = address.parse().expect("the test passes an address");
            tell("connect", TcpStream::connect_timeout(&address, Duration::from_secs(2)));
        }
        ["bind", port] => tell("bind", TcpListener::bind(("127.0.0.1", port.parse().unwrap_or(0)))),
        ["udp"] => tell("udp", UdpSocket::bind(("127.0.0.1", 0))),
        ["sockets"] => sockets(),
        ["kill", pid] => {
            // SAFETY: no memory is passed.
            let result = unsafe { libc::kill(pid.parse().unwrap_or(0), libc::SIGKILL) };
            tell("kill", if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) });
        }
        ["list", path] => match std::fs::read_dir(path) {
            Ok(entries) => {
                let mut names: Vec<String> =
                    entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
                names.sort();
                println!("list: {}", names.join(" "));
            }
            Err(e) => println!("list: {e}"),
        },
        ["abstract", name] => {
            use std::os::linux::net::SocketAddrExt;
            use std::os::unix::net::{SocketAddr, UnixStream};
            let address = SocketAddr::from_abstract_name(name).expect("the test passes a short name");
            tell("abstract", UnixStream::connect_addr(&address));
        }
        _ => return ExitCode::from(98),
    }
    ExitCode::SUCCESS
}

fn syscalls() {
    let root = CString::new("/").expect("no zero byte inside");
    let tmp = CString::new("/tmp").expect("no zero byte inside");
    let none = CString::new("tmpfs").expect("no zero byte inside");
    let p = |s: &CString| s.as_ptr() as usize;
    tell("mount", call(libc::SYS_mount, p(&none), p(&tmp), p(&none), 0));
    tell("umount", call(libc::SYS_umount2, p(&tmp), 2, 0, 0));
    tell("chroot", call(libc::SYS_chroot, p(&root), 0, 0, 0));
    tell("unshare-user", call(libc::SYS_unshare, libc::CLONE_NEWUSER as usize, 0, 0, 0));
    tell("clone-user", call(libc::SYS_clone, (libc::CLONE_NEWUSER | libc::SIGCHLD) as usize, 0, 0, 0));
    tell("clone3", call(libc::SYS_clone3, 0, 0, 0, 0));
    tell("setns", call(libc::SYS_setns, 0, 0, 0, 0));
    tell("ptrace", call(libc::SYS_ptrace, libc::PTRACE_ATTACH as usize, 1, 0, 0));
    tell("bpf", call(libc::SYS_bpf, 0, 0, 0, 0));
    tell("keyctl", call(libc::SYS_keyctl, 0, 0, 0, 0));
    tell("io_uring", call(libc::SYS_io_uring_setup, 1, 0, 0, 0));
    tell("userfaultfd", call(libc::SYS_userfaultfd, 0, 0, 0, 0));
    tell("perf", call(libc::SYS_perf_event_open, 0, 0, 0, 0));
    tell("reboot", call(libc::SYS_reboot, 0, 0, 0, 0));
    tell("setuid", call(libc::SYS_setuid, 0, 0, 0, 0));
    tell("sethostname", call(libc::SYS_sethostname, p(&none), 5, 0, 0));
    tell("tiocsti", call(libc::SYS_ioctl, 0, libc::TIOCSTI as usize, p(&none), 0));
    tell("x32", call(0x4000_0000 | libc::SYS_getpid, 0, 0, 0, 0));
    tell("open-by-handle", call(libc::SYS_open_by_handle_at, 0, 0, 0, 0));
    let device = CString::new("/tmp/device").expect("no zero byte inside");
    // SAFETY: the path is a C string.
    let made = unsafe { libc::mknod(device.as_ptr(), libc::S_IFBLK | 0o666, libc::makedev(8, 0)) };
    tell("mknod", if made == 0 { Ok(()) } else { Err(io::Error::last_os_error()) });
}

fn sockets() {
    let inet = libc::AF_INET as usize;
    let stream = libc::SOCK_STREAM as usize;
    tell("mptcp", call(libc::SYS_socket, inet, stream, 262, 0));
    tell("sctp", call(libc::SYS_socket, inet, stream, 132, 0));
    tell("raw", call(libc::SYS_socket, inet, libc::SOCK_RAW as usize, 1, 0));
    tell("packet", call(libc::SYS_socket, libc::AF_PACKET as usize, libc::SOCK_RAW as usize, 0, 0));
    tell("vsock", call(libc::SYS_socket, libc::AF_VSOCK as usize, stream, 0, 0));
    tell("netlink-audit", call(libc::SYS_socket, libc::AF_NETLINK as usize, libc::SOCK_RAW as usize, 9, 0));
    tell("netlink-route", call(libc::SYS_socket, libc::AF_NETLINK as usize, libc::SOCK_RAW as usize, 0, 0));
    tell("unix", call(libc::SYS_socket, libc::AF_UNIX as usize, stream, 0, 0));
    tell("tcp", call(libc::SYS_socket, inet, stream | libc::SOCK_CLOEXEC as usize, 6, 0));
    let sock = call(libc::SYS_socket, inet, stream, 0, 0).unwrap_or(-1) as usize;
    tell("fastopen", call(libc::SYS_sendto, sock, 0, 0, libc::MSG_FASTOPEN as usize));
}

fn identity() {
    // SAFETY: these calls take no arguments.
    let (uid, gid, pid) = unsafe { (libc::getuid(), libc::getgid(), libc::getpid()) };
    println!("uid {uid} gid {gid} pid {pid}");
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    for line in status
        .lines()
        .filter(|l| ["CapEff", "CapPrm", "CapBnd", "NoNewPrivs", "Seccomp:"].iter().any(|w| l.starts_with(w)))
    {
        println!("{}", line.replace('\t', " "));
    }
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    println!("uid_map {}", map.split_whitespace().collect::<Vec<_>>().join(" "));
    let cgroup = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    println!("cgroup {}", cgroup.lines().map(|l| l.rsplit(':').next().unwrap_or("")).collect::<Vec<_>>().join(" "));
}

/// Leaves two generations of processes behind and ends.
pub(crate) fn orphans() {
    let exe = "/app/guest";
    for _ in 0..2 {
        let child = Command::new(exe).arg("sleep").spawn();
        println!("left {}", child.map_or(0, |c| c.id()));
    }
}

/// Touches memory until it has as much as asked.
pub(crate) fn eat(bytes: u64) {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    let mut left = bytes;
    while left > 0 {
        kept.push(vec![1u8; 1 << 20]);
        left = left.saturating_sub(1 << 20);
    }
    println!("ate {} blocks", std::hint::black_box(&kept).len());
}

/// A child eats; this process tells how the child ended and ends with 1.
pub(crate) fn eat_child(bytes: &str) {
    let status = Command::new("/app/guest").args(["eat", bytes]).status();
    println!("child: {status:?}");
    std::process::exit(1);
}

/// Writes a file and waits.
pub(crate) fn fill(path: &str, bytes: u64) {
    use std::io::Write;
    let mut file = std::fs::File::create(path).expect("the test names a writable place");
    let block = vec![7u8; 1 << 20];
    let mut left = bytes;
    while left > 0 {
        if let Err(e) = file.write_all(&block) {
            println!("fill: {e}");
            break;
        }
        left = left.saturating_sub(block.len() as u64);
        std::thread::sleep(Duration::from_millis(2));
    }
    println!("filled");
    std::thread::sleep(Duration::from_secs(30));
}

/// Makes processes that never end until that is refused.
pub(crate) fn fork_bomb() {
    let mut made = 0;
    loop {
        // SAFETY: the child only sleeps and makes no use of locks that another thread could hold.
        match unsafe { libc::fork() } {
            0 => loop {
                std::thread::sleep(Duration::from_secs(100));
            },
            -1 => break println!("made {made}: {}", io::Error::last_os_error()),
            _ => made += 1,
        }
        if made > 5_000 {
            break println!("made {made}: no bound");
        }
    }
}

pub(crate) fn threads(many: u64) {
    let mut handles = Vec::new();
    for n in 0..many {
        match std::thread::Builder::new().stack_size(64 << 10).spawn(|| std::thread::sleep(Duration::from_millis(200)))
        {
            Ok(handle) => handles.push(handle),
            Err(e) => {
                println!("thread {n}: {e}");
                break;
            }
        }
    }
    println!("threads {}", handles.len());
    for handle in handles {
        let _ = handle.join();
    }
}

/// What a build leaves behind.
pub(crate) fn make_tree() {
    let at = |p: &str| format!("/workspace/{p}");
    std::fs::create_dir_all(at("out/sub")).expect("the workspace is writable");
    std::fs::write(at("out/b.txt"), "bee").expect("the workspace is writable");
    std::fs::write(at("out/a.txt"), "ay").expect("the workspace is writable");
    std::fs::write(at("out/sub/run"), "#!/bin/sh\n").expect("the workspace is writable");
    std::fs::set_permissions(at("out/sub/run"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("own file");
    std::os::unix::fs::symlink("../a.txt", at("out/sub/link")).expect("links are allowed");
    std::fs::create_dir_all(at("bad")).expect("the workspace is writable");
    std::os::unix::fs::symlink("/etc/passwd", at("bad/leak")).expect("links are allowed");
    std::os::unix::fs::symlink("out", at("way")).expect("links are allowed");
    println!("built");
}
