//! Opening a SQLite file and reading its rows.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base::{Problem, Result};
use ports::Clock;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous};
use sqlx::{Column as _, ConnectOptions, Connection as _, Row as _, Sqlite, SqlitePool, TypeInfo as _, ValueRef as _};

use crate::db::{Db, STATEMENTS_KEPT, WAIT_MAX, foreign_type};
use crate::fault;
use crate::row::Cell;

/// Readers at once: two per core of a small server.
const READERS: u32 = 8;
/// The first version without the WAL-reset bug that could corrupt a database.
const VERSION_MIN: (u32, u32, u32) = (3, 51, 3);
/// Between two attempts to open a file that another process is opening.
const AGAIN: Duration = Duration::from_millis(50);

/// Opens or creates the file. Two processes that open a new one at once meet while it becomes a
/// WAL database, where SQLite does not wait by itself; so this does.
pub(crate) async fn open(path: &str, clock: &dyn Clock) -> Result<Db> {
    let path = PathBuf::from(path);
    if !path.is_absolute() {
        return Err(fault::problem(sqlx::Error::Configuration("not an absolute path".into())));
    }
    create_private(&path)?;
    let started = clock.elapsed();
    loop {
        match attempt(&path).await {
            Err(p) if p.code == "store-busy" && clock.elapsed().saturating_sub(started) < WAIT_MAX => {
                clock.sleep(AGAIN).await;
            }
            done => return done,
        }
    }
}

async fn attempt(path: &Path) -> Result<Db> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(WAIT_MAX)
        .statement_cache_capacity(STATEMENTS_KEPT)
        .pragma("trusted_schema", "OFF")
        .pragma("journal_size_limit", "67108864")
        .disable_statement_logging();
    let kept = || {
        let pool = SqlitePoolOptions::new().acquire_timeout(WAIT_MAX).idle_timeout(None).max_lifetime(None);
        // SQLite ends a transaction by itself when the disk is full or fails. The driver's rollback
        // then fails, it goes on counting the transaction as open, and every later one would be
        // refused: such a connection is closed instead of used again. The ping waits for the rollback.
        pool.after_release(|connection, _| {
            Box::pin(async move {
                connection.ping().await?;
                Ok(!connection.is_in_transaction())
            })
        })
    };
    let writer = kept().max_connections(1).connect_with(options.clone()).await.map_err(fault::problem)?;
    check(&writer).await?;
    let readers = kept()
        .max_connections(READERS)
        .connect_with(options.read_only(true).pragma("query_only", "ON"))
        .await
        .map_err(fault::problem)?;
    Ok(Db::Lite { writer, readers })
}

/// The write-ahead log and its index take their mode from the database file.
fn create_private(path: &Path) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let created = std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    created.map(drop).map_err(|e| {
        Problem::unavailable("store-unreachable", format!("the database file {} cannot be opened: {e}", path.display()))
            .hint("see that its directory exists and that the service's user may write there")
    })
}

/// Believes no setting before it was read back.
async fn check(writer: &SqlitePool) -> Result<()> {
    async fn one<T>(pool: &SqlitePool, sql: &'static str) -> Result<T>
    where
        T: for<'r> sqlx::Decode<'r, Sqlite> + sqlx::Type<Sqlite> + Send + Unpin,
    {
        sqlx::query_scalar::<_, T>(sql).fetch_one(pool).await.map_err(fault::problem)
    }
    let version = one::<String>(writer, "SELECT sqlite_version()").await?;
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let mut part = || parts.next().unwrap_or(0);
    if (part(), part(), part()) < VERSION_MIN {
        return Err(Problem::internal("sqlite-too-old", format!("SQLite {version} is older than 3.51.3"))
            .hint("build with the bundled SQLite: older ones can corrupt a database when the WAL is reset"));
    }
    let journal = one::<String>(writer, "PRAGMA journal_mode").await?;
    let synchronous = one::<i64>(writer, "PRAGMA synchronous").await?;
    let foreign_keys = one::<i64>(writer, "PRAGMA foreign_keys").await?;
    if (journal.as_str(), synchronous, foreign_keys) != ("wal", 2, 1) {
        return Err(Problem::internal(
            "sqlite-settings",
            format!("journal_mode={journal} synchronous={synchronous} foreign_keys={foreign_keys}, not wal, 2, 1"),
        )
        .hint("put the data directory on a local file system: the write-ahead log needs shared memory"));
    }
    Ok(())
}

pub(crate) fn cells(row: &SqliteRow) -> Result<Vec<Cell>> {
    let cell = |index: usize| {
        let raw = row.try_get_raw(index).map_err(fault::problem)?;
        if raw.is_null() {
            return Ok(Cell::Null);
        }
        let kind = raw.type_info().name().to_owned();
        match kind.as_str() {
            "TEXT" => row.try_get_unchecked(index).map(Cell::Text).map_err(fault::problem),
            "INTEGER" | "BOOLEAN" => row.try_get_unchecked(index).map(Cell::Int).map_err(fault::problem),
            other => Err(foreign_type(row.column(index).name(), other)),
        }
    };
    (0..row.len()).map(cell).collect()
}
