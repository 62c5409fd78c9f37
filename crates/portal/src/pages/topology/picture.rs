use std::collections::{BTreeMap, BTreeSet};

use api::catalog::{Health, Topology, TopologyService};

use super::View;
use super::rates::Rates;
use crate::components::Tone;
use crate::graph::{Drawing, Look, Node};

/// As many nodes are drawn one by one; more are folded into teams.
const NODES_MAX: usize = 100;

/// The picture, and whether teams are folded in it.
pub(super) struct Picture {
    pub drawing: Drawing,
    pub grouped: bool,
}

/// A node before it is drawn: a service, a folded team, or something outside.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Team(String),
    Service(String),
    Outside(String),
}

fn is_grouped(topology: &Topology, view: &View) -> bool {
    view.group == "team" || (view.group.is_empty() && topology.services.len() > NODES_MAX)
}

/// Whether a service is drawn as a part of its team.
fn is_folded(grouped: bool, service: &str, team: &str, view: &View) -> bool {
    grouped && team != view.open && service != view.focus
}

/// The services that have a node of their own.
pub(super) fn drawn<'a>(topology: &'a Topology, view: &'a View) -> impl Iterator<Item = &'a str> {
    let grouped = is_grouped(topology, view);
    let services = topology.services.iter().map(|one| (one.service.as_str(), one.team.as_str()));
    services.filter(move |(service, team)| !is_folded(grouped, service, team, view)).map(|(service, _)| service)
}

pub(super) fn of(topology: &Topology, rates: &Rates, view: &View) -> Picture {
    let grouped = is_grouped(topology, view);
    let team_of: BTreeMap<&str, &str> =
        topology.services.iter().map(|one| (one.service.as_str(), one.team.as_str())).collect();
    let key_of = |service: &str| -> Option<Key> {
        let team = team_of.get(service)?;
        let folded = is_folded(grouped, service, team, view);
        Some(if folded { Key::Team((*team).to_owned()) } else { Key::Service(service.to_owned()) })
    };
    let mut keys: BTreeSet<Key> = topology.services.iter().filter_map(|one| key_of(one.service.as_str())).collect();
    let mut edges: BTreeMap<(Key, Key), Vec<String>> = BTreeMap::new();
    for need in &topology.needs {
        let to = match (&need.service, &need.external) {
            (Some(service), _) => key_of(service.as_str()),
            (None, Some(external)) => Some(Key::Outside(external.clone())),
            (None, None) => None,
        };
        if let (Some(from), Some(to)) = (key_of(need.from.as_str()), to)
            && from != to
        {
            keys.extend([to.clone()]);
            edges.entry((from, to)).or_default().push(format!("{} needs {}", need.from, need.name));
        }
    }
    let near = neighbours(view, &edges);
    let look = |key: &Key| match (&near, key) {
        (None, _) => Look::Plain,
        (Some(_), Key::Service(name)) if *name == view.focus => Look::Chosen,
        (Some(near), key) if near.contains(key) => Look::Plain,
        _ => Look::Dim,
    };
    let place: BTreeMap<&Key, usize> = keys.iter().enumerate().map(|(at, key)| (key, at)).collect();
    let nodes = keys.iter().map(|key| node(key, topology, rates, view, look(key))).collect();
    let drawn = edges.iter().filter_map(|((from, to), told)| {
        let is_chosen = |key: &Key| look(key) == Look::Chosen;
        let look = match &near {
            None => Look::Plain,
            Some(_) if is_chosen(from) || is_chosen(to) => Look::Chosen,
            Some(_) => Look::Dim,
        };
        Some((*place.get(from)?, *place.get(to)?, told.join("; "), look))
    });
    Picture { drawing: Drawing::new("Services and what they need", nodes, drawn.collect()), grouped }
}

/// What is beside the service that is looked at; nothing where none is.
fn neighbours(view: &View, edges: &BTreeMap<(Key, Key), Vec<String>>) -> Option<BTreeSet<Key>> {
    if view.focus.is_empty() {
        return None;
    }
    let chosen = Key::Service(view.focus.clone());
    let beside = edges.keys().filter_map(|(from, to)| match (from == &chosen, to == &chosen) {
        (true, _) => Some(to.clone()),
        (_, true) => Some(from.clone()),
        _ => None,
    });
    Some(beside.collect())
}

