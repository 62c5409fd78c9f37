use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::path::{Component, Path};

use base::{Generation, InstanceId, Problem, Result};
use ports::{Address, Backend, Route, SNAPSHOT_FORMAT, Snapshot};

/// Most routes of a snapshot.
pub(super) const ROUTES_MAX: usize = 50_000;
/// Most host names of a route.
const HOSTS_MAX: usize = 100;
/// Most rollouts behind a route.
const BACKENDS_MAX: usize = 32;
/// Most instances of a rollout.
const INSTANCES_MAX: usize = 1000;
/// Longest path of a socket, bytes (PATH_MAX, limits.h).
const PATH_BYTES_MAX: usize = 4095;
/// Highest generation: beyond 2^53 readers of JSON disagree about a number (RFC 8259 §6). A gateway
/// that took the highest of all could never be given another snapshot.
const GENERATION_MAX: i64 = (1 << 53) - 1;
/// Largest weight.
const WEIGHT_MAX: u16 = 10_000;

/// Whether a gateway would take this snapshot: a format it reads, every host in one route only,
/// every address under one instance only and within reach (loopback, private, or a socket of this
/// machine), all within bounds.
///
/// # Errors
/// `bad-snapshot` with the place of the fault; `newer-snapshot` where the format is of a newer version.
pub fn validate(snapshot: &Snapshot) -> Result<()> {
    check_format(snapshot.format)?;
    check_generation(snapshot.generation)?;
    bound(snapshot.routes.len(), ROUTES_MAX, "routes", || "routes".to_owned())?;
    let mut seen = Seen::default();
    for (index, route) in snapshot.routes.iter().enumerate() {
        check_route(route, index, &mut seen)?;
    }
    Ok(())
}

/// Whether a generation is one that another can follow.
pub(super) fn check_generation(generation: Generation) -> Result<()> {
    if (1..=GENERATION_MAX).contains(&generation.0) {
        return Ok(());
    }
    Err(bad(format!("generations are from 1 to {GENERATION_MAX}, not {generation}"), "generation".to_owned()))
}

/// Whether this gateway reads a format.
pub(super) fn check_format(format: u32) -> Result<()> {
    if format > SNAPSHOT_FORMAT || format == 0 {
        return Err(Problem::unprocessable(
            "newer-snapshot",
            format!("the snapshot has format {format}, this gateway reads formats 1 to {SNAPSHOT_FORMAT}"),
        )
        .hint("upgrade the gateway first")
        .at("format"));
    }
    Ok(())
}

/// What appeared so far and must not appear again.
#[derive(Default)]
pub(super) struct Seen<'a> {
    hosts: HashSet<&'a str>,
    services: HashSet<(&'a str, &'a str)>,
    addresses: HashMap<&'a Address, InstanceId>,
}

/// Whether a route is good in itself and beside those seen so far.
pub(super) fn check_route<'a>(route: &'a Route, index: usize, seen: &mut Seen<'a>) -> Result<()> {
    let place = || format!("routes[{index}]");
    if !seen.services.insert((route.service.as_str(), route.environment.as_str())) {
        let text = format!("`{}` in `{}` has two routes", route.service, route.environment);
        return Err(bad(text, place()));
    }
    bound(route.hosts.len(), HOSTS_MAX, "hosts", place)?;
    bound(route.backends.len(), BACKENDS_MAX, "backends", place)?;
    for host in &route.hosts {
        if !seen.hosts.insert(host.as_str()) {
            return Err(bad(format!("the host `{host}` appears twice"), place()));
        }
    }
    let mut rollouts = HashSet::new();
    for (at, backend) in route.backends.iter().enumerate() {
        let place = || format!("routes[{index}].backends[{at}]");
        if !rollouts.insert(backend.rollout) {
            return Err(bad(format!("the rollout {} appears twice", backend.rollout), place()));
        }
        check_backend(backend, &mut seen.addresses, place)?;
    }
    Ok(())
}

