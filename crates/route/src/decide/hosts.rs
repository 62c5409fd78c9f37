use std::collections::{BTreeMap, BTreeSet};

use base::HostName;
use facts::TrafficWanted;

use crate::model::{Claims, Place};

/// Which host names each place answers for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Hosts {
    /// Who has which custom host name from now on.
    pub claims: Claims,
    /// The host names of each place that is open, its own first.
    pub of: BTreeMap<Place, Vec<HostName>>,
    /// Why a place did not get what it asked for.
    pub problems: BTreeMap<Place, String>,
    /// Who did not get which name because another has it.
    pub waiting: BTreeSet<(HostName, Place)>,
}

/// Decides about host names: who had one keeps it while asking for it; a free one goes to the
/// first in order of names. Names beneath the installation's domain are the platform's. `before`
/// has at least the names that these places have or ask for; those of other places stay theirs.
pub(crate) fn hosts(wishes: &[TrafficWanted], before: &Claims, domain: &HostName) -> Hosts {
    let mut out = Hosts::default();
    let here: BTreeSet<Place> = wishes.iter().map(place).collect();
    let open = wishes.iter().filter(|w| !w.closed);
    let asked: BTreeMap<Place, &Vec<HostName>> = open.map(|w| (place(w), &w.hosts)).collect();
    for (host, owner) in before {
        if !here.contains(owner) || asked.get(owner).is_some_and(|hosts| hosts.contains(host)) {
            out.claims.insert(host.clone(), owner.clone());
        }
    }
    for (place, hosts) in asked {
        let mut names = vec![HostName::of_service(&place.service, &place.environment, domain)];
        for host in hosts {
            match claim(&mut out.claims, host, &place, domain) {
                Ok(()) => names.push(host.clone()),
                Err(problem) => {
                    out.problems.insert(place.clone(), problem);
                }
            }
            if out.claims.get(host).is_some_and(|owner| *owner != place) {
                out.waiting.insert((host.clone(), place.clone()));
            }
        }
        names.dedup();
        out.of.insert(place, names);
    }
    out
}

fn claim(claims: &mut Claims, host: &HostName, place: &Place, domain: &HostName) -> Result<(), String> {
    let own = HostName::of_service(&place.service, &place.environment, domain);
    let beneath = host == domain || host.as_str().ends_with(&format!(".{domain}"));
    if beneath && *host != own {
        return Err(format!(
            "host {host} is beneath the installation's own domain {domain}; use another name in `routes`"
        ));
    }
    match claims.get(host) {
        Some(owner) if owner != place => Err(format!(
            "host {host} is already taken by service {} in {}; remove it there or use another name in `routes`",
            owner.service, owner.environment
        )),
        _ => {
            if *host != own {
                claims.insert(host.clone(), place.clone());
            }
            Ok(())
        }
    }
}

pub(crate) fn place(wish: &TrafficWanted) -> Place {
    Place { service: wish.service.clone(), environment: wish.environment.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(service: &str, hosts: &[&str], closed: bool) -> TrafficWanted {
        TrafficWanted {
            service: service.parse().unwrap(),
            environment: "dev".parse().unwrap(),
            hosts: hosts.iter().map(|h| h.parse().unwrap()).collect(),
            shares: Vec::new(),
            closed,
        }
    }

    /// `expect`: for each place its hosts, or what its problem contains.
    fn check(wishes: &[TrafficWanted], before: &[(&str, &str)], expect: &[(&str, &[&str], &str)]) {
        let place_of = |s: &str| Place { service: s.parse().unwrap(), environment: "dev".parse().unwrap() };
        let before = before.iter().map(|(h, s)| (h.parse().unwrap(), place_of(s))).collect();
        let out = hosts(wishes, &before, &"localhost".parse().unwrap());
        for (service, names, problem) in expect {
            let place = place_of(service);
            let got: Vec<_> = out.of.get(&place).map(|h| h.iter().map(HostName::as_str).collect()).unwrap_or_default();
            assert_eq!(got, *names, "{service}");
            match out.problems.get(&place) {
                Some(text) => assert!(!problem.is_empty() && text.contains(problem), "{text}"),
                None => assert!(problem.is_empty(), "{service} has no problem"),
            }
        }
    }

    #[test]
    fn each_has_its_own_and_what_is_free() {
        check(
            &[wish("a", &["a.example"], false), wish("b", &["b.example"], false), wish("c", &["c.example"], true)],
            &[],
            &[
                ("a", &["a-dev.localhost", "a.example"], ""),
                ("b", &["b-dev.localhost", "b.example"], ""),
                ("c", &[], ""),
            ],
        );
    }

    #[test]
    fn who_has_a_name_keeps_it() {
        let both = [wish("a", &["x.example"], false), wish("b", &["x.example"], false)];
        let taken = "already taken by service b in dev";
        check(
            &both,
            &[("x.example", "b")],
            &[("a", &["a-dev.localhost"], taken), ("b", &["b-dev.localhost", "x.example"], "")],
        );
        let left = [wish("a", &["x.example"], false), wish("b", &[], false)];
        check(
            &left,
            &[("x.example", "b")],
            &[("a", &["a-dev.localhost", "x.example"], ""), ("b", &["b-dev.localhost"], "")],
        );
    }

    #[test]
    fn names_of_others_stay_theirs_and_who_waits_is_known() {
        let asks = [wish("a", &["x.example"], false)];
        check(
            &asks,
            &[("x.example", "b"), ("y.example", "b")],
            &[("a", &["a-dev.localhost"], "already taken by service b")],
        );
        let place = |s: &str| Place { service: s.parse().unwrap(), environment: "dev".parse().unwrap() };
        let before =
            Claims::from([("x.example".parse().unwrap(), place("b")), ("y.example".parse().unwrap(), place("b"))]);
        let out = hosts(&asks, &before, &"localhost".parse().unwrap());
        assert_eq!(out.claims, before);
        assert_eq!(out.waiting, BTreeSet::from([("x.example".parse().unwrap(), place("a"))]));
        let both = [wish("a", &["x.example"], false), wish("b", &["y.example"], false)];
        let out = hosts(&both, &before, &"localhost".parse().unwrap());
        assert!(out.waiting.is_empty() && out.problems.is_empty(), "what is given up goes to who waited");
    }

    #[test]
    fn the_platforms_domain_cannot_be_taken() {
        let thief = [wish("a", &["b-dev.localhost"], false), wish("b", &["b-dev.localhost"], false)];
        check(&thief, &[], &[("a", &["a-dev.localhost"], "own domain"), ("b", &["b-dev.localhost"], "")]);
    }
}
