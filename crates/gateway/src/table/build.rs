use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use base::InstanceId;
use http::HeaderValue;
use ports::Snapshot;

use super::{Backend, Instance, Registry, Route, Table};

/// Makes tables out of snapshots; what was known before keeps its connections and counts.
#[derive(Debug)]
pub(crate) struct Builder {
    workers: usize,
    /// All instances of the table served and those that still have requests.
    instances: HashMap<(InstanceId, SocketAddr), Arc<Instance>>,
}

impl Builder {
    /// `workers` is the number of connection pools per instance.
    pub(crate) fn new(workers: usize) -> Self {
        Self { workers, instances: HashMap::new() }
    }

    /// The table of a valid snapshot.
    pub(crate) fn build(&mut self, snapshot: Arc<Snapshot>, counters: &Registry) -> Table {
        let mut routes = HashMap::new();
        for route in &snapshot.routes {
            let built = Arc::new(self.route(route, counters));
            for host in &route.hosts {
                routes.insert(Box::from(host.as_str()), Arc::clone(&built));
            }
        }
        let route_count = snapshot.routes.len() as u64;
        Table { snapshot: Some(snapshot), routes, route_count }
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
            backends,
            shares,
            none: counters.get(service, environment, None),
        }
    }

    fn instance(&mut self, instance: &ports::Instance) -> Arc<Instance> {
        let (id, address, workers) = (instance.id, instance.address, self.workers);
        let known =
            self.instances.entry((id, address)).or_insert_with(|| Arc::new(Instance::new(id, address, workers)));
        known.revive();
        Arc::clone(known)
    }

    /// Retires what the table that is now served does not have; forgets those without requests.
    pub(crate) fn settle(&mut self, table: &Table) {
        let current: std::collections::HashSet<(InstanceId, SocketAddr)> = table
            .routes
            .values()
            .flat_map(|r| &r.backends)
            .flat_map(|b| &b.instances)
            .map(|i| (i.id, i.address))
            .collect();
        self.instances.retain(|key, instance| {
            let is_current = current.contains(key);
            if !is_current {
                instance.retire();
            }
            is_current || instance.in_flight() > 0
        });
    }

    /// Every instance that is served or still has requests.
    pub(crate) fn instances(&self) -> Vec<Arc<Instance>> {
        self.instances.values().cloned().collect()
    }
}
