//! The two drivers behind one face: opening, beginning, running one statement.

use std::sync::Arc;
use std::time::Duration;

use base::{Problem, Result};
use futures_util::TryStreamExt;
use ports::Clock;
use sqlx::{AssertSqlSafe, Column as _, PgPool, Postgres, Row as _, Sqlite, SqlitePool, Transaction};

use crate::fault;
use crate::read::ROWS_MAX;
use crate::row::Row;
use crate::value::Value;
use crate::{postgres, sqlite};

/// Longest wait for a connection, for SQLite's write lock and for PostgreSQL's locks.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(10);
/// Statements kept prepared on a connection.
pub(crate) const STATEMENTS_KEPT: usize = 256;

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
    pub(crate) async fn open(url: &str, clock: &dyn Clock) -> Result<Self> {
        match url.strip_prefix("sqlite:") {
            Some(path) => sqlite::open(path.strip_prefix("//").unwrap_or(path), clock).await,
            None if url.starts_with("postgres://") || url.starts_with("postgresql://") => postgres::open(url).await,
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
        #[cfg(feature = "testing")]
        crate::testing::note(sql);
        match self {
            Self::Lite(tx) => collected!(bound!(Sqlite, sql, args).fetch(&mut **tx), sqlite::cells),
            Self::Pg(tx) => collected!(bound!(Postgres, sql, args).fetch(&mut **tx), postgres::cells),
        }
    }

    /// The same for a text that was made from the names of the database's own tables.
    pub(crate) async fn rows_of(&mut self, sql: String, args: Vec<Value>) -> Result<Vec<Row>> {
        check_args(&args)?;
        match self {
            Self::Lite(tx) => collected!(bound!(Sqlite, AssertSqlSafe(sql), args).fetch(&mut **tx), sqlite::cells),
            Self::Pg(tx) => collected!(bound!(Postgres, AssertSqlSafe(sql), args).fetch(&mut **tx), postgres::cells),
        }
    }

    /// The same for a text that was made from the names of the database's own tables.
    pub(crate) async fn execute_of(&mut self, sql: String, args: Vec<Value>) -> Result<u64> {
        check_args(&args)?;
        match self {
            Self::Lite(tx) => {
                bound!(Sqlite, AssertSqlSafe(sql), args).execute(&mut **tx).await.map(|done| done.rows_affected())
            }
            Self::Pg(tx) => {
                bound!(Postgres, AssertSqlSafe(sql), args).execute(&mut **tx).await.map(|done| done.rows_affected())
            }
        }
        .map_err(fault::problem)
    }

    pub(crate) async fn execute(&mut self, sql: &'static str, args: Vec<Value>) -> Result<u64> {
        check_args(&args)?;
        #[cfg(feature = "testing")]
        crate::testing::note(sql);
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

pub(crate) fn foreign_type(column: &str, kind: &str) -> Problem {
    Problem::internal("foreign-type", format!("the column `{column}` of an answer is of type {kind}"))
        .hint("write CAST(… AS BIGINT) or CAST(… AS TEXT): only these mean the same on both databases")
}

fn too_many_rows() -> Problem {
    Problem::internal("too-many-rows", format!("a statement gave more than {ROWS_MAX} rows"))
        .hint("ask in pages, with a LIMIT")
}
