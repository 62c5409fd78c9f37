//! How many connections each client has: one alone must not take the places of all others.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::worker::Peer;

/// The file, in the gateway's directory, with what it was told last: one that its guard has started knows it too.
const FILE: &str = "bounds.json";

/// What the control plane tells a gateway besides its routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Bounds {
    /// Connections of one client.
    pub(crate) connections_per_client: u64,
}

/// Who has connections: an instance's service and environment, or where they come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Who {
    Place(Box<[u8]>),
    Address(IpAddr),
}

impl Who {
    fn of(peer: &Peer) -> Self {
        if let Some(caller) = &peer.caller {
            return Self::Place(caller.place.as_bytes().into());
        }
        Self::Address(match peer.address.ip().to_canonical() {
            // One customer has a whole /64 at least (RFC 6177).
            IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 64)).into(),
            v4 => v4,
        })
    }
}

/// The connections that are open, by client.
#[derive(Debug)]
pub(crate) struct Crowd {
    each: AtomicU64,
    /// Proxies in front, behind which are many.
    many: Vec<IpAddr>,
    open: Mutex<HashMap<Who, u64>>,
    refused: AtomicU64,
    file: PathBuf,
}

impl Crowd {
    /// At most `each` connections of one client, unless `dir` remembers another number; any number of those of `many`.
    pub(crate) fn new(each: u64, many: Vec<IpAddr>, dir: &Path) -> Self {
        let file = dir.join(FILE);
        let known = std::fs::read(&file).ok().and_then(|text| serde_json::from_slice::<Bounds>(&text).ok());
        let each = AtomicU64::new(known.map_or(each, |bounds| bounds.connections_per_client));
        Self { each, many, open: Mutex::default(), refused: AtomicU64::new(0), file }
    }

    /// Other bounds from now on. Connections that are open stay.
    ///
    /// # Errors
    /// Where they cannot be remembered.
    pub(crate) fn bound(&self, bounds: Bounds) -> io::Result<()> {
        self.each.store(bounds.connections_per_client, Ordering::Relaxed);
        let next = self.file.with_extension("json.new");
        let mut file = std::fs::File::create(&next)?;
        file.write_all(&serde_json::to_vec(&bounds)?)?;
        file.sync_all()?;
        std::fs::rename(&next, &self.file)
    }

    /// A place for one more connection, unless its client has as many as it may.
    pub(crate) fn enter(self: &Arc<Self>, peer: &Peer) -> Option<Seat> {
        if peer.caller.is_none() && self.many.contains(&peer.address.ip()) {
            return Some(Seat { taken: None });
        }
        let who = Who::of(peer);
        let mut open = self.open.lock();
        let count = open.entry(who.clone()).or_insert(0);
        if *count >= self.each.load(Ordering::Relaxed) {
            if *count == 0 {
                open.remove(&who);
            }
            return None;
        }
        *count = count.saturating_add(1);
        drop(open);
        Some(Seat { taken: Some((Arc::clone(self), who)) })
    }

    fn leave(&self, who: &Who) {
        let mut open = self.open.lock();
        if let Some(count) = open.get_mut(who) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.remove(who);
            }
        }
    }

    /// Counts a connection that was refused for want of a place.
    pub(crate) fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// How many were refused.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

/// A connection's place among those of its client.
#[derive(Debug)]
pub(crate) struct Seat {
    taken: Option<(Arc<Crowd>, Who)>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some((crowd, who)) = &self.taken {
            crowd.leave(who);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(ip: &str) -> Peer {
        Peer { address: (ip.parse::<IpAddr>().unwrap(), 1).into(), caller: None }
    }

    #[test]
    fn each_client_has_its_own_places_and_gives_them_back() {
        let dir = tempfile::tempdir().unwrap();
        let crowd = Arc::new(Crowd::new(2, vec!["10.0.0.9".parse().unwrap()], dir.path()));
        let (one, two) = (crowd.enter(&peer("10.0.0.1")), crowd.enter(&peer("10.0.0.1")));
        assert!(one.is_some() && two.is_some() && crowd.enter(&peer("10.0.0.1")).is_none());
        // The same client, as a dual-stack socket shows it.
        assert!(crowd.enter(&peer("::ffff:10.0.0.1")).is_none());
        let other = crowd.enter(&peer("10.0.0.2"));
        assert!(other.is_some());
        drop(one);
        assert!(crowd.enter(&peer("10.0.0.1")).is_some());
        let proxy: Vec<_> = (0..5).map(|_| crowd.enter(&peer("10.0.0.9"))).collect();
        assert!(proxy.iter().all(Option::is_some));
        drop((two, other, proxy));
        assert!(crowd.open.lock().is_empty(), "nobody is remembered who has nothing");
    }

    #[test]
    fn a_service_that_calls_is_one_client_wherever_its_instances_are() {
        let dir = tempfile::tempdir().unwrap();
        let crowd = Arc::new(Crowd::new(1, vec!["127.0.0.1".parse().unwrap()], dir.path()));
        let of = |place: &'static str, instance: u8| {
            let told = ports::Caller {
                service: place.split('/').next().unwrap().parse().unwrap(),
                environment: "dev".parse().unwrap(),
                instance: base::InstanceId::new(base::Time::default(), [instance; 10]),
                hosts: Vec::new(),
            };
            let caller = crate::callers::Caller { told, place: http::HeaderValue::from_static(place) };
            Peer { caller: Some(Arc::new(caller)), ..peer("127.0.0.1") }
        };
        let _one = crowd.enter(&of("shop/dev", 1)).unwrap();
        assert!(crowd.enter(&of("shop/dev", 2)).is_none());
        assert!(crowd.enter(&of("stock/dev", 3)).is_some());
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let dir = tempfile::tempdir().unwrap();
        let crowd = Arc::new(Crowd::new(1, Vec::new(), dir.path()));
        let _one = crowd.enter(&peer("2001:db8:1:2::1")).unwrap();
        assert!(crowd.enter(&peer("2001:db8:1:2:ffff::2")).is_none());
        assert!(crowd.enter(&peer("2001:db8:1:3::1")).is_some());
    }

    #[test]
    fn bounds_are_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let crowd = Arc::new(Crowd::new(5, Vec::new(), dir.path()));
        crowd.bound(Bounds { connections_per_client: 0 }).unwrap();
        assert!(crowd.enter(&peer("10.0.0.1")).is_none());
        let again = Arc::new(Crowd::new(5, Vec::new(), dir.path()));
        assert!(again.enter(&peer("10.0.0.1")).is_none());
        std::fs::write(dir.path().join(FILE), "{").unwrap();
        let again = Arc::new(Crowd::new(5, Vec::new(), dir.path()));
        assert!(again.enter(&peer("10.0.0.1")).is_some(), "what cannot be read is not believed");
    }
}
