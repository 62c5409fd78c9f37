use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use base::{EnvironmentName, ReleaseId, RolloutId, ServiceName};
use parking_lot::Mutex;
use ports::{BackendCounters, LATENCY_BOUNDS_MS};

/// Rollouts that are remembered; beyond this those that get no traffic any more are forgotten.
const REMEMBERED: usize = 20_000;

/// One finished request, as it is counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Done {
    pub(crate) status: u16,
    /// The answer is the gateway's own, for a fault of it or of the way to the instance.
    pub(crate) fault: bool,
    /// Time to the head of the answer.
    pub(crate) head: Duration,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
}

/// One worker's part of the counters: on its own cache lines, written by one thread.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    by_class: [AtomicU64; 5],
    faults: AtomicU64,
    latency: [AtomicU64; 13],
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

/// Counts of one route and rollout.
#[derive(Debug)]
pub(crate) struct Counters {
    service: ServiceName,
    environment: EnvironmentName,
    backend: Option<(RolloutId, ReleaseId)>,
    shards: Box<[Shard]>,
}

impl Counters {
    /// Counts a finished request.
    pub(crate) fn count(&self, worker: usize, done: Done) {
        let Some(shard) = self.shards.get(worker) else { return };
        let class = usize::from(done.status / 100).saturating_sub(1);
        if let Some(count) = shard.by_class.get(class) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        if done.fault {
            shard.faults.fetch_add(1, Ordering::Relaxed);
        }
        let within = |ms: &u32| done.head <= Duration::from_millis(u64::from(*ms));
        let bucket = LATENCY_BOUNDS_MS.iter().position(within).unwrap_or(LATENCY_BOUNDS_MS.len());
        if let Some(count) = shard.latency.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        shard.bytes_in.fetch_add(done.bytes_in, Ordering::Relaxed);
        shard.bytes_out.fetch_add(done.bytes_out, Ordering::Relaxed);
    }

    /// Whether there was a request at all.
    fn has_counted(&self) -> bool {
        self.shards.iter().any(|shard| {
            let mut counts = shard.by_class.iter().chain(&shard.latency).chain([&shard.faults]);
            counts.any(|count| count.load(Ordering::Relaxed) > 0)
        })
    }

    fn read(&self) -> BackendCounters {
        let sum = |pick: fn(&Shard) -> &AtomicU64| {
            self.shards.iter().map(|s| pick(s).load(Ordering::Relaxed)).fold(0u64, u64::saturating_add)
        };
        let mut out = BackendCounters {
            service: self.service.clone(),
            environment: self.environment.clone(),
            rollout: self.backend.map(|b| b.0),
            release: self.backend.map(|b| b.1),
            by_class: [0; 5],
            gateway_errors: sum(|s| &s.faults),
            latency_buckets: [0; 13],
            bytes_in: sum(|s| &s.bytes_in),
            bytes_out: sum(|s| &s.bytes_out),
        };
        for shard in &self.shards {
            for (to, from) in out.by_class.iter_mut().zip(&shard.by_class) {
                *to = to.saturating_add(from.load(Ordering::Relaxed));
            }
            for (to, from) in out.latency_buckets.iter_mut().zip(&shard.latency) {
                *to = to.saturating_add(from.load(Ordering::Relaxed));
            }
        }
        out
    }
}

type Key = (ServiceName, EnvironmentName, Option<RolloutId>);

/// The counters of all routes since the start; they outlive the snapshots.
#[derive(Debug)]
pub(crate) struct Registry {
    workers: usize,
    counters: Mutex<HashMap<Key, Arc<Counters>>>,
    /// Looked through again when there are more than this.
    full: AtomicUsize,
}

impl Registry {
    pub(crate) fn new(workers: usize) -> Self {
        Self { workers, counters: Mutex::default(), full: AtomicUsize::new(REMEMBERED) }
    }

    /// The counters of a rollout behind a route, or of what no instance answered.
    pub(crate) fn get(
        &self,
        service: &ServiceName,
        environment: &EnvironmentName,
        backend: Option<(RolloutId, ReleaseId)>,
    ) -> Arc<Counters> {
        let key = (service.clone(), environment.clone(), backend.map(|b| b.0));
        let make = || {
            Arc::new(Counters {
                service: service.clone(),
                environment: environment.clone(),
                backend,
                shards: (0..self.workers).map(|_| Shard::default()).collect(),
            })
        };
        self.counters.lock().entry(key).or_insert_with(make).clone()
    }

    /// Forgets what gets no traffic any more, once there is too much of it.
    pub(crate) fn trim(&self) {
        let mut counters = self.counters.lock();
        if counters.len() > self.full.load(Ordering::Relaxed) {
            counters.retain(|_, c| Arc::strong_count(c) > 1);
            // Where so many are in use, looking at each of them with every change would find nothing.
            self.full.store(counters.len().saturating_mul(2).max(REMEMBERED), Ordering::Relaxed);
        }
    }

    /// The counters of one service or of all that counted anything, in a stable order.
    pub(crate) fn read(&self, of: Option<&ServiceName>) -> Vec<BackendCounters> {
        let counters = self.counters.lock();
        let asked = counters.values().filter(|c| of.is_none_or(|service| c.service == *service));
        let mut all: Vec<_> = asked.filter(|c| c.has_counted()).map(|c| c.read()).collect();
        drop(counters);
        all.sort_by(|a, b| (&a.service, &a.environment, a.rollout).cmp(&(&b.service, &b.environment, b.rollout)));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_add_up_and_buckets_include_their_bound() {
        let registry = Registry::new(2);
        let counters = registry.get(&"a".parse().unwrap(), &"dev".parse().unwrap(), None);
        let done = |status, ms| Done {
            status,
            fault: status == 502,
            head: Duration::from_millis(ms),
            bytes_in: 1,
            bytes_out: 2,
        };
        for (worker, status, ms) in [(0, 200, 1), (1, 200, 2), (1, 404, 3), (0, 502, 6000), (1, 101, 0)] {
            counters.count(worker, done(status, ms));
        }
        registry.get(&"a".parse().unwrap(), &"idle".parse().unwrap(), None);
        registry.get(&"b".parse().unwrap(), &"dev".parse().unwrap(), None).count(0, done(200, 1));
        assert_eq!(registry.read(None).len(), 2, "what counted nothing is left out");
        let [got] = &registry.read(Some(&"a".parse().unwrap()))[..] else { panic!("the counters of `a` alone") };
        assert_eq!(got.by_class, [1, 2, 0, 1, 1]);
        assert_eq!(got.gateway_errors, 1);
        assert_eq!(got.latency_buckets, [2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!((got.bytes_in, got.bytes_out), (5, 10));
    }
}
