//! The first process of an instance's pid namespace.

use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pipe::PipeFlags;

use super::relay::Relay;
use super::{INSIDE_ID, Message, network, program, root};
use crate::launch::Plan;
use crate::net::Inside;
use crate::sys;

/// How often the temporary files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Builds the sandbox, starts the program and stays until it has ended. Never returns; its end is
/// the end of everything in the namespace.
pub(super) fn run(plan: &Plan, [control, lent]: [OwnedFd; 2], out: OwnedFd, err: OwnedFd) -> ! {
    if !matches!(Message::receive(&control), Ok(Some(Message::Go))) {
        sys::exit_now(1);
    }
    let started = prepare(plan, &control).and_then(|built| {
        let relay = Relay::new().map_err(|e| format!("make the relay: {e}"))?;
        start(plan, out, err).map(|(child, signals)| (child, signals, built, relay))
    });
    match started {
        Ok((child, signals, built, relay)) => {
            let _ = Message::Running.send(&control);
            supervise(child, [&control, &lent], &signals, built.scratch.as_ref(), relay);
        }
        Err(why) => {
            let _ = Message::Failed(why).send(&control);
        }
    }
    sys::exit_now(0)
}

/// Everything that needs the rights which init has over its own namespaces.
fn prepare(plan: &Plan, control: &OwnedFd) -> Result<root::Built, String> {
    let said = |what: &'static str| move |e: std::io::Error| format!("{what}: {e}");
    die_with_keeper()?;
    // This is a copy of the keeper, and the instance sees it as process 1: where the platform keeps
    // its data is none of the instance's business.
    sys::wipe_arguments().map_err(said("wipe the keeper's arguments"))?;
    let sources = root::open(plan)?;
    if plan.walls.uts {
        rustix::system::sethostname(plan.hostname.as_bytes()).map_err(|e| format!("set the host name: {e}"))?;
    }
    if plan.walls.cgroup {
        sys::new_cgroup_namespace().map_err(said("make a cgroup namespace"))?;
    }
    sys::prctl(libc::PR_SET_KEEPCAPS, 1).map_err(said("keep capabilities"))?;
    sys::become_user(INSIDE_ID, INSIDE_ID, plan.uid.is_some()).map_err(said("become the instance's user"))?;
    sys::set_capabilities(sys::Capabilities::AllPermitted).map_err(said("raise capabilities"))?;
    die_with_keeper()?;
    if plan.has_own_network() {
        network::furnish(&Inside::of(&plan.network), control)?;
    }
    root::build(plan, sources)
}

/// The kernel forgets this wish when a process changes its user, so it is made twice.
fn die_with_keeper() -> Result<(), String> {
    sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64).map_err(|e| format!("ask to die with the keeper: {e}"))
}

/// Forks the program; an empty answer through a close-on-exec pipe says that it runs.
fn start(plan: &Plan, out: OwnedFd, err: OwnedFd) -> Result<(i32, OwnedFd), String> {
    let signals = sys::signal_fd(&[libc::SIGCHLD]).map_err(|e| format!("watch for ended processes: {e}"))?;
    let (answer, question) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(|e| format!("make a pipe: {e}"))?;
    let child = sys::clone_process(0).map_err(|e| format!("fork: {e}"))?;
    let Some(child) = child else {
        drop(answer);
        let why = program::enter(plan, &out, &err);
        let _ = rustix::io::write(&question, why.as_bytes());
        sys::exit_now(127)
    };
    drop((question, out, err));
    sys::prctl(libc::PR_SET_DUMPABLE, 0).map_err(|e| format!("close init to tracing: {e}"))?;
    sys::set_capabilities(sys::Capabilities::None).map_err(|e| format!("drop capabilities: {e}"))?;
    die_with_keeper()?;
    let mut why = String::new();
    std::fs::File::from(answer).read_to_string(&mut why).map_err(|e| format!("wait for the program: {e}"))?;
    if why.is_empty() { Ok((child, signals)) } else { Err(why) }
}

/// Reaps, passes signals on, carries bytes, tells how full the temporary files are; until the
/// program ends or the keeper is gone.
fn supervise(
    child: i32,
    [control, lent]: [&OwnedFd; 2],
    signals: &OwnedFd,
    scratch: Option<&OwnedFd>,
    mut relay: Relay,
) {
    let mut told = 0;
    let mut looked = Instant::now();
    loop {
        let fds = [control, lent, signals, relay.readiness()];
        let [heard, lends, signalled, carries] = wait(fds, relay.has_more(), scratch);
        if heard {
            match Message::receive(control) {
                Ok(Some(Message::Signal(signal))) => drop(sys::kill(child, signal)),
                Ok(Some(Message::More)) => drop(Message::Sockets(network::sockets()).send(control)),
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return,
            }
        }
        if lends && let Ok(Some(Message::Relay(ends))) = Message::receive(lent) {
            relay.add(ends);
        }
        if carries || relay.has_more() {
            relay.turn();
        }
        if looked.elapsed() >= LOOK_EVERY {
            looked = Instant::now();
            tell_scratch(control, scratch, &mut told);
        }
        if !signalled {
            continue;
        }
        while sys::next_signal(signals.as_fd()).is_some() {}
        loop {
            match sys::try_wait(-1) {
                (pid, sys::Waited::Ended(status)) if pid == child => {
                    tell_scratch(control, scratch, &mut told);
                    let _ = Message::Ended(status).send(control);
                    return;
                }
                (_, sys::Waited::Ended(_)) => {}
                _ => break,
            }
        }
    }
}

/// Which of these have something, at the latest when the temporary files are looked at again; at
/// once where there is more to carry.
fn wait(fds: [&OwnedFd; 4], is_busy: bool, scratch: Option<&OwnedFd>) -> [bool; 4] {
    let mut fds = fds.map(|fd| PollFd::new(fd, PollFlags::IN));
    let second = Timespec { tv_sec: 1, tv_nsec: 0 };
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let _ = poll(&mut fds, if is_busy { Some(&now) } else { scratch.is_some().then_some(&second) });
    fds.map(|fd| !fd.revents().is_empty())
}

fn tell_scratch(control: &OwnedFd, scratch: Option<&OwnedFd>, told: &mut u64) {
    let Some(stat) = scratch.and_then(|fd| rustix::fs::fstatvfs(fd).ok()) else { return };
    let used = stat.f_blocks.saturating_sub(stat.f_bfree).saturating_mul(stat.f_frsize);
    if used != *told {
        *told = used;
        let _ = Message::Scratch(used).send(control);
    }
}
