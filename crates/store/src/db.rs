//! The two drivers behind one face: opening, beginning, running one statement.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base::{Problem, Result};
use futures_util::TryStreamExt;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgRow};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous};
use sqlx::{
    AssertSqlSafe, Column as _, ConnectOptions, PgPool, Postgres, Row as _, Sqlite, SqlitePool, Transaction,
    TypeInfo as _, ValueRef as _,
};

use crate::fault;
use crate::read::ROWS_MAX;
use crate::row::{Cell, Row};
use crate::value::Value;

/// Longest wait for a connection, for SQLite's write lock and for PostgreSQL's locks.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(10);
/// Longest that PostgreSQL works on one statement.
const STATEMENT_MAX: Duration = Duration::from_secs(60);
/// SQLite's readers and PostgreSQL's connections: two per core of a small server, bounded.
const READERS: u32 = 8;
const PG_CONNECTIONS: u32 = 16;
/// The first version without the WAL-reset bug that could corrupt a database.
const SQLITE_MIN: (u32, u32, u32) = (3, 51, 3);
/// Longest text or number of statements kept prepared on a connection.
const STATEMENTS_KEPT: usize = 256;

/// The connections. All writes to SQLite go through one connection: a second writer would only
/// meet SQLITE_BUSY, and a deferred transaction that reads and then writes fails at once.
pub(crate) enum Db {
    Lite { writer: SqlitePool, readers: SqlitePool },
    Pg(PgPool),
}

/// One open transaction.
pub(crate) enum Conn {
    Lite(Transaction<'static, Sqlite>),
    Pg(Transaction<'static, Postgres>),
}

impl Db {
    pub(crate) async fn open(url: &str) -> Result<Self> {
        match url.strip_prefix("sqlite:") {
            Some(path) => open_lite(path.strip_prefix("//").unwrap_or(path)).await,
            None if url.starts_with("postgres://") || url.starts_with("postgresql://") => open_pg(url).await,
            None => Err(fault::problem(sqlx::Error::Configuration("neither sqlite nor postgres".into()))),
        }
    }

    /// A consistent snapshot, fixed by the first statement.
    pub(crate) async fn read(&self) -> Result<Conn> {
        Ok(match self {
            Self::Lite { readers, .. } => Conn::Lite(readers.begin().await.map_err(fault::problem)?),
            Self::Pg(pool) => {
                const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
                Conn::Pg(pool.begin_with(SNAPSHOT).await.map_err(fault::problem)?)
            }
        })
    }

    /// A write transaction. `alone` keeps every other one out until it ends; SQLite knows no other way.
    ///
    /// PostgreSQL runs READ COMMITTED behind one advisory lock instead of SERIALIZABLE. Nearly every
    /// write appends a fact, and those meet at the head of the chain anyway: under SERIALIZABLE each
    /// such meeting is an error to be retried, under the lock it is a short wait, and code that reads
    /// and then writes means exactly what it means on SQLite.
    pub(crate) async fn write(&self, alone: bool) -> Result<Conn> {
        match self {
            Self::Lite { writer, .. } => {
                Ok(Conn::Lite(writer.begin_with("BEGIN IMMEDIATE").await.map_err(fault::problem)?))
            }
            Self::Pg(pool) => {
                const ALONE: &str =
                    "SELECT pg_advisory_xact_lock(hashtextextended('orlop ' || COALESCE(current_schema(), ''), 0))";
                let mut tx = pool.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await.map_err(fault::problem)?;
                if alone {
                    sqlx::query(ALONE).execute(&mut *tx).await.map_err(fault::problem)?;
                }
                Ok(Conn::Pg(tx))
            }
        }
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Lite { writer, readers } => {
                // The writer last: closing the last connection merges the write-ahead log.
                readers.close().await;
                writer.close().await;
            }
            Self::Pg(pool) => pool.close().await,
        }
    }
}

macro_rules! bound {
    ($db:ty, $sql:expr, $args:expr) => {{
        let mut query = sqlx::query::<$db>($sql);
        for value in $args {
            query = match value {
                Value::Text(text) => query.bind(text),
                Value::Int(number) => query.bind(number),
                Value::NullText => query.bind(None::<String>),
                Value::NullInt => query.bind(None::<i64>),
            };
        }
        query
    }};
}

macro_rules! collected {
    ($stream:expr, $cells:path) => {{
        let mut stream = $stream;
        let mut columns: Option<Arc<[Box<str>]>> = None;
        let mut rows = Vec::new();
        while let Some(row) = stream.try_next().await.map_err(fault::problem)? {
            if rows.len() >= ROWS_MAX {
                return Err(too_many_rows());
            }
            let names = columns.get_or_insert_with(|| row.columns().iter().map(|c| Box::from(c.name())).collect());
            rows.push(Row { columns: Arc::clone(names), cells: $cells(&row)? });
        }
        Ok(rows)
    }};
}

impl Conn {
    pub(crate) async fn rows(&mut self, sql: &'static str, args: Vec<Value>) -> Result<Vec<Row>> {
        check_args(&args)?;
        match self {
            Self::Lite(tx) => collected!(bound!(Sqlite, sql, args).fetch(&mut **tx), lite_cells),
            Self::Pg(tx) => collected!(bound!(Postgres, sql, args).fetch(&mut **tx), pg_cells),
        }
    }

