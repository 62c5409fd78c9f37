//! Puts an instance's own network into order, from inside: loopback up, the addresses of declared
//! hosts, a listening socket for each of them. Nothing else is ever in it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use super::{DESCRIPTORS_MAX, Message};
use crate::net::Inside;

/// Connections that wait to be accepted at one door.
const BACKLOG: i32 = 1024;
/// How many sockets init makes when it is asked.
const BATCH: usize = 16;

/// Loopback is the first interface of every network namespace.
const LOOPBACK: u32 = 1;

// rtnetlink(7), netlink(7): what the few requests here are made of.
const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_REPLACE: u16 = 0x100;
const NLM_F_CREATE: u16 = 0x400;
const IFF_UP: u32 = 0x1;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_F_NODAD: u8 = 0x02;

/// Makes everything and gives it to the keeper: the doors in their order, and a first stock of sockets.
pub(super) fn furnish(inside: &Inside, control: &OwnedFd) -> Result<(), String> {
    // Without a number the family's first protocol is meant, NETLINK_ROUTE.
    let route = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)
        .map_err(|e| format!("open the network's configuration: {e}"))?;
    request(&route, RTM_NEWLINK, 0, &link_up()).map_err(|e| format!("switch loopback on: {e}"))?;
    for ip in inside.addresses() {
        let create = NLM_F_CREATE | NLM_F_REPLACE;
        request(&route, RTM_NEWADDR, create, &address(ip)).map_err(|e| format!("make the address {ip} inside: {e}"))?;
    }
    let doors = inside.doors.iter().map(|door| listen(door.at)).collect::<Result<Vec<_>, _>>()?;
    let mut doors = doors.into_iter().peekable();
    while doors.peek().is_some() {
        let some: Vec<OwnedFd> = doors.by_ref().take(DESCRIPTORS_MAX).collect();
        Message::Doors(some).send(control).map_err(|e| format!("give the doors to the keeper: {e}"))?;
    }
    Message::Sockets(sockets()).send(control).map_err(|e| format!("give sockets to the keeper: {e}"))
}

/// Sockets that belong to this network; fewer, or none, where the kernel has no room.
pub(super) fn sockets() -> Vec<OwnedFd> {
    let one = |_| {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).ok()
    };
    (0..BATCH).map_while(one).collect()
}

fn listen(at: SocketAddr) -> Result<OwnedFd, String> {
    let said = |e: rustix::io::Errno| format!("listen on {at} inside: {e}");
    let family = if at.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None).map_err(said)?;
    rustix::net::bind(&socket, &at).map_err(said)?;
    rustix::net::listen(&socket, BACKLOG).map_err(said)?;
    Ok(socket)
}

/// `struct ifinfomsg`: interface 1, up.
fn link_up() -> Vec<u8> {
    let mut body = vec![0u8; 4];
    body.extend(LOOPBACK.to_ne_bytes());
    body.extend(IFF_UP.to_ne_bytes());
    body.extend(IFF_UP.to_ne_bytes());
    body
}

/// `struct ifaddrmsg` and the address, which is the only one of its subnet.
fn address(ip: IpAddr) -> Vec<u8> {
    let (family, bits, octets) = match ip {
        IpAddr::V4(v4) => (libc::AF_INET, 32, v4.octets().to_vec()),
        IpAddr::V6(v6) => (libc::AF_INET6, 128, v6.octets().to_vec()),
    };
    let scope = if ip.is_loopback() { libc::RT_SCOPE_HOST } else { libc::RT_SCOPE_UNIVERSE };
    let mut body = vec![u8::try_from(family).unwrap_or(0), bits, IFA_F_NODAD, scope];
    body.extend(LOOPBACK.to_ne_bytes());
    for kind in [IFA_LOCAL, IFA_ADDRESS] {
        let length = u16::try_from(octets.len().saturating_add(4)).unwrap_or(u16::MAX);
        body.extend(length.to_ne_bytes());
        body.extend(kind.to_ne_bytes());
        body.extend(&octets);
    }
    body
}

/// Sends one request and takes its acknowledgement.
fn request(route: &OwnedFd, kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
    const HEAD: usize = 16;
    let length = u32::try_from(body.len().saturating_add(HEAD)).map_err(io::Error::other)?;
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend((flags | NLM_F_REQUEST | NLM_F_ACK).to_ne_bytes());
    // Sequence and port number: one request at a time needs neither.
    message.extend([0; 8]);
    message.extend(body);
    rustix::net::send(route, &message, SendFlags::empty())?;
    let mut answer = [0u8; 1024];
    let (_, got) = rustix::net::recv(route, &mut answer, RecvFlags::empty())?;
    let field = |from: usize, len: usize| answer.get(from..from.saturating_add(len)).filter(|_| got >= from + len);
    let kind = field(4, 2).and_then(|b| b.try_into().ok()).map(u16::from_ne_bytes);
    let error = field(HEAD, 4).and_then(|b| b.try_into().ok()).map(i32::from_ne_bytes);
    match (kind, error) {
        (Some(NLMSG_ERROR), Some(0)) => Ok(()),
        (Some(NLMSG_ERROR), Some(negative)) => Err(io::Error::from_raw_os_error(negative.saturating_neg())),
        _ => Err(io::Error::other("the kernel's answer cannot be read")),
    }
}

/// Where the program's port is, in its own network.
pub(crate) const fn own_port(port: u16) -> std::net::SocketAddrV4 {
    std::net::SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)
}
