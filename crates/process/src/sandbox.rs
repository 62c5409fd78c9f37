//! Raises the walls around one instance and starts its program inside. Runs in the keeper, which
//! has a single thread: namespaces and `fork` do not mix with threads.
//!
//! Two processes come from here. *Init* is the first process of the instance's pid namespace: it
//! builds the file system, starts the program, reaps orphans, passes signals on, and takes the
//! whole namespace with it when it ends. The *program* is its child, behind all walls.

mod etc;
mod init;
mod landlock;
mod network;
mod program;
mod relay;
mod root;
mod seccomp;

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType,
};
use rustix::pipe::PipeFlags;

use crate::launch::Plan;
use crate::sys;

pub(crate) use landlock::version as landlock_version;
pub(crate) use network::own_port;
pub(crate) use relay::reset;

/// User and group as which an instance sees itself.
pub(crate) const INSIDE_ID: u32 = 1000;

/// What init tells the keeper and the keeper tells init, one datagram each.
#[derive(Debug)]
pub(crate) enum Message {
    /// Keeper to init: identity and cgroup are in place, go on.
    Go,
    /// Keeper to init: send this signal to the program.
    Signal(i32),
    /// Keeper to init: make more sockets of the instance's network.
    More,
    /// Keeper to init: carry bytes between these two connections.
    Relay([OwnedFd; 2]),
    /// Init to keeper: the next listening sockets of [`crate::net::Inside::doors`].
    Doors(Vec<OwnedFd>),
    /// Init to keeper: sockets of the instance's network, as far as there are any to be had.
    Sockets(Vec<OwnedFd>),
    /// Init to keeper: the program runs.
    Running,
    /// Init to keeper: it could not be started, because of this.
    Failed(String),
    /// Init to keeper: so many bytes are in its temporary files.
    Scratch(u64),
    /// Init to keeper: the program ended with this raw wait status.
    Ended(i32),
}

const MESSAGE_BYTES_MAX: usize = 4096;
/// Most descriptors of one message.
const DESCRIPTORS_MAX: usize = 64;

impl Message {
    pub(crate) fn send(&self, to: impl AsFd) -> io::Result<()> {
        let (tag, body): (u8, Vec<u8>) = match self {
            Self::Go => (b'G', vec![]),
            Self::Signal(n) => (b'T', n.to_le_bytes().to_vec()),
            Self::More => (b'M', vec![]),
            Self::Relay(_) => (b'C', vec![]),
            Self::Doors(_) => (b'L', vec![]),
            Self::Sockets(_) => (b'S', vec![]),
            Self::Running => (b'R', vec![]),
            Self::Failed(why) => (b'F', why.bytes().take(MESSAGE_BYTES_MAX - 1).collect()),
            Self::Scratch(n) => (b'D', n.to_le_bytes().to_vec()),
            Self::Ended(n) => (b'X', n.to_le_bytes().to_vec()),
        };
        let mut bytes = vec![tag];
        bytes.extend(body);
        send_with(to, &bytes, &self.descriptors(), SendFlags::empty())?;
        Ok(())
    }

    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        match self {
            Self::Relay(ends) => ends.iter().map(AsFd::as_fd).collect(),
            Self::Doors(all) | Self::Sockets(all) => all.iter().map(AsFd::as_fd).collect(),
            _ => Vec::new(),
        }
    }

    /// Takes the next message; `None` when the other side is gone.
    pub(crate) fn receive(from: impl AsFd) -> io::Result<Option<Self>> {
        let mut buffer = [0u8; MESSAGE_BYTES_MAX];
        let (n, descriptors) = receive_with(from, &mut buffer)?;
        let Some((tag, body)) = buffer.get(..n).and_then(|b| b.split_first()) else { return Ok(None) };
        let number = || body.try_into().map(i32::from_le_bytes).map_err(|_| io::Error::other("short message"));
        Ok(Some(match tag {
            b'G' => Self::Go,
            b'R' => Self::Running,
            b'M' => Self::More,
            b'C' => Self::Relay(descriptors.try_into().map_err(|_| io::Error::other("a pair without two ends"))?),
            b'L' => Self::Doors(descriptors),
            b'S' => Self::Sockets(descriptors),
            b'T' => Self::Signal(number()?),
            b'X' => Self::Ended(number()?),
            b'D' => Self::Scratch(u64::from_le_bytes(body.try_into().map_err(|_| io::Error::other("short message"))?)),
            _ => Self::Failed(String::from_utf8_lossy(body).into_owned()),
        }))
    }
}

/// Sends bytes with descriptors beside the first of them (`SCM_RIGHTS`, unix(7)).
pub(crate) fn send_with(
    to: impl AsFd,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
    flags: SendFlags,
) -> rustix::io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    rustix::net::sendmsg(to, &[IoSlice::new(bytes)], &mut control, flags | SendFlags::NOSIGNAL)
}

