//! What an instance finds in `/etc`: a few files of the host that libraries expect, and the names
//! of its own small world.

use ports::Network;

use super::INSIDE_ID;
use crate::launch::Plan;
use crate::net::Inside;

/// Files of the host that are copied.
const COPIED: [&str; 13] = [
    "ld.so.cache",
    "ld.so.conf",
    "localtime",
    "timezone",
    "resolv.conf",
    "mime.types",
    "services",
    "protocols",
    "host.conf",
    "gai.conf",
    "os-release",
    "debian_version",
    "ca-certificates.conf",
];
/// Directories of the host that are lent read-only.
pub(super) const LENT: [&str; 6] = ["ssl", "ca-certificates", "pki", "alternatives", "ld.so.conf.d", "fonts"];

/// Which files of the host are copied: in a network of its own no name server can be asked.
pub(super) fn copied(plan: &Plan) -> impl Iterator<Item = &'static str> {
    let no_servers = plan.has_own_network();
    COPIED.into_iter().filter(move |name| !(no_servers && *name == "resolv.conf"))
}

/// Files that are made for the instance: name and content.
pub(super) fn made(plan: &Plan, host_hosts: &str) -> Vec<(&'static str, String)> {
    let id = INSIDE_ID;
    // In a network of its own no name server answers: the names that mean something are written down.
    let names = if plan.has_own_network() { "files" } else { "files dns" };
    vec![
        (
            "passwd",
            format!(
                "root:x:0:0:root:/nonexistent:/usr/sbin/nologin\napp:x:{id}:{id}:app:/home/app:/bin/sh\n\
                 nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
            ),
        ),
        ("group", format!("root:x:0:\napp:x:{id}:\nnogroup:x:65534:\n")),
        ("nsswitch.conf", format!("passwd: files\ngroup: files\nhosts: {names}\nservices: files\nprotocols: files\n")),
        ("hostname", format!("{}\n", plan.hostname)),
        ("hosts", hosts(plan, host_hosts)),
    ]
}

/// `localhost` means IPv4 only: the platform probes and serves 127.0.0.1, and programs that listen
/// on the name `localhost` shall be found there. Of the host's own names the instance learns those
/// that it may connect to. Names beneath `localhost` are this machine (RFC 6761 §6.3), and few
/// resolvers know it: those of its needs are written out. In a network of its own all names lead to
/// what listens inside.
fn hosts(plan: &Plan, host_hosts: &str) -> String {
    let mut out = format!("127.0.0.1 localhost {}\n", plan.hostname);
    if plan.has_own_network() {
        let names = Inside::of(&plan.network).names;
        names.iter().filter(|(name, _)| *name != "localhost").for_each(|(name, ip)| {
            out.push_str(&format!("{ip} {name}\n"));
        });
        return out;
    }
    if let Network::Only(connects) = &plan.network {
        let names: std::collections::BTreeSet<&str> =
            connects.iter().map(|c| c.host.as_str()).filter(|host| host.ends_with(".localhost")).collect();
        names.iter().for_each(|name| out.push_str(&format!("127.0.0.1 {name}\n")));
    }
    for line in host_hosts.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(address) = words.next() else { continue };
        let allowed: Vec<&str> = words
            .filter(|name| *name != "localhost" && *name != plan.hostname)
            .filter(|name| match &plan.network {
                Network::Host => !address.starts_with("127.") && address.contains('.'),
                Network::Only(connects) => connects.iter().any(|c| c.host == *name),
            })
            .collect();
        if !allowed.is_empty() {
            out.push_str(&format!("{address} {}\n", allowed.join(" ")));
        }
    }
    out
}
