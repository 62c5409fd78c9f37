//! Connections that an instance makes to what it needs: made outside, to exactly what was declared.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use rustix::event::EventfdFlags;
use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType};

use super::network::may_be_named;
use crate::launch::Calls;
use crate::net::{Target, is_local};
use crate::sandbox::{self, Message};

/// Connections that are being made at once; more wait inside to be accepted.
const CONNECTING_MAX: usize = 32;
/// Connections that are begun in one span; more wait inside. Making them costs the platform, not the instance.
const BEGUN_MAX: u32 = 200;
const SPAN: Duration = Duration::from_millis(200);
/// How long making one connection may take, and its share for one of several addresses.
const CONNECT_WITHIN: Duration = Duration::from_secs(15);
const ADDRESS_WITHIN: Duration = Duration::from_secs(5);
/// Addresses that are tried of one name.
const ADDRESSES_MAX: usize = 8;
/// Stack of a thread that makes one connection: the resolver of the C library wants some.
const STACK_BYTES: usize = 256 << 10;
/// The same failure is told this often.
const TELL_EVERY: Duration = Duration::from_secs(30);
/// Failures that wait to be told; more are dropped.
const WAITING: usize = 16;

pub(super) struct Outward {
    gateway: Option<(Calls, Vec<u8>)>,
    connecting: Arc<AtomicUsize>,
    /// When the current span began, and how many connections in it.
    span: (Instant, u32),
    /// Counts up whenever a thread has ended.
    ended: Arc<OwnedFd>,
    tell: SyncSender<String>,
    told: Receiver<String>,
    /// What was told last, and when.
    last: Option<(String, Instant)>,
}

impl Outward {
    pub(super) fn new(calls: Option<Calls>) -> io::Result<Self> {
        let gateway = match calls {
            Some(calls) => Some(serde_json::to_vec(&calls.caller).map(|text| (calls, text))?),
            None => None,
        };
        let (tell, told) = sync_channel(WAITING);
        let ended = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let span = (Instant::now(), 0);
        Ok(Self { gateway, connecting: Arc::default(), span, ended: Arc::new(ended), tell, told, last: None })
    }

    pub(super) fn has_room(&self) -> bool {
        self.connecting.load(Ordering::SeqCst) < CONNECTING_MAX && self.rests_until().is_none()
    }

    /// Until when no connection is begun, where there were too many just now.
    pub(super) fn rests_until(&self) -> Option<Instant> {
        let (began, count) = self.span;
        (count >= BEGUN_MAX).then(|| began + SPAN).filter(|until| *until > Instant::now())
    }

    /// Readable when [`Outward::has_room`] or [`Outward::told`] may have changed.
    pub(super) fn news(&self) -> BorrowedFd<'_> {
        self.ended.as_fd()
    }

    /// Failures since the last call, each now and then only.
    pub(super) fn told(&mut self) -> Vec<String> {
        let _ = rustix::io::read(&*self.ended, &mut [0u8; 8]);
        let mut out = Vec::new();
        while let Ok(why) = self.told.try_recv() {
            let again = self.last.as_ref().is_some_and(|(last, at)| *last == why && at.elapsed() < TELL_EVERY);
            if !again {
                self.last = Some((why.clone(), Instant::now()));
                out.push(why);
            }
        }
        out
    }

    /// Takes a connection that was accepted inside to where it goes.
    pub(super) fn connect(&mut self, to: &Target, inside: OwnedFd, lend: &OwnedFd) {
        self.span = match self.span {
            (began, count) if began.elapsed() < SPAN => (began, count.saturating_add(1)),
            _ => (Instant::now(), 1),
        };
        let begun = match to {
            Target::Gateway => self.call(&inside).map_err(|e| {
                sandbox::reset(&inside);
                format!("connect to the gateway: {e}")
            }),
            Target::Host(host, port) => {
                self.begin(host.clone(), *port, inside, lend).map_err(|e| format!("connect to {host}:{port}: {e}"))
            }
        };
        if let Err(why) = begun {
            let _ = self.tell.try_send(why);
            wake(&self.ended);
        }
    }

    /// Gives the connection itself to the gateway, which serves it as one of its own.
    fn call(&self, inside: &OwnedFd) -> io::Result<()> {
        let (calls, text) = self.gateway.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        rustix::net::connect(&socket, &SocketAddrUnix::new(&calls.socket)?)?;
        let sent = sandbox::send_with(&socket, text, &[inside.as_fd()], SendFlags::DONTWAIT)?;
        if sent == text.len() { Ok(()) } else { Err(io::Error::other("it does not listen")) }
    }

    /// Starts a thread that makes a connection and gives both ends to init. Looking a name up can
    /// take long and cannot be done without waiting.
    fn begin(&self, host: String, port: u16, inside: OwnedFd, lend: &OwnedFd) -> io::Result<()> {
        let lend = lend.try_clone()?;
        let place = Place::take(&self.connecting, &self.ended);
        let tell = self.tell.clone();
        let make = move || {
            let made = outside(&host, port).map_err(|e| format!("connect to {host}:{port}: {e}"));
            let given = match made {
                Ok(outside) => Message::Relay([inside, outside]).send(&lend).map_err(|e| format!("carry: {e}")),
                Err(why) => {
                    sandbox::reset(&inside);
                    Err(why)
                }
            };
            if let Err(why) = given {
                let _ = tell.try_send(why);
            }
            drop(place);
        };
        std::thread::Builder::new().stack_size(STACK_BYTES).spawn(make).map(drop)
    }
}

