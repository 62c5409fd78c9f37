//! What takes more than its share. Everything here is meant to meet a limit; each says how far it came.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

/// More than any limit of a test lets through.
const MANY: u32 = 1_000_000;

pub(crate) fn go_off(words: &[&str]) -> ExitCode {
    match words {
        ["processes"] => super::attack::fork_bomb(),
        ["burn", threads] => burn(threads.parse().unwrap_or(1)),
        ["everything", place] => everything(place),
        ["again", "processes"] => loop {
            // Each round ends with everything that it made.
            let _ = std::process::Command::new("/app/guest").args(["bomb", "processes"]).status();
        },
        ["again", "memory"] => loop {
            let _ = std::process::Command::new("/app/guest").args(["eat", "2000000000"]).status();
        },
        ["links", place] => links(place),
        ["sessions"] => sessions(),
        ["anonymous-files"] => anonymous_files(),
        ["pipes"] => until_refused("pipes", pipe),
        ["socket-buffers"] => until_refused("sockets", socket_buffer),
        ["descriptors"] => until_refused("descriptors", || File::open("/dev/null").map(std::mem::forget)),
        ["descriptors-of-many"] => {
            for _ in 0..20 {
                // SAFETY: this process has one thread.
                if unsafe { libc::fork() } == 0 {
                    until_refused("descriptors", || File::open("/dev/null").map(std::mem::forget));
                    std::thread::sleep(Duration::from_secs(3));
                    return ExitCode::SUCCESS;
                }
            }
            // SAFETY: no memory is passed.
            while unsafe { libc::wait(std::ptr::null_mut()) } > 0 {}
        }
        ["small-files", place] => {
            let mut n = 0;
            until_refused("files", || {
                n += 1;
                File::create(format!("{place}/{n}")).map(drop)
            });
        }
        ["deep-folders", place, then @ ..] => deep_folders(place, !then.is_empty()),
        ["unlinked", place] => unlinked(place),
        ["endless-line"] => {
            let block = vec![b'x'; 1 << 20];
            (0..40).for_each(|_| drop(io::stdout().write_all(&block)));
            println!();
        }
        ["background"] => background(),
        ["background-and-stay"] => {
            background();
            std::thread::sleep(Duration::from_secs(600));
        }
        _ => return ExitCode::from(98),
    }
    ExitCode::SUCCESS
}

fn until_refused(what: &str, mut more: impl FnMut() -> io::Result<()>) {
    for n in 0..MANY {
        if let Err(e) = more() {
            return println!("{n} {what}: {e}");
        }
    }
    println!("{MANY} {what}: no bound");
}

/// Uses so many processors until it is ended.
fn burn(threads: usize) {
    let spin = || {
        let mut n = 0u64;
        loop {
            n = std::hint::black_box(n.wrapping_mul(31).wrapping_add(7));
        }
    };
    (1..threads).for_each(|_| drop(std::thread::spawn(spin)));
    spin()
}

/// What a heavy build does at once: all processors, much memory, many files written and read again,
/// processes that come and go, and output without end.
fn everything(place: &str) {
    for _ in 0..4 {
        std::thread::spawn(|| burn(1));
    }
    let own = place.to_owned();
    std::thread::spawn(move || {
        let block = vec![3u8; 4 << 20];
        loop {
            let path = format!("{own}/churn");
            let _ = std::fs::write(&path, &block).and_then(|()| std::fs::read(&path)).map(std::hint::black_box);
        }
    });
    std::thread::spawn(|| {
        loop {
            let _ = std::process::Command::new("/usr/bin/true").status();
        }
    });
    let held = vec![1u8; 64 << 20];
    loop {
        println!("{}", std::hint::black_box(held[1 << 20]));
    }
}

/// Changes a name between a folder and a link to the host's files, again and again, and leaves links.
fn links(place: &str) {
    let target = std::env::var("CANARY_FOLDER").unwrap_or_default();
    let name = format!("{place}/turning");
    let until = std::time::Instant::now() + Duration::from_secs(3);
    let mut turns = 0;
    while std::time::Instant::now() < until {
        let _ = std::fs::create_dir(&name).and_then(|()| std::fs::write(format!("{name}/own"), "own"));
        let _ = std::fs::remove_dir_all(&name);
        let _ = std::os::unix::fs::symlink(&target, &name);
        let _ = std::fs::remove_file(&name);
        turns += 1;
    }
    let _ = std::os::unix::fs::symlink(&target, &name);
    let _ = std::fs::create_dir_all(format!("{place}/out/below"));
    let _ = std::os::unix::fs::symlink(&target, format!("{place}/out/below/leads-out"));
    let _ = std::fs::create_dir_all(format!("{place}/plain"));
    let program = format!("{place}/plain/program");
    let _ = std::fs::write(&program, "own");
    let _ = std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o6755));
    println!("{turns} turns");
}

