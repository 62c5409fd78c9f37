use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use aws_lc_rs::hmac;
use base::{JobId, Problem, Result};
use ports::{Clock, Random};
use tokio::sync::broadcast;
use tokio::task::AbortHandle;

use crate::anchored::Kept;
use crate::db::Db;
use crate::options::{Backend, CommitHook, Migration, Options};
use crate::read::{Held, Read, Reader};
use crate::tx::Tx;
use crate::wakes::{self, Wake};
use crate::{about, args, chain, migrate};

/// The database of an installation. Cheap to clone; all clones share the connections.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) db: Db,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) hook: Option<Arc<dyn CommitHook>>,
    pub(crate) audit_key: hmac::Key,
    pub(crate) wakes: broadcast::Sender<Wake>,
    /// The epoch in which this store leads; 0: it does not, and is not fenced.
    pub(crate) epoch: AtomicI64,
    /// Tells our own notifications from those of other processes.
    pub(crate) origin: String,
    listener: std::sync::OnceLock<AbortHandle>,
    pub(crate) anchors: std::sync::OnceLock<Kept>,
}

/// Shorter keys would be the weak side of HMAC-SHA256 (RFC 2104, section 3).
const AUDIT_KEY_BYTES_MIN: usize = 32;

impl Store {
    /// Opens the database, checks its settings, brings the schema up to date and checks that the
    /// audit key fits. Refuses data of a newer version (`data-from-newer-version`), a migration that
    /// was edited (`migration-changed`) and a foreign audit key (`audit-broken`).
    pub async fn open(options: Options) -> Result<Self> {
        let (store, migrations) = Self::bare(options).await?;
        migrate::run(&store, &migrations).await?;
        chain::check_key(&store).await?;
        about::catch_up(&store).await?;
        if let Db::Pg(pool) = &store.inner.db {
            let task = tokio::spawn(wakes::listen(pool.clone(), Arc::downgrade(&store.inner)));
            let _ = store.inner.listener.set(task.abort_handle());
        }
        Ok(store)
    }

    /// Opens the database to look at it, beside a control plane that may be of another version: the
    /// schema stays as it is. Refuses a foreign audit key (`audit-broken`).
    pub async fn open_unchanged(options: Options) -> Result<Self> {
        let (store, _) = Self::bare(options).await?;
        chain::check_key(&store).await?;
        Ok(store)
    }

    /// The connections, before anything is known of the schema; and the steps of the schema.
    pub(crate) async fn bare(options: Options) -> Result<(Self, Vec<Migration>)> {
        if options.audit_key.expose().len() < AUDIT_KEY_BYTES_MIN {
            return Err(Problem::unprocessable("audit-key-short", "the audit key has fewer than 32 bytes"));
        }
        let db = Db::open(&options.url, &*options.clock).await?;
        let origin = ports::new_id(&*options.clock, &*options.random, JobId::new).to_string();
        let store = Self {
            inner: Arc::new(Inner {
                db,
                clock: options.clock,
                random: options.random,
                hook: options.hook,
                audit_key: hmac::Key::new(hmac::HMAC_SHA256, options.audit_key.expose()),
                wakes: broadcast::channel(wakes::KEPT).0,
                origin,
                epoch: AtomicI64::new(0),
                listener: std::sync::OnceLock::new(),
                anchors: std::sync::OnceLock::new(),
            }),
        };
        Ok((store, options.migrations))
    }

    /// A read transaction: one consistent snapshot. `store-busy` when all readers stay in use.
    pub async fn read(&self) -> Result<Reader> {
        let conn = self.inner.db.read().await?;
        Ok(Reader { conn, _held: Held::new("read transaction", &self.inner.clock) })
    }

    /// A write transaction. There is one at a time, on both databases: what it has read stays true
    /// until it commits. So it is short, and nothing outside the database is awaited in it.
    /// `store-busy` when another one does not end.
    pub async fn begin(&self) -> Result<Tx> {
        Tx::begin(&self.inner, true).await
    }

    /// A write transaction of one statement, or of statements that meet others only at their rows:
    /// on PostgreSQL it runs beside the one of [`Self::begin`].
    pub(crate) async fn begin_beside(&self) -> Result<Tx> {
        Tx::begin(&self.inner, false).await
    }

    /// What is committed from now on, here and (on PostgreSQL) by other processes.
    pub fn wakes(&self) -> broadcast::Receiver<Wake> {
        self.inner.wakes.subscribe()
    }

    /// Which database this is.
    pub fn kind(&self) -> Backend {
        match self.inner.db {
            Db::Lite { .. } => Backend::Sqlite,
            Db::Pg(_) => Backend::Postgres,
        }
    }

    /// Whether its pages are ours to look through: a server of databases looks after its own.
    pub fn has_pages(&self) -> bool {
        self.kind() == Backend::Sqlite
    }

    /// Asks the database how it is: its version, and on SQLite, where that is wanted, whether its pages are
    /// sound. Looking through the pages takes as long as reading the whole file.
    pub async fn check(&self, pages: bool) -> Result<String> {
        let mut reader = self.read().await?;
        let sql = match self.kind() {
            Backend::Sqlite if pages => {
                "SELECT 'SQLite ' || sqlite_version() AS version, quick_check AS found FROM pragma_quick_check LIMIT 1"
            }
            Backend::Sqlite => {
                "SELECT 'SQLite ' || sqlite_version() AS version, 'ok' AS found FROM (SELECT COUNT(*) FROM fact_head WHERE kind = '')"
            }
            Backend::Postgres => {
                "SELECT 'PostgreSQL ' || current_setting('server_version') AS version, \
                 CASE current_setting('fsync') WHEN 'on' THEN 'ok' ELSE 'fsync is off' END AS found"
            }
        };
        let row = reader.row(sql, args![]).await?.ok_or_else(|| Problem::internal("store-failed", "no answer"))?;
        let (version, found) = (row.text("version")?, row.text("found")?);
        match found.as_str() {
            "ok" => Ok(format!("{version}, ok")),
            "fsync is off" => Ok(format!("{version}, but fsync is off: a power cut can destroy it")),
            _ => Err(Problem::internal("storage-corrupt", format!("{version} finds its data damaged: {found}"))
                .hint("stop the service, keep a copy of the files, and restore the newest proved backup")),
        }
    }

    /// Ends all connections after their transactions have ended.
    pub async fn close(self) {
        if let Err(problem) = self.renew_anchor().await {
            tracing::warn!(%problem, "the anchor of the audit trail could not be renewed");
        }
        if let Some(listener) = self.inner.listener.get() {
            listener.abort();
        }
        self.inner.db.close().await;
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(listener) = self.listener.get() {
            listener.abort();
        }
    }
}
