//! From a specification to what a keeper is told: checks and translation, no act.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Component, Path, PathBuf};

use base::{HostName, Problem, Result};
use ports::{Base, Caller, Connect, InstanceSpec, Mount, Network, Probe, Way};

use crate::launch::{Bind, Calls, Scratch};

/// Where an artifact is inside.
pub(super) const APP: &str = "/app";
/// Where a build works.
pub(super) const WORKSPACE: &str = "/workspace";

/// Places that are the engine's own; nothing may be mounted on them or beneath them.
const OWN: [&str; 12] =
    ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/proc", "/dev", "/sys", "/app"];

/// Refuses what cannot be run, with the words for the one who wrote it.
pub(super) fn check(spec: &InstanceSpec, data: &Path, gateway: Option<&Path>) -> Result<()> {
    let bad = |why: String| Problem::unprocessable("bad-instance-spec", why);
    if spec.command.first().is_none_or(String::is_empty) {
        return Err(bad("the command is empty".into()).hint("name a program and its arguments"));
    }
    let zero = |text: &str| text.contains('\0');
    if spec.command.iter().any(|w| zero(w)) || spec.env.iter().any(|(k, v)| zero(k) || zero(v.expose())) {
        return Err(bad("the command or the environment has a zero byte".into()));
    }
    if let Some(name) = spec.env.keys().find(|name| name.is_empty() || name.contains('=')) {
        return Err(bad(format!("`{name}` cannot be the name of an environment variable")));
    }
    if !is_plain(&spec.workdir) {
        return Err(bad(format!("the working directory `{}` is not an absolute path without `..`", spec.workdir)));
    }
    if let Some(health) = &spec.health {
        if !spec.port {
            return Err(
                bad("a health check needs a port".into()).hint("let the process have a port, or drop the check")
            );
        }
        if let Probe::Http { path } = &health.probe
            && (!path.starts_with('/') || path.bytes().any(|b| b <= b' ' || b == 0x7f))
        {
            return Err(
                bad(format!("the health path `{}` is not a path", path.escape_debug())).hint("write `/healthz`")
            );
        }
    }
    check_network(spec, gateway)?;
    spec.mounts.iter().try_for_each(|mount| check_mount(mount, data))
}

fn check_network(spec: &InstanceSpec, gateway: Option<&Path>) -> Result<()> {
    let bad = |why: String| Err(Problem::unprocessable("bad-instance-spec", why));
    let Network::Only(connects) = &spec.network else { return Ok(()) };
    for Connect { host, port, way } in connects {
        let nowhere = match host.parse::<IpAddr>() {
            Ok(ip) => ip.is_unspecified() || ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST),
            Err(_) => host.parse::<HostName>().is_err(),
        };
        if nowhere || *port == 0 {
            return bad(format!("nothing can be reached at `{}` port {port}", host.escape_debug()));
        }
        if *way == Way::Gateway && (gateway.is_none() || spec.environment.is_none()) {
            return bad(format!("{host} is reached through a gateway, and there is none for this instance"));
        }
    }
    Ok(())
}

/// How connections through the gateway are made, if there may be any.
pub(super) fn calls(spec: &InstanceSpec, gateway: Option<&Path>) -> Option<Calls> {
    let Network::Only(connects) = &spec.network else { return None };
    let through = connects.iter().filter(|connect| connect.way == Way::Gateway);
    let mut hosts: Vec<HostName> = through.filter_map(|connect| connect.host.parse().ok()).collect();
    hosts.sort();
    hosts.dedup();
    if hosts.is_empty() {
        return None;
    }
    let (service, environment) = (spec.service.clone(), spec.environment.clone()?);
    let caller = Caller { service, environment, instance: spec.id, hosts };
    Some(Calls { socket: gateway?.to_owned(), caller })
}

