//! Ports and users that are given to one instance at a time.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::RangeInclusive;
use std::sync::{Mutex, PoisonError};

use base::{Problem, Result};

use crate::options::Options;

/// What was given away by this engine, in addition to what the instances on disk have.
pub(super) struct Taken {
    ports: RangeInclusive<u16>,
    uids: RangeInclusive<u32>,
    last: Mutex<Last>,
}

/// The next search goes on behind the last find, so that a port does not come back at once: traffic
/// for an instance that has just ended must not meet another one.
struct Last {
    port: u16,
    uid: u32,
}

impl Taken {
    pub(super) fn new(options: &Options) -> Self {
        // Engines that start together on different data directories should not race for one port.
        let width = u32::from(options.ports.end().saturating_sub(*options.ports.start())).max(1);
        let offset = u16::try_from(std::process::id() % width).unwrap_or(0);
        let port = options.ports.start().saturating_add(offset);
        let last = Last { port, uid: *options.uids.start() };
        Self { ports: options.ports.clone(), uids: options.uids.clone(), last: Mutex::new(last) }
    }

    /// The ports that are given away, in order.
    pub(super) fn ports(&self) -> RangeInclusive<u16> {
        self.ports.clone()
    }

    /// A loopback port that no instance has and nobody listens on.
    pub(super) fn port(&self, used: &BTreeSet<u16>) -> Result<u16> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let after = self.ports.clone().filter(|port| *port > last.port);
        let found = after
            .chain(self.ports.clone())
            .find(|port| !used.contains(port) && TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port)).is_ok());
        let port = found.ok_or_else(|| {
            Problem::unavailable("no-free-port", format!("no port from {:?} is free", self.ports))
                .hint("remove ended instances, or widen the range of ports in the configuration")
        })?;
        last.port = port;
        Ok(port)
    }

    /// A user of the host that no instance has. The first of the range is the one of the caches.
    pub(super) fn uid(&self, used: &BTreeSet<u32>) -> Result<u32> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let own = || self.uids.clone().skip(1);
        let found = own().filter(|uid| *uid > last.uid).chain(own()).find(|uid| !used.contains(uid));
        let uid = found.ok_or_else(|| {
            Problem::unavailable("no-free-user", format!("no user from {:?} is free", self.uids))
                .hint("remove ended instances, or widen the range of users in the configuration")
        })?;
        last.uid = uid;
        Ok(uid)
    }

    /// The user to whom caches belong.
    pub(super) fn cache_uid(&self) -> u32 {
        *self.uids.start()
    }
}
