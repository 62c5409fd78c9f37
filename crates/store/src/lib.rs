//! Rows, transactions, migrations, the fact log, durable jobs and remembered answers, on SQLite and
//! on PostgreSQL from one SQL text. Nobody outside this crate sees the database driver.
//!
//! ```ignore
//! let store = Store::open(options).await?;
//! let mut tx = store.begin().await?;
//! tx.execute("INSERT INTO team (name, created) VALUES ($1, $2)", args![&name, now]).await?;
//! tx.append(NewFact { kind, subject, generation, actor, cause, body }).await?;
//! tx.commit().await?; // dropping it instead rolls back
//! ```
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

mod about;
mod anchored;
mod chain;
mod db;
mod dialect;
mod dump;
mod facts;
mod fault;
mod idempotency;
mod jobs;
mod jobs_view;
mod lead;
mod migrate;
mod options;
mod postgres;
mod read;
mod room;
mod row;
mod sqlite;
mod store;
#[cfg(feature = "testing")]
pub mod testing;
mod tx;
mod value;
mod verify;
mod wakes;

pub use about::facts_about;
pub use chain::Anchor;
pub use dump::Dump;
pub use facts::{
    KINDS_MAX, NewFact, StoredFact, fact_latest, facts_after, facts_before, facts_latest, facts_latest_beneath,
    facts_of, last_recorded, subjects_after,
};
pub use fault::expect_one;
pub use idempotency::{Answer, Stored, idempotency_find};
pub use jobs::{CLAIM_KINDS_MAX, Job, JobState, NewJob};
pub use jobs_view::JobFilter;
pub use options::{Backend, CommitHook, Migration, Options};
pub use read::{ROWS_MAX, Read, Reader};
pub use row::Row;
pub use store::Store;
pub use tx::Tx;
pub use value::Value;
pub use verify::Verification;
pub use wakes::{ANYTHING, JOB_WAKE, Wake};
