//! Ports, hosts and kinds of sockets that were not declared.

use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use super::{Attempt, Seen, Targets, call, seen, succeeds};

const INET: usize = libc::AF_INET as usize;
const STREAM: usize = libc::SOCK_STREAM as usize;
const RAW: usize = libc::SOCK_RAW as usize;
/// How long somebody outside may take to come in.
const WAIT: Duration = Duration::from_secs(2);

pub(super) const ATTEMPTS: &[Attempt] = &[
    ("connect-control-plane", |t| connects(t, "control-plane")),
    ("connect-neighbour", |t| connects(t, "neighbour-address")),
    ("connect-undeclared-port", |t| connects(t, "undeclared")),
    ("connect-undeclared-host", |t| connects(t, "elsewhere")),
    ("connect-over-ipv6", |t| connects(t, "undeclared-v6")),
    ("metadata-route", |_| {
        // Connecting a socket for datagrams looks for a way and sends nothing.
        let socket = UdpSocket::bind(("0.0.0.0", 0)).and_then(|s| s.connect(("169.254.169.254", 80)));
        seen(socket, |()| "there is a way to the metadata address".to_owned())
    }),
    ("udp-to-host", |t| {
        let sent = UdpSocket::bind(("127.0.0.1", 0)).and_then(|s| s.send_to(b"escape", t.get("udp")));
        seen(sent, |n| format!("sent {n} bytes"))
    }),
    ("listen-elsewhere", |t| {
        let listener = TcpListener::bind(t.get("free")).map_err(|e| e.to_string())?;
        visited(&listener)
    }),
    ("listen-unbound", |t| {
        // The kernel chooses a port for a socket that listens without one.
        // SAFETY: only numbers are passed.
        let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0) };
        let listening = fd >= 0 && unsafe { libc::listen(fd, 1) } == 0;
        let own = std::fs::read_link("/proc/self/ns/net").map(|p| p.to_string_lossy().into_owned()).unwrap_or_default();
        match (listening, own == t.get("network-namespace")) {
            (true, true) => Ok("listens on a port of the host".to_owned()),
            (true, false) => Err("listens where nobody of the host comes".to_owned()),
            (false, _) => Err(std::io::Error::last_os_error().to_string()),
        }
    }),
    ("host-network-namespace", |t| {
        let own = std::fs::read_link("/proc/self/ns/net").map_err(|e| e.to_string())?;
        if own.to_string_lossy() == t.get("network-namespace") {
            Ok(format!("is in the host's {}", own.display()))
        } else {
            Err(format!("is in {}", own.display()))
        }
    }),
    ("first-data-connects", |t| {
        let address: SocketAddr = t.get("undeclared").parse().map_err(|_| "no address".to_owned())?;
        let SocketAddr::V4(address) = address else { return Err("no address".to_owned()) };
        let to = libc::sockaddr_in {
            sin_family: libc::AF_INET as u16,
            sin_port: address.port().to_be(),
            sin_addr: libc::in_addr { s_addr: u32::from(*address.ip()).to_be() },
            sin_zero: [0; 8],
        };
        let socket = call(libc::SYS_socket, [INET, STREAM, 0, 0, 0, 0]).map_err(|e| e.to_string())?;
        let flags = (libc::MSG_FASTOPEN) as usize;
        let (data, size) = (c"x".as_ptr() as usize, std::mem::size_of_val(&to));
        let to = (&raw const to) as usize;
        succeeds(libc::SYS_sendto, &[socket.unsigned_abs() as usize, data, 1, flags, to, size])
    }),
    ("socket-raw", |_| succeeds(libc::SYS_socket, &[INET, RAW, 1])),
    ("socket-packet", |_| succeeds(libc::SYS_socket, &[libc::AF_PACKET as usize, RAW, 0])),
    ("socket-multipath", |_| succeeds(libc::SYS_socket, &[INET, STREAM, 262])),
    ("socket-sctp", |_| succeeds(libc::SYS_socket, &[INET, STREAM, 132])),
    ("socket-smc", |_| succeeds(libc::SYS_socket, &[43, STREAM, 0])),
    ("socket-vsock", |_| succeeds(libc::SYS_socket, &[libc::AF_VSOCK as usize, STREAM, 0])),
    ("socket-crypto", |_| succeeds(libc::SYS_socket, &[libc::AF_ALG as usize, libc::SOCK_SEQPACKET as usize, 0])),
    ("socket-xdp", |_| succeeds(libc::SYS_socket, &[44, RAW, 0])),
    ("socket-tipc", |_| succeeds(libc::SYS_socket, &[30, STREAM, 0])),
    ("socket-can", |_| succeeds(libc::SYS_socket, &[29, RAW, 1])),
    ("socket-bluetooth", |_| succeeds(libc::SYS_socket, &[31, RAW, 1])),
    ("netlink-audit", |_| succeeds(libc::SYS_socket, &[libc::AF_NETLINK as usize, RAW, 9])),
    ("netlink-filter", |_| succeeds(libc::SYS_socket, &[libc::AF_NETLINK as usize, RAW, 12])),
    ("netlink-generic", |_| succeeds(libc::SYS_socket, &[libc::AF_NETLINK as usize, RAW, 16])),
    ("interface-flags", |_| {
        // Sets the flags of the loopback interface to what they are.
        let mut request = [0u8; 40];
        request[..2].copy_from_slice(b"lo");
        let socket = call(libc::SYS_socket, [INET, STREAM, 0, 0, 0, 0]).map_err(|e| e.to_string())?.unsigned_abs();
        let pointer = request.as_mut_ptr() as usize;
        call(libc::SYS_ioctl, [socket as usize, libc::SIOCGIFFLAGS as usize, pointer, 0, 0, 0])
            .map_err(|e| e.to_string())?;
        succeeds(libc::SYS_ioctl, &[socket as usize, libc::SIOCSIFFLAGS as usize, pointer])
    }),
];

fn connects(t: &Targets, name: &str) -> Seen {
    let Ok(address) = t.get(name).parse() else { return Err("absent: no such address here".to_owned()) };
    seen(TcpStream::connect_timeout(&address, Duration::from_secs(2)), |_| format!("connected to {address}"))
}

/// Whether somebody outside came in; a port that nobody reaches is no hole.
fn visited(listener: &TcpListener) -> Seen {
    listener.set_nonblocking(true).map_err(|e| e.to_string())?;
    let until = Instant::now() + WAIT;
    while Instant::now() < until {
        if let Ok((_, from)) = listener.accept() {
            return Ok(format!("{from} came in"));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Err("was bound, and nobody came".to_owned())
}