/// A pipe as large as it gets, filled.
fn pipe() -> io::Result<()> {
    let mut ends = [0; 2];
    // SAFETY: the array has room for both ends.
    unsafe {
        if libc::pipe2(ends.as_mut_ptr(), libc::O_NONBLOCK) != 0 {
            return Err(io::Error::last_os_error());
        }
        libc::fcntl(ends[1], libc::F_SETPIPE_SZ, 1 << 20);
    }
    // SAFETY: the descriptor is open and owned by nobody else; it stays open on purpose.
    let mut end = unsafe { File::from_raw_fd(ends[1]) };
    let block = vec![1u8; 1 << 16];
    while end.write(&block).is_ok_and(|n| n > 0) {}
    let _ = end.into_raw_fd();
    Ok(())
}

fn socket_buffer() -> io::Result<()> {
    let (mut a, b) = UnixStream::pair()?;
    a.set_nonblocking(true)?;
    let size = 1i32 << 24;
    // SAFETY: the value has the length that is passed.
    unsafe {
        libc::setsockopt(a.as_raw_fd(), libc::SOL_SOCKET, libc::SO_SNDBUF, (&raw const size).cast(), 4);
    }
    let block = vec![1u8; 1 << 16];
    while a.write(&block).is_ok_and(|n| n > 0) {}
    let _ = (a.into_raw_fd(), b.into_raw_fd());
    Ok(())
}

fn anonymous_files() {
    // SAFETY: the name is a C string; the descriptor is new and stays open.
    let mut file = unsafe { File::from_raw_fd(libc::memfd_create(c"bomb".as_ptr(), 0)) };
    let block = vec![1u8; 1 << 20];
    until_refused("blocks", || file.write_all(&block));
}

/// Each in a session of its own, so that no signal to a group meets them.
fn sessions() {
    until_refused("sessions", || {
        // SAFETY: the child only sleeps.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                // SAFETY: no memory is passed.
                unsafe { libc::setsid() };
                loop {
                    std::thread::sleep(Duration::from_secs(100));
                }
            }
            _ => Ok(()),
        }
    });
}

/// Goes down as far as it is let, and writes there if asked to.
fn deep_folders(place: &str, then_write: bool) {
    let _ = std::env::set_current_dir(place);
    let mut n = 0;
    while n < 3000 && std::fs::create_dir("folder").and_then(|()| std::env::set_current_dir("folder")).is_ok() {
        n += 1;
    }
    println!("{n} folders deep");
    if then_write {
        let _ = std::fs::write("hidden", vec![7u8; 20 << 20]);
        println!("wrote");
        std::thread::sleep(Duration::from_secs(30));
    }
}

/// Files that have no name: they take room and no listing shows them.
fn unlinked(place: &str) {
    let mut kept = Vec::new();
    for n in 0..100 {
        let path = format!("{place}/gone-{n}");
        let Ok(mut file) = File::create(&path) else { break };
        let _ = std::fs::remove_file(&path);
        let _ = file.write_all(&vec![7u8; 4 << 20]);
        kept.push(file);
        std::thread::sleep(Duration::from_millis(20));
    }
    println!("{} files without a name", kept.len());
    std::thread::sleep(Duration::from_secs(30));
}

/// Four processes that nothing holds: other sessions, deaf to signals, renamed, without output.
fn background() {
    for n in 0..4 {
        // SAFETY: this process has one thread; the children only sleep.
        unsafe {
            if libc::fork() == 0 {
                libc::setsid();
                if libc::fork() == 0 {
                    for signal in 1..32 {
                        libc::signal(signal, libc::SIG_IGN);
                    }
                    libc::prctl(libc::PR_SET_NAME, c"kworker/0:1".as_ptr());
                    if n % 2 == 0 {
                        for fd in 0..3 {
                            libc::close(fd);
                        }
                    }
                    libc::sleep(600);
                }
                libc::_exit(0);
            }
        }
    }
    for _ in 0..4 {
        // SAFETY: no memory is passed.
        unsafe { libc::wait(std::ptr::null_mut()) };
    }
    println!("left 4");
}
