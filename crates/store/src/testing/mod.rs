//! For tests of this and other crates (feature `testing`): a throw-away PostgreSQL server, a clock
//! that stands until it is moved, and a seeded source of chance.
#![allow(clippy::expect_used, clippy::panic)]

mod find;
mod plans;
mod postgres;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use base::{Digest, Secret, Time};
use ports::{Clock, Random};

use crate::chain::{Head, Link};
use crate::verify::verify;
use crate::{Options, Store, StoredFact, Tx, Verification};

pub(crate) use plans::note;
pub use plans::{plan, statements};
pub use postgres::Cluster;

/// A wall clock that stands until it is moved; its monotonic side is real.
pub struct TestClock {
    micros: AtomicI64,
    started: Instant,
}

impl TestClock {
    /// A clock that shows this many microseconds since 1970.
    pub fn at(micros: i64) -> Arc<Self> {
        Arc::new(Self { micros: AtomicI64::new(micros), started: Instant::now() })
    }

    /// Moves the clock on.
    pub fn advance(&self, span: Duration) {
        let micros = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        self.micros.fetch_add(micros, Ordering::SeqCst);
    }
}

#[async_trait]
impl Clock for TestClock {
    fn now(&self) -> Time {
        Time::from_micros(self.micros.load(Ordering::SeqCst))
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    async fn sleep(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }
}

/// The same numbers for the same seed (SplitMix64).
pub struct TestRandom(AtomicU64);

impl TestRandom {
    /// A source from a seed.
    pub fn seeded(seed: u64) -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(seed)))
    }
}

impl Random for TestRandom {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let state = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst).wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut word = state;
            word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            word ^= word >> 31;
            for (byte, source) in chunk.iter_mut().zip(word.to_le_bytes()) {
                *byte = source;
            }
        }
    }
}

/// Options with a fixed audit key, no migrations and no hook.
pub fn options(url: &str, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Options {
    Options {
        url: url.to_owned(),
        migrations: Vec::new(),
        audit_key: Secret::new(vec![7; 32]),
        clock,
        random,
        hook: None,
    }
}

/// Checks the whole log as a transaction sees it: what was changed in it can be judged and undone.
pub async fn verify_in(store: &Store, tx: &mut Tx) -> base::Result<Verification> {
    verify(&store.inner.audit_key, tx, Head::start()).await
}

/// The hash before the first fact.
pub fn chain_start() -> Digest {
    Head::start().hash
}

/// The hash that this fact would have after one with the hash `before`: what somebody who can write
/// to the database, but has no key, can compute as well as we can.
pub fn fact_hash(before: Digest, fact: &StoredFact) -> Digest {
    Head { seq: 0, hash: before }.follow(&Link {
        seq: fact.seq.0,
        kind: &fact.kind,
        subject: &fact.subject,
        generation: fact.generation.0,
        actor: &fact.actor.to_string(),
        cause: fact.cause.as_deref(),
        at: fact.at.micros(),
        body: &fact.body.to_string(),
    })
}
