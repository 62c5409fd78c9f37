//! Waking those who wait for a change. A wake-up carries no news: whoever is woken reads again.

use std::sync::{Arc, Weak};
use std::time::Duration;

use base::FactSeq;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::sync::broadcast;

use crate::store::Inner;

/// Wake-ups kept for a slow receiver; one that lags further behind is told so and reads everything.
pub(crate) const KEPT: usize = 1024;
/// Kind of the wake-up for a new or changed job; its subject is the job's kind.
pub const JOB_WAKE: &str = "store.job";
/// Kind of the wake-up after wake-ups may have been missed: anything may have changed.
pub const ANYTHING: &str = "*";
/// The channel on which processes on one PostgreSQL database tell each other.
const CHANNEL: &str = "orlop_wake";

/// Something was committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wake {
    /// The kind of the fact, [`JOB_WAKE`] or [`ANYTHING`].
    pub kind: Arc<str>,
    /// The subject of the fact, the kind of the job, or empty.
    pub subject: Arc<str>,
    /// The fact's place; 0 where it is not about a fact.
    pub seq: FactSeq,
}

impl Wake {
    pub(crate) fn new(kind: &str, subject: &str, seq: FactSeq) -> Self {
        Self { kind: kind.into(), subject: subject.into(), seq }
    }
}

/// A wake-up between processes. Facts are bounded so that it stays under the 8000 bytes of NOTIFY.
#[derive(Serialize, Deserialize)]
pub(crate) struct Note<'a> {
    origin: &'a str,
    kind: &'a str,
    subject: &'a str,
    seq: i64,
}

pub(crate) fn note(origin: &str, wake: &Wake) -> String {
    let note = Note { origin, kind: &wake.kind, subject: &wake.subject, seq: wake.seq.0 };
    serde_json::to_string(&note).unwrap_or_default()
}

pub(crate) const NOTIFY: &str = "SELECT CAST(pg_notify('orlop_wake', $1) AS TEXT)";

/// Sends the wake-ups of a transaction when dropped: also when the task that committed was given up
/// between COMMIT and its answer.
pub(crate) struct Pending {
    pub(crate) wakes: Vec<Wake>,
    pub(crate) to: broadcast::Sender<Wake>,
}

impl Drop for Pending {
    fn drop(&mut self) {
        for wake in self.wakes.drain(..) {
            // An error means that nobody listens.
            let _ = self.to.send(wake);
        }
    }
}

/// Passes on what other processes committed, until the store is gone.
pub(crate) async fn listen(pool: PgPool, store: Weak<Inner>) {
    loop {
        if let Err(error) = listen_once(&pool, &store).await {
            tracing::warn!(problem = %crate::fault::problem(error), "listening for wake-ups ended");
        }
        let Some(store) = store.upgrade() else { return };
        if pool.is_closed() {
            return;
        }
        let clock = Arc::clone(&store.clock);
        drop(store);
        clock.sleep(Duration::from_secs(1)).await;
    }
}

async fn listen_once(pool: &PgPool, store: &Weak<Inner>) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    // Whatever was said before or between connections went unheard.
    tell(store, Wake::new(ANYTHING, "", FactSeq(0)));
    loop {
        match listener.try_recv().await? {
            None => tell(store, Wake::new(ANYTHING, "", FactSeq(0))),
            Some(notification) => hear(store, notification.payload()),
        }
        if store.strong_count() == 0 {
            return Ok(());
        }
    }
}

fn hear(store: &Weak<Inner>, payload: &str) {
    let Ok(note) = serde_json::from_str::<Owned>(payload) else { return };
    let Some(inner) = store.upgrade() else { return };
    if note.origin != inner.origin {
        drop(inner);
        tell(store, Wake::new(&note.kind, &note.subject, FactSeq(note.seq)));
    }
}

/// A [`Note`] whose texts may hold escapes.
#[derive(Deserialize)]
struct Owned {
    origin: String,
    kind: String,
    subject: String,
    seq: i64,
}

fn tell(store: &Weak<Inner>, wake: Wake) {
    if let Some(inner) = store.upgrade() {
        let _ = inner.wakes.send(wake);
    }
}
