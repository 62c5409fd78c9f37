//! The network of an instance's own: what listens inside for the connections that it may make, and
//! under which names. Pure, so that the keeper outside and init inside come to the same answer.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ports::{Connect, Network, Way};

/// The first address that is given to a host that has none in its name; each next one is one higher.
const FIRST: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// One listening socket inside of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Door {
    /// Where it listens, in the instance's network.
    pub(crate) at: SocketAddr,
    pub(crate) to: Target,
}

/// Where the connections of a door go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// To the gateway.
    Gateway,
    /// To this host and port.
    Host(String, u16),
}

/// Doors and names of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Inside {
    pub(crate) doors: Vec<Door>,
    /// What each declared name means inside.
    pub(crate) names: BTreeMap<String, IpAddr>,
}

impl Inside {
    /// What stands inside for these connections. Host names are told apart by address, so that two
    /// hosts may have the same port; an address stands for itself.
    pub(crate) fn of(network: &Network) -> Self {
        let Network::Only(connects) = network else { return Self::default() };
        let mut connects: Vec<&Connect> = connects.iter().collect();
        // What is fixed to an address comes first; the gateway's hosts go where there is room.
        connects.sort_by_key(|c| (c.way, fixed(&c.host).is_none(), &c.host, c.port));
        let mut inside = Self::default();
        let mut next = FIRST;
        for connect in connects {
            let target = match connect.way {
                Way::Gateway => Target::Gateway,
                Way::Direct => Target::Host(connect.host.clone(), connect.port),
            };
            let known = inside.names.get(&connect.host).copied();
            let wished = known.or_else(|| fixed(&connect.host)).filter(|ip| inside.has_room(*ip, connect, &target));
            let ip = wished.unwrap_or_else(|| {
                let free = next;
                next = Ipv4Addr::from_bits(next.to_bits().saturating_add(1));
                IpAddr::V4(free)
            });
            if connect.host.parse::<IpAddr>().is_err() {
                inside.names.insert(connect.host.clone(), ip);
            }
            let door = Door { at: SocketAddr::new(ip, connect.port), to: target };
            if inside.doors.iter().all(|other| other.at != door.at) {
                inside.doors.push(door);
            }
        }
        inside
    }

    /// Whether a connection may share what listens there, if anything does. All the host's own
    /// names mean the same place.
    fn has_room(&self, ip: IpAddr, connect: &Connect, target: &Target) -> bool {
        let at = SocketAddr::new(ip, connect.port);
        let gateway = |target: &Target| matches!(target, Target::Gateway);
        self.doors.iter().all(|other| other.at != at || gateway(&other.to) == gateway(target))
    }

    /// The addresses, besides those that every network has, that must exist inside.
    pub(crate) fn addresses(&self) -> Vec<IpAddr> {
        let mut out: Vec<IpAddr> = self.doors.iter().map(|door| door.at.ip()).filter(|ip| !ip.is_loopback()).collect();
        // Resolvers that are asked for what the machine has addresses for (AI_ADDRCONFIG,
        // getaddrinfo(3)) do not count 127.0.0.1: without another one they would find no host at all.
        out.push(IpAddr::V4(FIRST));
        out.sort_unstable();
        out.dedup();
        out
    }

    /// The first of these ports that no door has: a program that listens on all addresses would
    /// meet it.
    pub(crate) fn free_port(&self, mut ports: impl Iterator<Item = u16>) -> Option<u16> {
        ports.find(|port| self.doors.iter().all(|door| door.at.port() != *port))
    }
}

/// The address that a host can have only: its own, or this machine's (RFC 6761 §6.3; some programs
/// do not look names beneath `localhost` up).
fn fixed(host: &str) -> Option<IpAddr> {
    match host.parse::<IpAddr>() {
        Ok(ip) => Some(ip.to_canonical()),
        Err(_) => is_local(host).then_some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
    }
}

/// Whether a name means this machine, whatever a resolver says.
pub(crate) fn is_local(host: &str) -> bool {
    host == "localhost" || host.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(connects: &[(&str, u16, Way)], expect: &[(&str, &str)], names: &[(&str, &str)]) {
        let connect = |(host, port, way): &(&str, u16, Way)| Connect { host: (*host).into(), port: *port, way: *way };
        let inside = Inside::of(&Network::Only(connects.iter().map(connect).collect()));
        let shown = |to: &Target| match to {
            Target::Gateway => "gateway".to_owned(),
            Target::Host(host, port) => format!("{host} {port}"),
        };
        let doors: Vec<(String, String)> = inside.doors.iter().map(|d| (d.at.to_string(), shown(&d.to))).collect();
        let pairs = |list: &[(&str, &str)]| -> Vec<(String, String)> {
            list.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
        };
        assert_eq!(doors, pairs(expect), "{connects:?}");
        let got: Vec<(String, String)> = inside.names.iter().map(|(n, ip)| (n.clone(), ip.to_string())).collect();
        assert_eq!(got, pairs(names), "{connects:?}");
    }

    #[test]
    fn each_host_has_an_address_inside() {
        use Way::{Direct, Gateway};
        check(&[], &[], &[]);
        check(
            &[("db.example.org", 5432, Direct), ("api.example.org", 443, Direct), ("db.example.org", 6379, Direct)],
            &[
                ("127.0.0.2:443", "api.example.org 443"),
                ("127.0.0.3:5432", "db.example.org 5432"),
                ("127.0.0.3:6379", "db.example.org 6379"),
            ],
            &[("api.example.org", "127.0.0.2"), ("db.example.org", "127.0.0.3")],
        );
        check(
            &[("10.0.0.7", 5432, Direct), ("::1", 80, Direct), ("localhost", 6379, Direct)],
            &[("10.0.0.7:5432", "10.0.0.7 5432"), ("[::1]:80", "::1 80"), ("127.0.0.1:6379", "localhost 6379")],
            &[("localhost", "127.0.0.1")],
        );
        let two = [("a-dev.localhost", 8080, Gateway), ("b-dev.localhost", 8080, Gateway)];
        let names = [("a-dev.localhost", "127.0.0.1"), ("b-dev.localhost", "127.0.0.1")];
        check(&two, &[("127.0.0.1:8080", "gateway")], &names);
        // What is declared as outside keeps its address; the gateway's hosts make room.
        check(
            &[two[0], ("127.0.0.1", 8080, Direct)],
            &[("127.0.0.1:8080", "127.0.0.1 8080"), ("127.0.0.2:8080", "gateway")],
            &[("a-dev.localhost", "127.0.0.2")],
        );
        check(
            &[("a-dev.apps.example.org", 80, Gateway), ("b-dev.apps.example.org", 80, Gateway)],
            &[("127.0.0.2:80", "gateway"), ("127.0.0.3:80", "gateway")],
            &[("a-dev.apps.example.org", "127.0.0.2"), ("b-dev.apps.example.org", "127.0.0.3")],
        );
    }

    #[test]
    fn the_own_port_is_none_of_a_door() {
        let connect = |port| Connect { host: "localhost".into(), port, way: Way::Direct };
        let inside = Inside::of(&Network::Only(vec![connect(20_000), connect(20_001)]));
        assert_eq!(inside.free_port(20_000..=20_002), Some(20_002));
        assert_eq!(inside.free_port(20_000..=20_001), None);
    }
}
