//! Attempts to break out, to reach what belongs to others, and to get rights. Each runs in a process
//! of its own and says what it saw: `NAME: breach: …` when it got through, `NAME: held: …` when it
//! was refused, `NAME: absent: …` where this kernel does not have what it tries. Nothing here does
//! harm when it succeeds: the same program runs without any wall to show that it would notice.

mod files;
mod kernel;
mod network;
mod processes;

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::fd::FromRawFd;
use std::process::ExitCode;

/// What an attempt saw: `Ok` it got through, `Err` it was refused.
type Seen = Result<String, String>;
type Attempt = (&'static str, fn(&Targets) -> Seen);

/// The longest that one attempt may take, seconds.
const SECONDS_MAX: u32 = 6;

/// What the test laid out to be attacked, by name; from the variable `ESCAPE`.
pub(crate) struct Targets(BTreeMap<String, String>);

impl Targets {
    fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    fn number(&self, name: &str) -> i32 {
        self.get(name).parse().unwrap_or(0)
    }
}

/// Runs every attempt, or only those that are named.
pub(crate) fn run(only: &[&str]) -> ExitCode {
    let text = std::env::var("ESCAPE").unwrap_or_default();
    let targets = Targets(
        text.split(';').filter_map(|pair| pair.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
    );
    for (name, attempt) in [files::ATTEMPTS, kernel::ATTEMPTS, processes::ATTEMPTS, network::ATTEMPTS].concat() {
        if only.is_empty() || only.contains(&name) {
            println!("{name}: {}", apart(|| attempt(&targets)));
        }
    }
    ExitCode::SUCCESS
}

/// Makes or removes a memory segment, a semaphore and a message queue that everybody may use.
pub(crate) fn shared(what: &str, key: i32) -> ExitCode {
    let make = libc::IPC_CREAT | 0o666;
    // SAFETY: only numbers are passed.
    let all = unsafe {
        if what == "make" {
            [libc::shmget(key, 4096, make), libc::semget(key, 1, make), libc::msgget(key, make)]
        } else {
            [
                libc::shmctl(libc::shmget(key, 0, 0), libc::IPC_RMID, std::ptr::null_mut()),
                libc::semctl(libc::semget(key, 0, 0), 0, libc::IPC_RMID),
                libc::msgctl(libc::msgget(key, 0), libc::IPC_RMID, std::ptr::null_mut()),
            ]
        }
    };
    let ok = all.iter().all(|result| *result >= 0);
    println!("{}", if ok { "made" } else { "failed" });
    if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs one attempt in a child, so that a deadly answer of the kernel ends only that.
fn apart(attempt: impl FnOnce() -> Seen) -> String {
    let mut ends = [0; 2];
    // SAFETY: this process has one thread; the child only runs the attempt and ends with _exit.
    unsafe {
        if libc::pipe(ends.as_mut_ptr()) != 0 {
            return format!("broken: {}", io::Error::last_os_error());
        }
        let child = libc::fork();
        if child < 0 {
            return format!("broken: {}", io::Error::last_os_error());
        }
        if child == 0 {
            libc::close(ends[0]);
            libc::alarm(SECONDS_MAX);
            let words = match attempt() {
                Ok(detail) => format!("breach: {detail}"),
                Err(detail) if detail.starts_with("absent: ") => detail,
                Err(detail) => format!("held: {detail}"),
            };
            let _ = std::fs::File::from_raw_fd(ends[1]).write_all(words.replace('\n', " ").as_bytes());
            libc::_exit(0);
        }
        libc::close(ends[1]);
        let mut words = String::new();
        let _ = std::fs::File::from_raw_fd(ends[0]).read_to_string(&mut words);
        let mut status = 0;
        libc::waitpid(child, &raw mut status, 0);
        match (words.is_empty(), libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status))) {
            (false, _) => words,
            // The filter of system calls ends a process that speaks another machine's language.
            (true, Some(libc::SIGSYS)) => "held: ended by SIGSYS".to_owned(),
            (true, Some(libc::SIGSEGV)) => "absent: ended by SIGSEGV".to_owned(),
            (true, signal) => format!("broken: no answer, signal {signal:?}"),
        }
    }
}

/// One raw system call.
fn call(number: libc::c_long, args: [usize; 6]) -> io::Result<i64> {
    let [a, b, c, d, e, f] = args;
    // SAFETY: arguments are numbers, null, or pointers to memory that lives until the call returns.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// The call must not even look at its arguments: any answer but a refusal means that it did.
fn reaches(number: libc::c_long, args: &[usize]) -> Seen {
    let mut all = [0; 6];
    all.iter_mut().zip(args).for_each(|(to, from)| *to = *from);
    match call(number, all) {
        Ok(n) => Ok(format!("returned {n}")),
        Err(e) => match e.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => Err(e.to_string()),
            // What the filter answers for calls that it hides, and a kernel for those it lacks.
            Some(libc::ENOSYS) => Err(format!("absent: {e}")),
            _ => Ok(format!("was looked at: {e}")),
        },
    }
}

/// The call must not succeed.
fn succeeds(number: libc::c_long, args: &[usize]) -> Seen {
    let mut all = [0; 6];
    all.iter_mut().zip(args).for_each(|(to, from)| *to = *from);
    match call(number, all) {
        Ok(n) => Ok(format!("returned {n}")),
        Err(e) => match e.raw_os_error() {
            Some(libc::ENOSYS | libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT | libc::ESOCKTNOSUPPORT | libc::ENODEV) => {
                Err(format!("absent: {e}"))
            }
            _ => Err(e.to_string()),
        },
    }
}

/// Turns an ordinary result into what was seen.
fn seen<T>(result: io::Result<T>, got: impl FnOnce(T) -> String) -> Seen {
    match result {
        Ok(value) => Ok(got(value)),
        Err(e) => Err(e.to_string()),
    }
}
