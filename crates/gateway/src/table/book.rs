use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use base::{Generation, HostName, Problem, Result};
use ports::{Address, Route, RouteName, SNAPSHOT_FORMAT, Snapshot, SnapshotChange, other_base};

use super::validate::{ROUTES_MAX, Seen, bad, bound, check_format, check_generation, check_route};

/// What is served, as it was given, with indexes: a change is checked against it at the cost of
/// what changes, under the rules that [`super::validate`] has for the whole.
#[derive(Debug, Default)]
pub(crate) struct Book {
    generation: Generation,
    routes: BTreeMap<RouteName, Arc<Route>>,
    hosts: HashMap<HostName, RouteName>,
    addresses: HashMap<Address, RouteName>,
}

impl Book {
    /// The book of a snapshot that was found valid.
    pub(crate) fn of(snapshot: Snapshot) -> Self {
        let mut book = Self { generation: snapshot.generation, ..Self::default() };
        for route in snapshot.routes {
            book.insert(Arc::new(route));
        }
        book
    }

    /// The generation served; 0 where nothing is.
    pub(crate) fn generation(&self) -> Generation {
        self.generation
    }

    /// All routes, in order of their names.
    pub(crate) fn routes(&self) -> impl ExactSizeIterator<Item = &Arc<Route>> {
        self.routes.values()
    }

    /// Whether exactly these routes are served.
    pub(crate) fn has_all(&self, snapshot: &Snapshot) -> bool {
        self.routes.len() == snapshot.routes.len() && snapshot.routes.iter().all(|route| self.has(route))
    }

    fn has(&self, route: &Route) -> bool {
        self.routes.get(&route.name()).is_some_and(|known| **known == *route)
    }

    /// Whether a change is served already: its answer was lost.
    pub(crate) fn has_taken(&self, change: &SnapshotChange) -> bool {
        self.generation == change.generation
            && change.routes.iter().all(|route| self.has(route))
            && change.gone.iter().all(|name| !self.routes.contains_key(name))
    }

    /// Whether a change can be taken.
    ///
    /// # Errors
    /// `other-base`, `stale-generation`, and what a whole snapshot is refused with.
    pub(crate) fn check(&self, change: &SnapshotChange) -> Result<()> {
        check_format(change.format)?;
        if change.generation < self.generation {
            let text = format!("generation {} is older than {}, which is served", change.generation, self.generation);
            return Err(Problem::conflict("stale-generation", text).hint("read the status and send a newer one"));
        }
        if change.base != self.generation || self.generation.0 < 1 {
            return Err(other_base(change.base, &format!("generation {} is served", self.generation)));
        }
        if change.generation <= change.base {
            return Err(bad("the generation does not rise".to_owned(), "generation".to_owned()));
        }
        check_generation(change.generation)?;
        let mut seen = Seen::default();
        for (index, route) in change.routes.iter().enumerate() {
            check_route(route, index, &mut seen)?;
        }
        let mut touched: HashSet<RouteName> = change.routes.iter().map(Route::name).collect();
        if let Some(twice) = change.gone.iter().find(|name| touched.contains(name)) {
            let text = format!("`{}` in `{}` is changed and gone", twice.service, twice.environment);
            return Err(bad(text, "gone".to_owned()));
        }
        touched.extend(change.gone.iter().cloned());
        self.check_others(change, &touched)?;
        let leaving = touched.iter().filter(|name| self.routes.contains_key(name)).count();
        let staying = self.routes.len().saturating_sub(leaving);
        bound(staying.saturating_add(change.routes.len()), ROUTES_MAX, "routes", || "routes".to_owned())
    }

    /// No host and no address of a route that stays.
    fn check_others(&self, change: &SnapshotChange, touched: &HashSet<RouteName>) -> Result<()> {
        let stays = |owner: &&RouteName| !touched.contains(*owner);
        for (index, route) in change.routes.iter().enumerate() {
            let place = || format!("routes[{index}]");
            for host in &route.hosts {
                if let Some(owner) = self.hosts.get(host).filter(stays) {
                    let text = format!("the host `{host}` belongs to `{}` in `{}`", owner.service, owner.environment);
                    return Err(bad(text, place()));
                }
            }
            for one in route.backends.iter().flat_map(|backend| &backend.instances) {
                if let Some(owner) = self.addresses.get(&one.address).filter(stays) {
                    let (service, environment) = (&owner.service, &owner.environment);
                    let text =
                        format!("the address {} of {} is of `{service}` in `{environment}`", one.address, one.id);
                    return Err(bad(text, place()));
                }
            }
        }
        Ok(())
    }

    /// Takes a change that was checked; returns the routes that it replaces or removes.
    pub(crate) fn take(&mut self, change: &SnapshotChange) -> Vec<Arc<Route>> {
        let names = change.routes.iter().map(Route::name).chain(change.gone.iter().cloned());
        let old: Vec<Arc<Route>> = names.filter_map(|name| self.remove(&name)).collect();
        for route in &change.routes {
            self.insert(Arc::new(route.clone()));
        }
        self.generation = change.generation;
        old
    }

    fn insert(&mut self, route: Arc<Route>) {
        let name = route.name();
        self.hosts.extend(route.hosts.iter().map(|host| (host.clone(), name.clone())));
        let instances = route.backends.iter().flat_map(|backend| &backend.instances);
        self.addresses.extend(instances.map(|one| (one.address.clone(), name.clone())));
        self.routes.insert(name, route);
    }

    fn remove(&mut self, name: &RouteName) -> Option<Arc<Route>> {
        let old = self.routes.remove(name)?;
        for host in &old.hosts {
            self.hosts.remove(host);
        }
        for one in old.backends.iter().flat_map(|backend| &backend.instances) {
            self.addresses.remove(&one.address);
        }
        Some(old)
    }

