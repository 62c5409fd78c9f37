use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base::InstanceId;
use parking_lot::Mutex;
use ports::Address;

use crate::upstream::Conn;

/// Failures in a row after which an instance gets no traffic for a while.
const FAILURES_MAX: u32 = 3;
/// The first such while; it doubles with every further failure.
const EJECT_FIRST_MS: u64 = 500;
/// The longest such while.
const EJECT_MAX_MS: u64 = 10_000;

/// One instance, with its connections; it lives as long as a snapshot or a request knows it.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) id: InstanceId,
    pub(crate) address: Address,
    /// `,"instance":"…"` for the access log.
    pub(crate) log_part: Box<[u8]>,
    in_flight: AtomicU64,
    retired: AtomicBool,
    failures: AtomicU32,
    /// Milliseconds of the gateway's own clock until which it gets no traffic.
    ejected_until_ms: AtomicU64,
    /// Unused connections, one list per worker; the youngest last.
    pools: Box<[Mutex<Vec<Unused>>]>,
}

#[derive(Debug)]
struct Unused {
    conn: Box<Conn>,
    since: Instant,
}

impl Instance {
    pub(crate) fn new(id: InstanceId, address: Address, workers: usize) -> Self {
        Self {
            id,
            address,
            log_part: format!(",\"instance\":\"{id}\"").into_bytes().into(),
            in_flight: AtomicU64::new(0),
            retired: AtomicBool::new(false),
            failures: AtomicU32::new(0),
            ejected_until_ms: AtomicU64::new(0),
            pools: (0..workers).map(|_| Mutex::default()).collect(),
        }
    }

    /// Requests under way.
    pub(crate) fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::SeqCst)
    }

    /// Begins a request, unless the instance has left the snapshot. Counting comes before looking,
    /// as [`Instance::retire`] marks before anyone looks at the count: no request slips between.
    pub(crate) fn begin(self: &Arc<Self>) -> Option<Busy> {
        self.in_flight.fetch_add(1, Ordering::SeqCst);
        let busy = Busy { instance: Arc::clone(self) };
        (!self.retired.load(Ordering::SeqCst)).then_some(busy)
    }

    /// The instance has left the snapshot: no new request, no unused connection.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::SeqCst);
        for pool in &self.pools {
            pool.lock().clear();
        }
    }

    /// The instance is back in the snapshot.
    pub(crate) fn revive(&self) {
        self.retired.store(false, Ordering::SeqCst);
    }

    /// The unused connection that was used last, if it is not older than `max_age`.
    pub(crate) fn take(&self, worker: usize, max_age: Duration) -> Option<Box<Conn>> {
        let mut pool = self.pools.get(worker)?.lock();
        loop {
            let youngest = pool.last()?;
            if youngest.since.elapsed() > max_age {
                return None;
            }
            let conn = pool.pop()?.conn;
            if conn.is_open() {
                return Some(conn);
            }
        }
    }

    /// Keeps a connection whose answer has ended.
    pub(crate) fn put(&self, worker: usize, mut conn: Box<Conn>, max: usize) {
        if self.retired.load(Ordering::SeqCst) {
            return;
        }
        let Some(pool) = self.pools.get(worker) else { return };
        let mut pool = pool.lock();
        if pool.len() >= max {
            pool.retain(|unused| unused.conn.is_open());
        }
        if pool.len() < max {
            conn.rest();
            pool.push(Unused { conn, since: Instant::now() });
        }
        drop(pool);
        // It may have been retired between the look and the push.
        if self.retired.load(Ordering::SeqCst) {
            self.retire();
        }
    }

    /// Closes a worker's connections that nobody used for this long.
    pub(crate) fn sweep(&self, worker: usize, max_age: Duration) {
        if let Some(pool) = self.pools.get(worker) {
            pool.lock().retain(|unused| unused.conn.is_open() && unused.since.elapsed() <= max_age);
        }
    }

    /// The instance answered.
    pub(crate) fn worked(&self) {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
            self.ejected_until_ms.store(0, Ordering::Relaxed);
        }
    }

    /// The instance could not be reached or hung up before answering.
    pub(crate) fn failed(&self, now_ms: u64) {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if let Some(over) = failures.checked_sub(FAILURES_MAX) {
            let span = EJECT_FIRST_MS.saturating_mul(1 << over.min(10)).min(EJECT_MAX_MS);
            self.ejected_until_ms.store(now_ms.saturating_add(span), Ordering::Relaxed);
        }
    }

    /// Whether it gets no traffic for now.
    pub(crate) fn is_ejected(&self, now_ms: u64) -> bool {
        self.ejected_until_ms.load(Ordering::Relaxed) > now_ms
    }
}

/// A request under way at an instance.
#[derive(Debug)]
pub(crate) struct Busy {
    pub(crate) instance: Arc<Instance>,
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.instance.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use base::Time;

    use super::*;

    fn instance() -> Arc<Instance> {
        let id = InstanceId::new(Time::from_micros(1), [0; 10]);
        Arc::new(Instance::new(id, Address::Tcp(([127, 0, 0, 1], 1).into()), 1))
    }

    #[test]
    fn ejection_comes_after_three_failures_grows_and_is_bounded() {
        let instance = instance();
        instance.failed(0);
        instance.failed(0);
        assert!(!instance.is_ejected(0));
        instance.failed(0);
        assert!(instance.is_ejected(499) && !instance.is_ejected(500));
        instance.failed(0);
        assert!(instance.is_ejected(999) && !instance.is_ejected(1000));
        (0..100).for_each(|_| instance.failed(0));
        assert!(instance.is_ejected(9_999) && !instance.is_ejected(10_000));
        instance.worked();
        assert!(!instance.is_ejected(0));
    }

    #[test]
    fn a_retired_instance_takes_no_request_and_counts_those_it_has() {
        let instance = instance();
        let busy = instance.begin().unwrap();
        instance.retire();
        assert!(instance.begin().is_none());
        assert_eq!(instance.in_flight(), 1);
        drop(busy);
        assert_eq!(instance.in_flight(), 0);
        instance.revive();
        assert!(instance.begin().is_some());
    }
}
