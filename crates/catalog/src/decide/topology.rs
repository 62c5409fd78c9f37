use std::collections::{BTreeMap, BTreeSet, VecDeque};

use api::catalog::{Dependent, TopologyNeed};
use base::{EnvironmentName, NeedName, ServiceName, TeamName};
use facts::{InstancesWanted, NeedKind};

/// Who owns what, of all that is in use and that the caller may see.
pub(crate) type Owners = BTreeMap<ServiceName, TeamName>;

/// Something that is needed, under the name that who needs it gave it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Needed {
    name: NeedName,
    /// A service of this installation.
    service: Option<ServiceName>,
    /// `host:port` of something outside.
    external: Option<String>,
}

/// What one service needs, and in which environments.
pub(crate) type Needs = BTreeMap<Needed, BTreeSet<EnvironmentName>>;

/// What a service needs as the wishes for its instances say it: what runs, not what a file somewhere says.
pub(crate) fn needed<'a>(wanted: impl IntoIterator<Item = &'a InstancesWanted>) -> Needs {
    let mut found = Needs::new();
    for place in wanted {
        for (name, need) in place.sets.iter().flat_map(|set| &set.needs) {
            let (service, external) = match &need.kind {
                NeedKind::Service(service) => (Some(service.clone()), None),
                NeedKind::External => (None, Some(format!("{}:{}", need.host, need.port))),
            };
            let needed = Needed { name: name.clone(), service, external };
            found.entry(needed).or_default().insert(place.environment.clone());
        }
    }
    found
}

/// Who needs whom, in one environment or in all. Services that are not among the owners are left out.
pub(crate) fn needs<'a>(
    all: impl IntoIterator<Item = (&'a ServiceName, &'a Needs)>,
    owners: &Owners,
    only: Option<&EnvironmentName>,
) -> Vec<TopologyNeed> {
    let mut found = Vec::new();
    for (from, needs) in all.into_iter().filter(|(from, _)| owners.contains_key(*from)) {
        for (needed, environments) in needs {
            let environments: Vec<EnvironmentName> =
                environments.iter().filter(|one| only.is_none_or(|only| only == *one)).cloned().collect();
            if environments.is_empty() || needed.service.as_ref().is_some_and(|to| !owners.contains_key(to)) {
                continue;
            }
            found.push(TopologyNeed {
                from: from.clone(),
                name: needed.name.clone(),
                service: needed.service.clone(),
                external: needed.external.clone(),
                environments,
            });
        }
    }
    found
}

/// Everything that needs a service, directly or through others, nearest first; each once, by the
/// shortest way, the first by name where there are several.
pub(crate) fn dependents(service: &ServiceName, needs: &[TopologyNeed], owners: &Owners) -> Vec<Dependent> {
    let mut needed_by: BTreeMap<&ServiceName, BTreeSet<&ServiceName>> = BTreeMap::new();
    for need in needs {
        if let Some(to) = &need.service {
            needed_by.entry(to).or_default().insert(&need.from);
        }
    }
    let mut seen = BTreeSet::from([service]);
    let mut queue = VecDeque::from([(service, vec![service.clone()])]);
    let mut out = Vec::new();
    while let Some((at, way)) = queue.pop_front() {
        for from in needed_by.get(at).into_iter().flatten() {
            let Some(team) = owners.get(*from) else { continue };
            if !seen.insert(from) {
                continue;
            }
            let through: Vec<ServiceName> = std::iter::once((*from).clone()).chain(way.iter().cloned()).collect();
            let distance = u32::try_from(way.len()).unwrap_or(u32::MAX);
            out.push(Dependent { service: (*from).clone(), team: team.clone(), distance, through: through.clone() });
            queue.push_back((from, through));
        }
    }
    out
}

/// What breaks, in one line.
pub(crate) fn impact(service: &ServiceName, dependents: &[Dependent]) -> String {
    let direct = dependents.iter().filter(|d| d.distance == 1).count();
    let further = dependents.len().saturating_sub(direct);
    let teams: BTreeSet<&TeamName> = dependents.iter().map(|d| &d.team).collect();
    let count = |n: usize, noun: &str| format!("{n} {noun}{}", if n == 1 { "" } else { "s" });
    match (direct, further) {
        (0, _) => format!("if {service} is down, no other service that you may see is affected"),
        (_, 0) => format!(
            "if {service} is down, it takes {} of {} with it",
            count(direct, "service"),
            count(teams.len(), "team")
        ),
        _ => format!(
            "if {service} is down, it takes {} of {} with it: {direct} directly, {further} through others",
            count(dependents.len(), "service"),
            count(teams.len(), "team")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ServiceName {
        text.parse().unwrap()
    }

    fn owners(names: &[&str]) -> Owners {
        names.iter().map(|n| (name(n), "pay".parse().unwrap())).collect()
    }

    fn need(from: &str, to: &str) -> TopologyNeed {
        TopologyNeed {
            from: name(from),
            name: to.parse().unwrap(),
            service: Some(name(to)),
            external: None,
            environments: vec!["dev".parse().unwrap()],
        }
    }

    fn check(needs: &[(&str, &str)], down: &str, expect: &[&str]) {
        let needs: Vec<TopologyNeed> = needs.iter().map(|(from, to)| need(from, to)).collect();
        let told: Vec<String> = dependents(&name(down), &needs, &owners(&["a", "b", "c", "d", "e"]))
            .into_iter()
            .map(|d| {
                let way: Vec<&str> = d.through.iter().map(ServiceName::as_str).collect();
                format!("{} {}", d.distance, way.join(">"))
            })
            .collect();
        assert_eq!(told, expect);
    }

    #[test]
    fn dependents_come_by_the_shortest_way_and_circles_end() {
        check(&[], "a", &[]);
        check(&[("b", "a"), ("c", "b"), ("d", "c"), ("d", "a")], "a", &["1 b>a", "1 d>a", "2 c>b>a"]);
        check(&[("a", "b"), ("b", "a"), ("c", "c")], "a", &["1 b>a"]);
        check(&[("hidden", "a"), ("b", "hidden")], "a", &[]);
    }

    #[test]
    fn the_answer_counts() {
        let of = |needs: &[(&str, &str)]| {
            let needs: Vec<TopologyNeed> = needs.iter().map(|(from, to)| need(from, to)).collect();
            impact(&name("a"), &dependents(&name("a"), &needs, &owners(&["a", "b", "c", "d"])))
        };
        assert_eq!(of(&[]), "if a is down, no other service that you may see is affected");
        assert_eq!(of(&[("b", "a")]), "if a is down, it takes 1 service of 1 team with it");
        assert_eq!(
            of(&[("b", "a"), ("d", "a"), ("c", "b")]),
            "if a is down, it takes 3 services of 1 team with it: 2 directly, 1 through others"
        );
    }
}