fn node(key: &Key, topology: &Topology, rates: &Rates, view: &View, look: Look) -> Node {
    match key {
        Key::Service(name) => {
            let known = topology.services.iter().find(|one| one.service.as_str() == name);
            let (tone, told) = known.map_or((Tone::Unknown, String::new()), |one| (worst([one]), states(one)));
            let rate = rates.get(name);
            let team = known.map(|one| one.team.to_string()).unwrap_or_default();
            let href = if *name == view.focus { format!("/topology/{name}") } else { view.with("focus", name) };
            Node {
                label: name.clone(),
                below: rate.map_or(team.clone(), |rate| format!("{} · {team}", rate.short())),
                tone,
                told: rate.map_or(format!("{name}: {told}"), |rate| format!("{name}: {told}; {}", rate.told())),
                href,
                look,
                folded: false,
            }
        }
        Key::Team(team) => {
            let of_team: Vec<&TopologyService> =
                topology.services.iter().filter(|one| one.team.as_str() == team).collect();
            let count = of_team.len();
            Node {
                label: team.clone(),
                below: format!("{count} service{}", if count == 1 { "" } else { "s" }),
                tone: worst(of_team),
                told: format!("the {count} services of {team}: unfold them"),
                href: view.with("open", team),
                look,
                folded: true,
            }
        }
        Key::Outside(host) => Node {
            label: host.clone(),
            below: "outside".to_owned(),
            tone: Tone::Quiet,
            told: format!("{host}, outside of the installation"),
            href: view.with("focus", ""),
            look,
            folded: false,
        },
    }
}

/// The worst state of all of them: the one to look at first.
fn worst<'a>(services: impl IntoIterator<Item = &'a TopologyService>) -> Tone {
    let healths = services.into_iter().flat_map(|one| &one.environments).map(|place| match place.health {
        Health::Down => Tone::Bad,
        Health::Degraded => Tone::Warn,
        Health::Changing => Tone::Busy,
        Health::Unknown => Tone::Unknown,
        Health::Healthy => Tone::Good,
        Health::Empty => Tone::Quiet,
    });
    healths.min().unwrap_or(Tone::Quiet)
}

fn states(one: &TopologyService) -> String {
    let states: Vec<String> =
        one.environments.iter().map(|place| format!("{} in {}", place.health.word(), place.environment)).collect();
    states.join(", ")
}

#[cfg(test)]
mod tests {
    use api::catalog::{TopologyNeed, TopologyPlace};

    use super::*;

    fn topology(services: usize, needs: &[(usize, usize)]) -> Topology {
        let name = |n: usize| -> base::ServiceName { format!("s{n:03}").parse().unwrap() };
        let service = |n: usize| TopologyService {
            service: name(n),
            team: format!("team-{}", n % 7).parse().unwrap(),
            environments: vec![TopologyPlace {
                environment: "prod".parse().unwrap(),
                health: if n == 5 { Health::Down } else { Health::Healthy },
                url: None,
            }],
        };
        let need = |(from, to): &(usize, usize)| TopologyNeed {
            from: name(*from),
            name: "it".parse().unwrap(),
            service: Some(name(*to)),
            external: None,
            environments: Vec::new(),
        };
        let outside = TopologyNeed { service: None, external: Some("api.example.com:443".into()), ..need(&(0, 0)) };
        Topology {
            services: (0..services).map(service).collect(),
            needs: needs.iter().map(need).chain([outside]).collect(),
        }
    }

    fn drawn(topology: &Topology, view: &View) -> (usize, usize, String, bool) {
        let picture = of(topology, &Rates::new(), view);
        let text = picture.drawing.to_string();
        (text.matches("class=\"node").count(), text.matches("class=\"edge").count(), text, picture.grouped)
    }

    #[test]
    fn a_hundred_are_drawn_and_more_are_folded_by_team() {
        let (nodes, edges, _, grouped) = drawn(&topology(100, &[(0, 1), (1, 2)]), &View::default());
        assert_eq!((nodes, edges, grouped), (101, 3, false));
        let (nodes, _, text, grouped) = drawn(&topology(700, &[(0, 1), (1, 8)]), &View::default());
        assert_eq!((nodes, grouped), (8, true));
        assert!(text.contains("100 services"), "{text}");
        let open = View { open: "team-1".into(), ..View::default() };
        assert_eq!(drawn(&topology(700, &[(0, 1)]), &open).0, 107);
    }

    #[test]
    fn who_is_looked_at_stands_out_with_its_neighbours() {
        let view = View { focus: "s001".into(), ..View::default() };
        let (_, _, text, _) = drawn(&topology(6, &[(0, 1), (1, 2), (3, 4)]), &view);
        assert_eq!(text.matches("class=\"node good chosen\"").count(), 1, "{text}");
        assert_eq!(text.matches("class=\"edge chosen\"").count(), 2);
        assert_eq!(text.matches(" dim\"").count(), 4 + 2, "three, four, five and what is outside; two edges");
    }

    #[test]
    fn a_folded_team_shows_the_worst_of_it() {
        let view = View { group: "team".into(), ..View::default() };
        let (_, _, text, _) = drawn(&topology(20, &[]), &view);
        assert_eq!(text.matches("class=\"node bad folded\"").count(), 1, "{text}");
    }
}