fn check_backend<'a>(
    backend: &'a Backend,
    addresses: &mut HashMap<&'a Address, InstanceId>,
    place: impl Fn() -> String,
) -> Result<()> {
    if backend.weight > WEIGHT_MAX {
        return Err(bad(format!("the weight {} is above {WEIGHT_MAX}", backend.weight), place()));
    }
    bound(backend.instances.len(), INSTANCES_MAX, "instances", &place)?;
    for instance in &backend.instances {
        let why = match &instance.address {
            Address::Tcp(address) if address.port() == 0 || !is_near(address.ip()) => "not loopback or private",
            Address::Socket(path) if !is_plain(path) => "not an absolute path without `..`, or too long",
            _ => "",
        };
        if !why.is_empty() {
            return Err(bad(format!("the address {} of {} is {why}", instance.address, instance.id), place()));
        }
        if let Some(other) = addresses.insert(&instance.address, instance.id) {
            let text = format!("{} and {} have the same address {}", other, instance.id, instance.address);
            return Err(bad(text, place()));
        }
    }
    Ok(())
}

/// Loopback, RFC 1918 or a unique local address: a snapshot can never make the gateway a way out.
fn is_near(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local(),
    }
}

/// A path that goes only down from the root.
fn is_plain(path: &Path) -> bool {
    path.is_absolute()
        && path.file_name().is_some()
        && path.as_os_str().len() <= PATH_BYTES_MAX
        && !path.as_os_str().as_encoded_bytes().contains(&0)
        && path.components().all(|c| matches!(c, Component::RootDir | Component::Normal(_)))
}

pub(super) fn bound(count: usize, max: usize, what: &str, place: impl FnOnce() -> String) -> Result<()> {
    if count > max {
        return Err(bad(format!("{count} {what} are more than {max}"), place()));
    }
    Ok(())
}

pub(super) fn bad(message: String, place: String) -> Problem {
    Problem::unprocessable("bad-snapshot", message).at(place)
}

#[cfg(test)]
mod tests {
    use base::Time;
    use ports::Instance;

    use super::*;

    fn snapshot() -> Snapshot {
        let route = |service: &str, host: &str, port: u16| Route {
            service: service.parse().unwrap(),
            environment: "dev".parse().unwrap(),
            hosts: vec![host.parse().unwrap()],
            backends: vec![Backend {
                rollout: base::RolloutId::new(Time::from_micros(1), [1; 10]),
                release: base::ReleaseId::new(Time::from_micros(1), [1; 10]),
                weight: 1,
                instances: vec![Instance {
                    id: InstanceId::new(Time::from_micros(i64::from(port)), [1; 10]),
                    address: Address::Tcp(([127, 0, 0, 1], port).into()),
                }],
            }],
        };
        Snapshot {
            format: 1,
            generation: base::Generation(1),
            routes: vec![route("a", "a.localhost", 1), route("b", "b.localhost", 2)],
        }
    }

    fn check(change: impl FnOnce(&mut Snapshot), code: Option<&str>) {
        let mut snapshot = snapshot();
        change(&mut snapshot);
        let got = validate(&snapshot);
        assert_eq!(got.as_ref().err().map(|p| &*p.code), code, "{got:?}");
    }

    #[test]
    fn snapshots() {
        check(|_| {}, None);
        check(|s| s.routes.clear(), None);
        check(|s| s.routes[0].backends.clear(), None);
        check(|s| s.routes[0].backends[0].weight = 0, None);
        check(|s| s.routes[0].backends[0].instances[0].address = "10.1.2.3:80".parse().unwrap(), None);
        check(|s| s.routes[0].backends[0].instances[0].address = "unix:/run/i/connect.sock".parse().unwrap(), None);
        check(|s| s.format = SNAPSHOT_FORMAT, None);
        check(|s| s.format = SNAPSHOT_FORMAT + 1, Some("newer-snapshot"));
        check(|s| s.format = 0, Some("newer-snapshot"));
        let bad = Some("bad-snapshot");
        check(|s| s.generation.0 = 0, bad);
        check(|s| s.generation.0 = i64::MAX, bad);
        check(|s| s.routes[1].hosts = s.routes[0].hosts.clone(), bad);
        check(|s| s.routes[1].service = s.routes[0].service.clone(), bad);
        check(|s| s.routes[0].backends[0].weight = 10_001, bad);
        check(|s| s.routes[0].backends = vec![s.routes[0].backends[0].clone(); 2], bad);
        check(|s| s.routes[1].backends = s.routes[0].backends.clone(), bad);
        for address in [
            "127.0.0.1:0",
            "8.8.8.8:80",
            "169.254.169.254:80",
            "[2001:db8::1]:80",
            "0.0.0.0:80",
            "unix:/run/../etc/s",
            "unix:/",
            "unix:/run/\0/s",
        ] {
            check(|s| s.routes[0].backends[0].instances[0].address = address.parse().unwrap(), bad);
        }
    }
}
