//! Connecting to PostgreSQL and reading its rows.

use std::time::Duration;

use base::{Problem, Result};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgRow};
use sqlx::{Column as _, ConnectOptions, Row as _, TypeInfo as _, ValueRef as _};

use crate::db::{Db, STATEMENTS_KEPT, WAIT_MAX, foreign_type};
use crate::fault;
use crate::row::Cell;

/// Connections of one process, besides the one that listens.
const CONNECTIONS: u32 = 16;
/// Longest that the server works on one statement, or waits for the next one of a transaction.
const STATEMENT_MAX: Duration = Duration::from_secs(60);

/// Opens the connections and sets what every session of ours relies on.
pub(crate) async fn open(url: &str) -> Result<Db> {
    let options: PgConnectOptions = url.parse().map_err(fault::problem)?;
    let options =
        options.application_name("orlop").statement_cache_capacity(STATEMENTS_KEPT).disable_statement_logging();
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
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
    let encoding = sqlx::query_scalar::<_, String>("SELECT current_setting('server_encoding')").fetch_one(&pool);
    match encoding.await.map_err(fault::problem)?.as_str() {
        "UTF8" => Ok(Db::Pg(pool)),
        other => Err(Problem::unprocessable("store-encoding", format!("the database's encoding is {other}"))
            .hint("create the database with ENCODING 'UTF8' TEMPLATE template0")),
    }
}

pub(crate) fn cells(row: &PgRow) -> Result<Vec<Cell>> {
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