/// One of the connections that are being made.
struct Place {
    connecting: Arc<AtomicUsize>,
    ended: Arc<OwnedFd>,
}

impl Place {
    fn take(connecting: &Arc<AtomicUsize>, ended: &Arc<OwnedFd>) -> Self {
        connecting.fetch_add(1, Ordering::SeqCst);
        Self { connecting: Arc::clone(connecting), ended: Arc::clone(ended) }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connecting.fetch_sub(1, Ordering::SeqCst);
        wake(&self.ended);
    }
}

fn wake(ended: &OwnedFd) {
    let _ = rustix::io::write(ended, &1u64.to_ne_bytes());
}

/// A connection to a declared host.
fn outside(host: &str, port: u16) -> io::Result<OwnedFd> {
    let began = Instant::now();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address that may be reached");
    for address in addresses(host, port)?.into_iter().take(ADDRESSES_MAX) {
        let left = CONNECT_WITHIN.saturating_sub(began.elapsed()).min(ADDRESS_WITHIN);
        if left.is_zero() {
            break;
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(stream) => {
                let _ = stream.set_nodelay(true);
                let _ = rustix::net::sockopt::set_socket_keepalive(&stream, true);
                stream.set_nonblocking(true)?;
                return Ok(stream.into());
            }
            Err(e) => last = e,
        }
    }
    Err(last)
}

/// What a host stands for now. An address was declared as it is; a name means what the resolver of
/// the host says, as far as that may be.
fn addresses(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    if is_local(host) {
        return Ok(vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port))]);
    }
    let written = written_down(host);
    let found = (host, port).to_socket_addrs()?;
    Ok(found.filter(|address| may_be_named(address) || written.contains(&address.ip())).collect())
}

/// The addresses that the host's own table has for a name (hosts(5)): an operator wrote them.
fn written_down(host: &str) -> Vec<IpAddr> {
    let text = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let lines = text.lines().filter_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let ip = words.next()?.parse().ok()?;
        words.any(|name| name.eq_ignore_ascii_case(host)).then_some(ip)
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_lead_back_to_the_machine() {
        let may = |ip: &str| may_be_named(&SocketAddr::new(ip.parse().unwrap(), 80));
        for good in ["10.0.0.7", "192.168.1.1", "93.184.216.34", "2001:db8::1", "fd12::7"] {
            assert!(may(good), "{good}");
        }
        for bad in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "fd00:ec2::254",
            "100.100.100.200",
        ] {
            assert!(!may(bad), "{bad}");
        }
    }

    #[test]
    fn hosts_are_what_was_declared() {
        let all = |host: &str| addresses(host, 80).unwrap();
        assert_eq!(all("127.0.0.1"), ["127.0.0.1:80".parse().unwrap()]);
        assert_eq!(all("::1"), ["[::1]:80".parse().unwrap()]);
        for local in ["localhost", "db.localhost"] {
            assert_eq!(all(local), ["127.0.0.1:80".parse().unwrap()], "{local}");
        }
    }
}
