//! The keeper's end of an instance's own network: sockets that were made inside, connections to the
//! instance's port for whoever may have them, and what listens inside for its connections outward.

use std::collections::VecDeque;
use std::fs::Permissions;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::{SendFlags, SocketFlags};

use super::outward::Outward;
use crate::files;
use crate::launch::Plan;
use crate::net::Inside;
use crate::sandbox::{self, Message, Running};

/// When so few sockets are left, init is asked for more.
const FEW: usize = 8;
/// Askers and connections served in one turn of the keeper's loop.
const TURN: usize = 64;
/// What is sent with the descriptor of a connection.
const GIVEN: &[u8] = b"C";

pub(super) struct Network {
    port: Option<u16>,
    /// Whoever connects here gets a connection to the port.
    askers: UnixListener,
    /// Sockets of the instance's network that nobody has used.
    stock: VecDeque<OwnedFd>,
    /// Whether init was asked for more.
    asked: bool,
    inside: Inside,
    /// What listens inside, in the order of `inside.doors`.
    listeners: Vec<OwnedFd>,
    outward: Outward,
}

impl Network {
    /// Listens for askers. What is inside comes from init.
    pub(super) fn open(plan: &Plan, outward: Outward) -> io::Result<Self> {
        let _ = std::fs::remove_file(files::CONNECT);
        let askers = UnixListener::bind(files::CONNECT)?;
        std::fs::set_permissions(files::CONNECT, Permissions::from_mode(0o600))?;
        askers.set_nonblocking(true)?;
        Ok(Self {
            port: plan.port,
            askers,
            stock: VecDeque::new(),
            asked: false,
            inside: Inside::of(&plan.network),
            listeners: Vec::new(),
            outward,
        })
    }

    /// What listens inside, in the order of [`Inside::doors`].
    pub(super) fn take_doors(&mut self, doors: Vec<OwnedFd>) {
        self.listeners.extend(doors);
    }

    /// What init made. Where that was nothing it is asked again for the next probe.
    pub(super) fn take_sockets(&mut self, sockets: Vec<OwnedFd>) {
        self.asked = false;
        self.stock.extend(sockets);
    }

    /// An unused socket of the instance's network.
    pub(super) fn socket(&mut self, control: &OwnedFd) -> io::Result<OwnedFd> {
        let socket = self.stock.pop_front();
        if self.stock.len() < FEW && !self.asked {
            self.asked = true;
            Message::More.send(control)?;
        }
        socket.ok_or_else(|| io::Error::new(io::ErrorKind::WouldBlock, "no socket from inside is left"))
    }

    /// What to watch: the askers while there is something to give, then the doors while there is
    /// room for a connection.
    pub(super) fn watched(&self) -> impl Iterator<Item = PollFd<'_>> {
        let when = |on: bool| if on { PollFlags::IN } else { PollFlags::empty() };
        let askers = PollFd::from_borrowed_fd(self.askers.as_fd(), when(!self.stock.is_empty()));
        let news = PollFd::from_borrowed_fd(self.outward.news(), PollFlags::IN);
        let room = self.outward.has_room();
        let doors = self.listeners.iter().map(move |door| PollFd::from_borrowed_fd(door.as_fd(), when(room)));
        [askers, news].into_iter().chain(doors)
    }

    /// When the doors must be looked at again without any event.
    pub(super) fn wakes_at(&self) -> Option<Instant> {
        self.outward.rests_until()
    }

    /// Serves askers and doors; `ready` are the answers to [`Network::watched`]. Returns what there
    /// is to say about connections that could not be made.
    pub(super) fn serve(&mut self, ready: &[bool], running: &Running) -> Vec<String> {
        if ready.first().copied().unwrap_or(false) {
            self.give(&running.control);
        }
        for at in 0..self.listeners.len() {
            if ready.get(at.saturating_add(2)).copied().unwrap_or(false) {
                self.accept(at, &running.lend);
            }
        }
        if ready.get(1).copied().unwrap_or(false) { self.outward.told() } else { Vec::new() }
    }

    /// Gives each asker a connection that was begun inside.
    fn give(&mut self, control: &OwnedFd) {
        for _ in 0..TURN {
            if self.stock.is_empty() {
                return;
            }
            let Ok((asker, _)) = self.askers.accept() else { return };
            let Some(port) = self.port else { continue };
            let Ok(socket) = self.socket(control) else { return };
            match rustix::net::connect(&socket, &sandbox::own_port(port)) {
                // The rest is seen by the asker.
                Ok(()) | Err(Errno::INPROGRESS) => {
                    let _ = sandbox::send_with(&asker, GIVEN, &[socket.as_fd()], SendFlags::DONTWAIT);
                }
                Err(_) => {}
            }
        }
    }

    fn accept(&mut self, at: usize, lend: &OwnedFd) {
        let (Some(listener), Some(door)) = (self.listeners.get(at), self.inside.doors.get(at)) else { return };
        for _ in 0..TURN {
            if !self.outward.has_room() {
                return;
            }
            match rustix::net::accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
                Ok(connection) => {
                    let _ = rustix::net::sockopt::set_tcp_nodelay(&connection, true);
                    self.outward.connect(&door.to, connection, lend);
                }
                Err(Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }
}

/// As [`Network::socket`], on a host where instances share its network.
pub(super) fn host_socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let family = rustix::net::AddressFamily::INET;
    Ok(rustix::net::socket_with(family, rustix::net::SocketType::STREAM, flags, None)?)
}

/// Whether an address may be what a *name* stands for: a name server's answer must not lead to the
/// platform itself, to its neighbours on this machine, or to what gives a cloud's machines their keys.
pub(super) fn may_be_named(address: &SocketAddr) -> bool {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
    /// Instance metadata of clouds, beside link-local addresses.
    const METADATA_V4: [Ipv4Addr; 2] = [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192)];
    const METADATA_V6: [Ipv6Addr; 2] =
        [Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)];
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => {
            let here = ip.is_loopback() || ip.octets()[0] == 0 || ip.is_link_local();
            !(here || ip.is_multicast() || ip.is_broadcast() || METADATA_V4.contains(&ip))
        }
        IpAddr::V6(ip) => {
            let here = ip.is_loopback() || ip.is_unspecified() || ip.is_unicast_link_local();
            !(here || ip.is_multicast() || METADATA_V6.contains(&ip))
        }
    }
}