fn receive_with(from: impl AsFd, bytes: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let got = rustix::net::recvmsg(from, &mut [IoSliceMut::new(bytes)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(some) = message {
            descriptors.extend(some);
        }
    }
    Ok((got.bytes, descriptors))
}

/// A started sandbox, from the keeper's side.
pub(crate) struct Running {
    /// Pid of init in the keeper's pid namespace. It is the keeper's child, so the number stays its
    /// own until the keeper has reaped it.
    pub(crate) init: i32,
    /// [`Message`]s to and from init.
    pub(crate) control: OwnedFd,
    /// [`Message::Relay`]s to init. They may have to wait for it, which the others must not.
    pub(crate) lend: OwnedFd,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
}

/// Starts init. `place` puts the new process into its cgroups before it does anything.
pub(crate) fn start(plan: &Plan, place: impl FnOnce(i32) -> Result<(), String>) -> Result<Running, String> {
    let said = |what: &'static str| move |e: rustix::io::Errno| format!("{what}: {e}");
    let pair = || {
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map_err(said("make a socket pair"))
    };
    let ((control, theirs), (lend, lent)) = (pair()?, pair()?);
    let (stdout, out) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(said("make a pipe"))?;
    let (stderr, err) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(said("make a pipe"))?;
    for pipe in [&out, &err] {
        // So that the program may open /dev/stdout again under its own user.
        if let Some(uid) = plan.uid {
            let (uid, gid) = (rustix::fs::Uid::from_raw(uid), rustix::fs::Gid::from_raw(uid));
            rustix::fs::fchown(pipe, Some(uid), Some(gid)).map_err(said("give the pipe to the instance"))?;
        }
    }
    let Some(init) = sys::clone_process(namespaces(plan)).map_err(|e| format!("make new namespaces: {e}"))? else {
        let keep = [theirs.as_raw_fd(), lent.as_raw_fd(), out.as_raw_fd(), err.as_raw_fd()];
        if sys::close_all_but(&keep).and_then(|()| detach_standard_streams()).is_ok() {
            init::run(plan, [theirs, lent], out, err);
        }
        sys::exit_now(1)
    };
    let running = Running { init, control, lend, stdout, stderr };
    let ready = map_ids(plan, init)
        .and_then(|()| place(init))
        .and_then(|()| Message::Go.send(&running.control).map_err(|e| format!("start init: {e}")));
    if let Err(why) = ready {
        end(init);
        return Err(why);
    }
    Ok(running)
}

/// The keeper's standard output leads to the engine, which waits for its end.
fn detach_standard_streams() -> io::Result<()> {
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    sys::become_fd(null.as_fd(), 0)?;
    sys::become_fd(null.as_fd(), 1)
}

/// Kills init, and with it everything in its pid namespace, and reaps it.
pub(crate) fn end(init: i32) {
    let _ = sys::kill(init, libc::SIGKILL);
    for _ in 0..500 {
        if sys::try_wait(init).1 != sys::Waited::Running {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

fn namespaces(plan: &Plan) -> i32 {
    let mut flags = libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_NEWPID;
    for (on, flag) in [
        (plan.walls.ipc, libc::CLONE_NEWIPC),
        (plan.walls.uts, libc::CLONE_NEWUTS),
        (plan.has_own_network(), libc::CLONE_NEWNET),
    ] {
        if on {
            flags |= flag;
        }
    }
    flags
}

/// Gives the new user namespace its one user and one group (user_namespaces(7)).
fn map_ids(plan: &Plan, init: i32) -> Result<(), String> {
    let write = |file: &str, text: &str| {
        std::fs::write(format!("/proc/{init}/{file}"), text).map_err(|e| format!("write {file} of the namespace: {e}"))
    };
    let (uid, gid) = match plan.uid {
        Some(uid) => (uid, uid),
        None => {
            write("setgroups", "deny")?;
            (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
        }
    };
    write("uid_map", &format!("{INSIDE_ID} {uid} 1\n"))?;
    write("gid_map", &format!("{INSIDE_ID} {gid} 1\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_cross_the_socket_unchanged() {
        let (a, b) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        for message in [
            Message::Go,
            Message::Running,
            Message::Signal(15),
            Message::Ended(-1),
            Message::Scratch(u64::MAX),
            Message::Failed("no such program".into()),
            Message::More,
            Message::Doors(Vec::new()),
        ] {
            message.send(&a).unwrap();
            assert_eq!(format!("{:?}", Message::receive(&b).unwrap()), format!("{:?}", Some(message)));
        }
        let null = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        Message::Sockets((0..DESCRIPTORS_MAX).map(|_| null()).collect()).send(&a).unwrap();
        assert!(matches!(Message::receive(&b).unwrap(), Some(Message::Sockets(all)) if all.len() == DESCRIPTORS_MAX));
        Message::Relay([null(), null()]).send(&a).unwrap();
        assert!(matches!(Message::receive(&b).unwrap(), Some(Message::Relay(_))));
        drop(a);
        assert!(Message::receive(&b).unwrap().is_none());
    }
}