fn check_mount(mount: &Mount, data: &Path) -> Result<()> {
    let bad = |why: String| Err(Problem::unprocessable("bad-mount", why));
    match mount {
        Mount::Cache { name, .. } if !is_cache_name(name) => {
            bad(format!("`{}` cannot be the name of a cache", name.escape_debug()))
        }
        Mount::Cache { target, .. } | Mount::Platform { target } => {
            let own = OWN.iter().find(|own| Path::new(target).starts_with(own));
            match own {
                _ if !is_plain(target) || target == "/" => {
                    bad(format!("`{target}` is not an absolute path without `..`"))
                }
                Some(own) => bad(format!("nothing can be mounted at {target}: {own} belongs to the engine")),
                None => Ok(()),
            }
        }
        Mount::Host { path } => {
            let text = path.to_string_lossy();
            // Both as written and as it is: a link must not lead where the path may not.
            let real = path.canonicalize().unwrap_or_else(|_| path.clone());
            if !is_plain(&text) {
                return bad(format!("`{text}` is not an absolute path without `..`"));
            }
            for path in [path, &real] {
                let private = data.starts_with(path) || path.starts_with(data);
                let own = ["/", "/etc"].iter().any(|own| path == Path::new(own))
                    || ["/proc", "/sys", "/dev"].iter().any(|own| path.starts_with(own));
                if private || own {
                    return bad(format!("{text} of the host cannot be lent to an instance"));
                }
            }
            if real.exists() { Ok(()) } else { bad(format!("{text} does not exist on the host")) }
        }
    }
}

/// An absolute path that goes only down.
fn is_plain(path: &str) -> bool {
    path.starts_with('/')
        && !path.contains('\0')
        && Path::new(path).components().all(|c| matches!(c, Component::RootDir | Component::Normal(_)))
}

fn is_cache_name(name: &str) -> bool {
    name.len() <= 200
        && name.split('/').all(|part| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        })
}

/// What is lent to the instance, in order.
pub(super) fn binds(spec: &InstanceSpec, image: Option<&Path>, dir: &Path, caches: &Path, binary: &Path) -> Vec<Bind> {
    let lend = |source: PathBuf, target: &str, writable: bool| Bind { source, target: target.to_owned(), writable };
    let base = match &spec.base {
        Base::Artifact(_) => image.map(|image| lend(image.to_owned(), APP, false)),
        Base::Workspace { .. } => Some(lend(dir.join("workspace"), WORKSPACE, true)),
    };
    let mounts = spec.mounts.iter().map(|mount| match mount {
        Mount::Cache { name, target } => lend(caches.join(name), target, true),
        Mount::Host { path } => lend(path.clone(), &path.to_string_lossy(), false),
        Mount::Platform { target } => lend(binary.to_owned(), target, false),
    });
    base.into_iter().chain(mounts).collect()
}

/// Services keep temporary files in memory, which bounds them exactly; builds need more room than that.
pub(super) fn scratch(spec: &InstanceSpec, dir: &Path) -> Scratch {
    match spec.base {
        Base::Artifact(_) => Scratch::Memory(spec.disk_max.0),
        Base::Workspace { .. } => Scratch::Disk(dir.join("scratch")),
    }
}

/// `shop-3fk2m9qa`: tells people which copy they look at.
pub(super) fn hostname(spec: &InstanceSpec) -> String {
    format!("{}-{}", spec.service, spec.id.short())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_have_names_that_cannot_leave() {
        for good in ["npm", "shop/npm", "a-1/b/c"] {
            assert!(is_cache_name(good), "{good}");
        }
        for bad in ["", "/", "a/", "/a", "a//b", "..", "a/../b", "A", "a.b", "a\0"] {
            assert!(!is_cache_name(bad), "{bad}");
        }
    }

    #[test]
    fn mounts_keep_away_from_what_is_not_theirs() {
        let data = Path::new("/var/lib/orlop");
        let refused = |mount: Mount| check_mount(&mount, data).expect_err(&format!("{mount:?}")).message;
        for path in [
            "/",
            "/var",
            "/var/lib/orlop",
            "/var/lib/orlop/instances",
            "/proc/1",
            "/etc",
            "/dev",
            "relative",
            "/a/../b",
        ] {
            refused(Mount::Host { path: path.into() });
        }
        for target in ["/", "/usr/local", "/etc/x", "/app/x", "x", "/a/../b", "/proc"] {
            refused(Mount::Platform { target: target.into() });
            refused(Mount::Cache { name: "npm".into(), target: target.into() });
        }
        assert!(check_mount(&Mount::Cache { name: "npm".into(), target: "/home/app/.npm".into() }, data).is_ok());
        assert!(check_mount(&Mount::Host { path: "/usr".into() }, data).is_ok());
    }
}