    /// The snapshot, as JSON.
    pub(crate) fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        /// A [`Snapshot`] that is written and not owned.
        #[derive(serde::Serialize)]
        struct Written<'a> {
            format: u32,
            generation: Generation,
            routes: Vec<&'a Route>,
        }
        let routes = self.routes.values().map(|route| &**route).collect();
        serde_json::to_vec(&Written { format: SNAPSHOT_FORMAT, generation: self.generation, routes })
    }
}

#[cfg(test)]
mod tests {
    use base::{InstanceId, ReleaseId, RolloutId, Time};
    use ports::{Backend, Instance};

    use super::*;
    use crate::table::validate;

    fn route(service: &str, host: &str, port: u16) -> Route {
        Route {
            service: service.parse().unwrap(),
            environment: "dev".parse().unwrap(),
            hosts: vec![host.parse().unwrap()],
            backends: vec![Backend {
                rollout: RolloutId::new(Time::from_micros(1), [1; 10]),
                release: ReleaseId::new(Time::from_micros(1), [1; 10]),
                weight: 1,
                instances: vec![Instance {
                    id: InstanceId::new(Time::from_micros(i64::from(port)), [1; 10]),
                    address: Address::Tcp(([127, 0, 0, 1], port).into()),
                }],
            }],
        }
    }

    fn name(service: &str) -> RouteName {
        RouteName { service: service.parse().unwrap(), environment: "dev".parse().unwrap() }
    }

    fn book() -> Book {
        let routes = vec![route("a", "a.localhost", 1), route("b", "b.localhost", 2), route("c", "c.localhost", 3)];
        Book::of(Snapshot { format: 1, generation: Generation(7), routes })
    }

    fn change(routes: Vec<Route>, gone: Vec<RouteName>) -> SnapshotChange {
        SnapshotChange { format: 1, base: Generation(7), generation: Generation(8), routes, gone }
    }

    /// What the whole snapshot would be after a change, made the slow way.
    fn whole(book: &Book, change: &SnapshotChange) -> Snapshot {
        let names: Vec<_> = change.routes.iter().map(Route::name).chain(change.gone.iter().cloned()).collect();
        let staying = book.routes().filter(|route| !names.contains(&route.name())).map(|route| (**route).clone());
        let routes = staying.chain(change.routes.iter().cloned()).collect();
        Snapshot { format: change.format, generation: change.generation, routes }
    }

    /// A change is taken exactly where the whole that comes of it would be.
    fn check(change: SnapshotChange, code: Option<&str>) {
        let mut book = book();
        let whole = whole(&book, &change);
        let got = book.check(&change);
        assert_eq!(got.as_ref().err().map(|p| &*p.code), code, "{got:?}");
        assert_eq!(validate(&whole).err().map(|p| p.code.into_owned()).as_deref(), code, "as the whole");
        if code.is_none() {
            book.take(&change);
            assert!(book.has_all(&whole) && book.has_taken(&change));
            let kept: Snapshot = serde_json::from_slice(&book.to_json().unwrap()).unwrap();
            assert_eq!(Book::of(kept).hosts, book.hosts);
        }
    }

    #[test]
    fn a_change_is_judged_as_the_whole_that_comes_of_it() {
        let bad = Some("bad-snapshot");
        check(change(vec![], vec![]), None);
        check(change(vec![route("a", "other.localhost", 9)], vec![]), None);
        check(change(vec![route("d", "d.localhost", 4)], vec![name("a"), name("nobody")]), None);
        check(change(vec![route("d", "b.localhost", 4)], vec![]), bad);
        check(change(vec![route("d", "d.localhost", 2)], vec![]), bad);
        check(change(vec![route("d", "d.localhost", 4), route("e", "d.localhost", 5)], vec![]), bad);
        check(change(vec![route("d", "d.localhost", 4), route("d", "e.localhost", 5)], vec![]), bad);
        // What a route gives up in the same change is free.
        check(change(vec![route("a", "b.localhost", 2), route("b", "a.localhost", 1)], vec![]), None);
        check(change(vec![route("d", "b.localhost", 2)], vec![name("b")]), None);
        let mut far = route("d", "d.localhost", 4);
        far.backends[0].instances[0].address = "8.8.8.8:80".parse().unwrap();
        check(change(vec![far], vec![]), bad);
        check(SnapshotChange { format: SNAPSHOT_FORMAT + 1, ..change(vec![], vec![]) }, Some("newer-snapshot"));
    }

    #[test]
    fn only_the_right_base_is_taken() {
        let code = |change: &SnapshotChange| book().check(change).unwrap_err().code.into_owned();
        let whole = change(vec![], vec![]);
        assert_eq!(code(&SnapshotChange { base: Generation(6), ..whole.clone() }), "other-base");
        assert_eq!(
            code(&SnapshotChange { base: Generation(8), generation: Generation(9), ..whole.clone() }),
            "other-base"
        );
        assert_eq!(
            code(&SnapshotChange { base: Generation(5), generation: Generation(6), ..whole.clone() }),
            "stale-generation"
        );
        assert_eq!(code(&SnapshotChange { generation: Generation(7), ..whole.clone() }), "bad-snapshot");
        assert_eq!(
            code(&SnapshotChange {
                gone: vec![name("a")],
                routes: vec![route("a", "a.localhost", 1)],
                ..whole.clone()
            }),
            "bad-snapshot"
        );
        let nothing = Book::default().check(&SnapshotChange { base: Generation(0), ..whole }).unwrap_err();
        assert_eq!(nothing.code, "other-base", "a gateway without a snapshot wants a whole one");
    }
}
