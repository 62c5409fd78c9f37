use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use base::InstanceId;
use http::HeaderValue;
use ports::{Address, SnapshotChange};

use super::{Backend, Book, Instance, Registry, Route, Table};

/// One instance at one address.
type Key = (InstanceId, Address);

/// Makes tables out of what is given; what was known before keeps its connections and counts.
#[derive(Debug)]
pub(crate) struct Builder {
    workers: usize,
    /// All instances of the table served and those that still have requests.
    instances: HashMap<Key, Arc<Instance>>,
    /// Those of them that are no longer served.
    leaving: HashSet<Key>,
}

impl Builder {
    /// `workers` is the number of connection pools per instance.
    pub(crate) fn new(workers: usize) -> Self {
        Self { workers, instances: HashMap::new(), leaving: HashSet::new() }
    }

    /// The table of a whole book.
    pub(crate) fn build(&mut self, book: &Book, counters: &Registry) -> Table {
        let mut table = Table { generation: book.generation(), ..Table::default() };
        for route in book.routes() {
            self.put(&mut table, route, counters);
        }
        table.route_count = book.routes().len() as u64;
        table
    }

    /// The table that follows upon one: `old` are the routes that were replaced or removed.
    pub(crate) fn change(
        &mut self,
        served: &Table,
        change: &SnapshotChange,
        old: &[Arc<ports::Route>],
        counters: &Registry,
    ) -> Table {
        let mut table = Table { generation: change.generation, routes: served.routes.clone(), route_count: 0 };
        for host in old.iter().flat_map(|route| &route.hosts) {
            table.routes.remove(host.as_str());
        }
        for route in &change.routes {
            self.put(&mut table, route, counters);
        }
        let gone = old.len() as u64;
        let new = change.routes.len() as u64;
        table.route_count = served.route_count.saturating_add(new).saturating_sub(gone);
        table
    }

    fn put(&mut self, table: &mut Table, route: &ports::Route, counters: &Registry) {
        let built = Arc::new(self.route(route, counters));
        for host in &route.hosts {
            table.routes.insert(Arc::from(host.as_str()), Arc::clone(&built));
        }
    }

    fn route(&mut self, route: &ports::Route, counters: &Registry) -> Route {
        let (service, environment) = (&route.service, &route.environment);
        let mut shares = Vec::new();
        let mut total = 0u32;
        let mut backends = Vec::new();
        for (at, backend) in route.backends.iter().enumerate() {
            if backend.weight > 0 && !backend.instances.is_empty() {
                total = total.saturating_add(u32::from(backend.weight));
                shares.push((total, at));
            }
            let release = backend.release;
            backends.push(Arc::new(Backend {
                rollout: backend.rollout,
                release,
                release_header: HeaderValue::try_from(release.to_string())
                    .unwrap_or_else(|_| HeaderValue::from_static("unknown")),
                log_part: format!(",\"rollout\":\"{}\",\"release\":\"{release}\"", backend.rollout).into_bytes(),
                instances: backend.instances.iter().map(|i| self.instance(i)).collect(),
                counters: counters.get(service, environment, Some((backend.rollout, release))),
            }));
        }
        Route {
            service: service.clone(),
            environment: environment.clone(),
            log_part: format!(",\"service\":\"{service}\",\"environment\":\"{environment}\"").into_bytes(),
            backends,
            shares,
            none: counters.get(service, environment, None),
        }
    }

    fn instance(&mut self, instance: &ports::Instance) -> Arc<Instance> {
        let (id, address, workers) = (instance.id, &instance.address, self.workers);
        let make = || Arc::new(Instance::new(id, address.clone(), workers));
        let known = self.instances.entry((id, address.clone())).or_insert_with(make);
        known.revive();
        self.leaving.remove(&(id, address.clone()));
        Arc::clone(known)
    }

    /// Retires what the table that is now served does not have; forgets those without requests.
    pub(crate) fn settle(&mut self, table: &Table) {
        let backends = table.routes.values().flat_map(|route| &route.backends);
        let current: HashSet<Key> = backends.flat_map(|b| &b.instances).map(|i| (i.id, i.address.clone())).collect();
        let gone: Vec<Key> = self.instances.keys().filter(|key| !current.contains(*key)).cloned().collect();
        self.retire(gone);
    }

    /// The same after a change.
    pub(crate) fn settle_change(&mut self, change: &SnapshotChange, old: &[Arc<ports::Route>]) {
        let keys = |route: &ports::Route| -> Vec<Key> {
            route.backends.iter().flat_map(|b| &b.instances).map(|i| (i.id, i.address.clone())).collect()
        };
        let current: HashSet<Key> = change.routes.iter().flat_map(keys).collect();
        self.retire(old.iter().flat_map(|route| keys(route)).filter(|key| !current.contains(key)).collect());
    }

    fn retire(&mut self, gone: Vec<Key>) {
        for key in gone {
            if let Some(instance) = self.instances.get(&key) {
                instance.retire();
                self.leaving.insert(key);
            }
        }
        let Self { instances, leaving, .. } = self;
        leaving.retain(|key| {
            let busy = instances.get(key).is_some_and(|instance| instance.in_flight() > 0);
            if !busy {
                instances.remove(key);
            }
            busy
        });
    }

    /// Every instance that is served or still has requests.
    pub(crate) fn instances(&self) -> Vec<Arc<Instance>> {
        self.instances.values().cloned().collect()
    }
}
