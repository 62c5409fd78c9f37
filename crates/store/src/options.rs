use std::sync::Arc;

use async_trait::async_trait;
use base::Secret;
use ports::{Clock, Random};

/// How to open a store.
pub struct Options {
    /// `sqlite:/absolute/path/orlop.db` or `postgres://user:password@host/database`.
    pub url: String,
    /// The tables of all capabilities; each capability counts its own from 1.
    pub migrations: Vec<Migration>,
    /// Key of the audit chain's HMAC; at least 32 bytes, kept outside the database.
    pub audit_key: Secret<Vec<u8>>,
    /// The only source of time.
    pub clock: Arc<dyn Clock>,
    /// The only source of chance.
    pub random: Arc<dyn Random>,
    /// Called around every commit; for simulation and crash tests.
    pub hook: Option<Arc<dyn CommitHook>>,
}

/// One step of the schema. A released one never changes: its checksum is recorded.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// Whose tables.
    pub capability: &'static str,
    /// Counts from 1 within the capability, without gaps.
    pub number: u32,
    /// For people.
    pub name: &'static str,
    /// Statements separated by `;`. Only `TEXT` and `BIGINT` columns: see the crate's README.
    pub sql: &'static str,
}

/// Called around every commit. Either call may never return: that is how a crash is simulated.
#[async_trait]
pub trait CommitHook: Send + Sync {
    /// Everything is written to the transaction, nothing is committed.
    async fn before_commit(&self);
    /// Committed and durable; nobody was told yet.
    async fn after_commit(&self);
}

/// Which database is behind a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// A file in the data directory.
    Sqlite,
    /// A server.
    Postgres,
}