    pub(crate) async fn execute(&mut self, sql: &'static str, args: Vec<Value>) -> Result<u64> {
        check_args(&args)?;
        match self {
            Self::Lite(tx) => bound!(Sqlite, sql, args).execute(&mut **tx).await.map(|done| done.rows_affected()),
            Self::Pg(tx) => bound!(Postgres, sql, args).execute(&mut **tx).await.map(|done| done.rows_affected()),
        }
        .map_err(fault::problem)
    }

    /// Several statements without parameters: a migration.
    pub(crate) async fn script(&mut self, sql: &'static str) -> Result<()> {
        match self {
            Self::Lite(tx) => sqlx::raw_sql(sql).execute(&mut **tx).await.map(drop),
            Self::Pg(tx) => {
                // Safe: made from a static text by inserting a constant.
                let text = AssertSqlSafe(crate::dialect::for_postgres(sql));
                sqlx::raw_sql(text).execute(&mut **tx).await.map(drop)
            }
        }
        .map_err(fault::problem)
    }

    pub(crate) async fn commit(self) -> Result<()> {
        match self {
            Self::Lite(tx) => tx.commit().await,
            Self::Pg(tx) => tx.commit().await,
        }
        .map_err(fault::commit_problem)
    }

    pub(crate) async fn rollback(self) {
        let done = match self {
            Self::Lite(tx) => tx.rollback().await,
            Self::Pg(tx) => tx.rollback().await,
        };
        if let Err(error) = done {
            // Nothing is lost: a connection that cannot roll back is closed, which rolls back.
            tracing::warn!(problem = %fault::problem(error), "a rollback was not acknowledged");
        }
    }
}

async fn open_lite(path: &str) -> Result<Db> {
    let path = PathBuf::from(path);
    if !path.is_absolute() {
        return Err(fault::problem(sqlx::Error::Configuration("not an absolute path".into())));
    }
    create_private(&path)?;
    let options = SqliteConnectOptions::new()
        .filename(&path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(WAIT_MAX)
        .statement_cache_capacity(STATEMENTS_KEPT)
        .pragma("trusted_schema", "OFF")
        .pragma("journal_size_limit", "67108864")
        .disable_statement_logging();
    let kept = || SqlitePoolOptions::new().acquire_timeout(WAIT_MAX).idle_timeout(None).max_lifetime(None);
    let writer = kept().max_connections(1).connect_with(options.clone()).await.map_err(fault::problem)?;
    check_lite(&writer).await?;
    let readers = kept()
        .max_connections(READERS)
        .connect_with(options.read_only(true).pragma("query_only", "ON"))
        .await
        .map_err(fault::problem)?;
    Ok(Db::Lite { writer, readers })
}

/// The write-ahead log and its index take their mode from the database file.
fn create_private(path: &std::path::Path) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let created = std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    created.map(drop).map_err(|e| {
        Problem::unavailable("store-unreachable", format!("the database file {} cannot be opened: {e}", path.display()))
            .hint("see that its directory exists and that the service's user may write there")
    })
}

/// Believes no setting before it was read back.
async fn check_lite(writer: &SqlitePool) -> Result<()> {
    async fn one<T>(pool: &SqlitePool, sql: &'static str) -> Result<T>
    where
        T: for<'r> sqlx::Decode<'r, Sqlite> + sqlx::Type<Sqlite> + Send + Unpin,
    {
        sqlx::query_scalar::<_, T>(sql).fetch_one(pool).await.map_err(fault::problem)
    }
    let version = one::<String>(writer, "SELECT sqlite_version()").await?;
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let mut part = || parts.next().unwrap_or(0);
    if (part(), part(), part()) < SQLITE_MIN {
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

async fn open_pg(url: &str) -> Result<Db> {
    let options: PgConnectOptions = url.parse().map_err(fault::problem)?;
    let options =
        options.application_name("orlop").statement_cache_capacity(STATEMENTS_KEPT).disable_statement_logging();
    let pool = PgPoolOptions::new()
        .max_connections(PG_CONNECTIONS)
        .acquire_timeout(WAIT_MAX)
        .after_connect(|connection, _| {
            Box::pin(async move {
                let (lock, statement) = (WAIT_MAX.as_millis().to_string(), STATEMENT_MAX.as_millis().to_string());
                // A server that answers COMMIT before its log is on disk would make us lie; a
                // stricter setting than `on` (remote_apply) is left alone.
                sqlx::query(
                    "SELECT set_config('lock_timeout', $1, false), set_config('statement_timeout', $2, false), \
                     set_config('idle_in_transaction_session_timeout', $2, false), \
                     set_config('synchronous_commit', CASE current_setting('synchronous_commit') \
                     WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, false)",
                )
                .bind(lock)
                .bind(statement)
                .execute(connection)
                .await
                .map(drop)
            })
        })
        .connect_with(options)
        .await
        .map_err(fault::problem)?;
    Ok(Db::Pg(pool))
}

/// PostgreSQL cannot hold U+0000 in a text; SQLite could, so both refuse it.
fn check_args(args: &[Value]) -> Result<()> {
    match args.iter().position(|value| matches!(value, Value::Text(text) if text.contains('\0'))) {
        None => Ok(()),
        Some(index) => Err(Problem::unprocessable(
            "nul-in-text",
            format!("parameter ${} holds the character U+0000, which cannot be stored", index.saturating_add(1)),
        )),
    }
}

fn lite_cells(row: &SqliteRow) -> Result<Vec<Cell>> {
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

fn pg_cells(row: &PgRow) -> Result<Vec<Cell>> {
    let cell = |index: usize| {
        let raw = row.try_get_raw(index).map_err(fault::problem)?;
        if raw.is_null() {
            return Ok(Cell::Null);
        }
        let kind = raw.type_info().name().to_owned();
        match kind.as_str() {
            "TEXT" | "VARCHAR" | "NAME" | "CHAR" => row.try_get(index).map(Cell::Text),
            "INT8" => row.try_get(index).map(Cell::Int),
            "INT4" => row.try_get::<i32, _>(index).map(|n| Cell::Int(n.into())),
            "INT2" => row.try_get::<i16, _>(index).map(|n| Cell::Int(n.into())),
            "BOOL" => row.try_get::<bool, _>(index).map(|b| Cell::Int(b.into())),
            other => return Err(foreign_type(row.column(index).name(), other)),
        }
        .map_err(fault::problem)
    };
    (0..row.len()).map(cell).collect()
}

fn foreign_type(column: &str, kind: &str) -> Problem {
    Problem::internal("foreign-type", format!("the column `{column}` of an answer is of type {kind}"))
        .hint("write CAST(… AS BIGINT) or CAST(… AS TEXT): only these mean the same on both databases")
}

fn too_many_rows() -> Problem {
    Problem::internal("too-many-rows", format!("a statement gave more than {ROWS_MAX} rows"))
        .hint("ask in pages, with a LIMIT")
}
