//! How an instance ended: from what was done to it, its wait status and the kernel's counters to
//! the one word and the one line that people read.

use std::time::Duration;

use base::Bytes;
use ports::ExitKind;

use super::disk::UNMEASURABLE;

/// What the keeper did to end an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cause {
    /// Asked to stop; whether it had to be killed.
    Stop { killed: bool },
    /// Its deadline passed.
    Deadline(Duration),
    /// It wrote so many bytes.
    Disk { used: u64 },
    /// Its log could not be written.
    Log(String),
}

/// Everything that is known at the end.
pub(super) struct Facts {
    pub(super) cause: Option<Cause>,
    /// Raw wait status of the program; `None` if it vanished together with init.
    pub(super) status: Option<i32>,
    /// Processes that the kernel ended for lack of memory.
    pub(super) oom_kills: u64,
    pub(super) memory_max: Bytes,
    pub(super) disk_max: Bytes,
    /// Bytes in temporary files, which count as memory.
    pub(super) scratch: u64,
    /// How long it ran.
    pub(super) ran: Duration,
}

/// The verdict and its evidence.
pub(super) fn verdict(facts: &Facts) -> (ExitKind, String) {
    let ran = seconds(facts.ran);
    let how = match facts.status {
        Some(raw) if libc::WIFEXITED(raw) => format!("exit status {}", libc::WEXITSTATUS(raw)),
        Some(raw) => format!("signal {}", signal_name(libc::WTERMSIG(raw))),
        None => "signal SIGKILL".to_owned(),
    };
    let signal = facts.status.map_or(Some(libc::SIGKILL), |raw| libc::WIFSIGNALED(raw).then(|| libc::WTERMSIG(raw)));
    let failed = facts.status != Some(0);
    match &facts.cause {
        Some(Cause::Deadline(after)) => {
            (ExitKind::Deadline, format!("ended by force: it ran longer than its deadline of {}", seconds(*after)))
        }
        Some(Cause::Disk { used }) => (ExitKind::Disk, over_disk(*used, facts.disk_max)),
        Some(Cause::Log(why)) => (ExitKind::Lost, format!("ended by force: its output could not be kept: {why}")),
        Some(Cause::Stop { killed: true }) => (
            ExitKind::Stopped { killed: true },
            format!("did not end after SIGTERM within its grace and was killed after {ran}"),
        ),
        Some(Cause::Stop { killed: false }) => {
            (ExitKind::Stopped { killed: false }, format!("ended with {how} when told to stop, after {ran}"))
        }
        None if facts.oom_kills > 0 && failed => (ExitKind::Memory, over_memory(facts, &how, &ran)),
        None if signal == Some(libc::SIGXFSZ) => (
            ExitKind::Disk,
            format!("wrote a file beyond its disk limit of {} (signal SIGXFSZ) after {ran}", facts.disk_max),
        ),
        None => match signal {
            Some(signal) => (ExitKind::Signal { signal }, format!("ended by {how} after {ran}")),
            None => {
                let status = facts.status.map_or(0, |raw| libc::WEXITSTATUS(raw));
                (ExitKind::Status { status }, format!("ended with {how} after {ran}"))
            }
        },
    }
}

fn over_disk(used: u64, limit: Bytes) -> String {
    if used == UNMEASURABLE {
        return format!(
            "ended by force: its folders are deeper, or its open files more, than can be measured against its disk limit of {limit}"
        );
    }
    format!("ended by force: it wrote {used} bytes, its disk limit is {limit}")
}

fn over_memory(facts: &Facts, how: &str, ran: &str) -> String {
    let (limit, kills) = (facts.memory_max, facts.oom_kills);
    let files = match facts.scratch {
        0 => String::new(),
        bytes => format!("; {bytes} bytes of it were files in /tmp, the home directory and /dev/shm"),
    };
    format!(
        "ran out of memory: the kernel ended {kills} of its processes at its limit of {limit}, it ended with {how} after {ran}{files}"
    )
}

/// `0.3 s`, `12 s`.
pub(super) fn seconds(span: Duration) -> String {
    if span < Duration::from_secs(100) {
        format!("{:.1} s", span.as_secs_f64())
    } else {
        format!("{} s", span.as_secs())
    }
}

fn signal_name(signal: i32) -> String {
    let name = match signal {
        libc::SIGHUP => "SIGHUP",
        libc::SIGINT => "SIGINT",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGILL => "SIGILL",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGKILL => "SIGKILL",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGTERM => "SIGTERM",
        libc::SIGSYS => "SIGSYS",
        libc::SIGXFSZ => "SIGXFSZ",
        other => return other.to_string(),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(cause: Option<Cause>, status: Option<i32>, oom_kills: u64, expect: ExitKind, says: &str) {
        let facts = Facts {
            cause,
            status,
            oom_kills,
            memory_max: Bytes(1 << 26),
            disk_max: Bytes(1 << 20),
            scratch: 0,
            ran: Duration::from_millis(1500),
        };
        let (kind, evidence) = verdict(&facts);
        assert_eq!(kind, expect, "{evidence}");
        assert!(evidence.contains(says), "{evidence}");
        assert!(!evidence.contains('\n'));
    }

    #[test]
    fn every_end_has_its_word() {
        let exit = |n: i32| Some(n << 8);
        check(None, exit(0), 0, ExitKind::Status { status: 0 }, "exit status 0 after 1.5 s");
        check(None, exit(3), 0, ExitKind::Status { status: 3 }, "exit status 3");
        check(None, Some(11), 0, ExitKind::Signal { signal: 11 }, "SIGSEGV");
        check(None, Some(9), 1, ExitKind::Memory, "limit of 64Mi");
        check(None, None, 2, ExitKind::Memory, "ended 2 of its processes");
        check(None, exit(137), 1, ExitKind::Memory, "exit status 137");
        check(None, exit(0), 1, ExitKind::Status { status: 0 }, "exit status 0");
        check(None, None, 0, ExitKind::Signal { signal: 9 }, "SIGKILL");
        check(None, Some(libc::SIGXFSZ), 0, ExitKind::Disk, "1Mi");
        check(Some(Cause::Disk { used: 5 }), Some(9), 0, ExitKind::Disk, "wrote 5 bytes");
        check(Some(Cause::Deadline(Duration::from_secs(2))), None, 0, ExitKind::Deadline, "2.0 s");
        check(Some(Cause::Stop { killed: false }), exit(0), 0, ExitKind::Stopped { killed: false }, "told to stop");
        check(Some(Cause::Stop { killed: true }), Some(9), 0, ExitKind::Stopped { killed: true }, "was killed");
    }
}
