use std::time::Duration;

use async_trait::async_trait;
use base::Result;

use crate::db::Conn;
use crate::row::Row;
use crate::value::Value;

/// Most rows that one statement may give; more is a problem, not a longer answer.
pub const ROWS_MAX: usize = 100_000;

/// Something that can be asked: a [`Reader`] or a [`Tx`](crate::Tx).
///
/// A statement is a text of the program, never made at run time; what varies are `$1`, `$2`, …
#[async_trait]
pub trait Read: Send {
    /// All rows of the answer, at most [`ROWS_MAX`].
    async fn rows(&mut self, sql: &'static str, args: Vec<Value>) -> Result<Vec<Row>>;

    /// The first row of the answer.
    async fn row(&mut self, sql: &'static str, args: Vec<Value>) -> Result<Option<Row>> {
        Ok(self.rows(sql, args).await?.into_iter().next())
    }
}

/// A read transaction: everything it reads is of one moment, that of its first statement. It holds
/// one of few connections, so it is dropped before anything slow is awaited.
pub struct Reader {
    pub(crate) conn: Conn,
    pub(crate) _held: Held,
}

#[async_trait]
impl Read for Reader {
    async fn rows(&mut self, sql: &'static str, args: Vec<Value>) -> Result<Vec<Row>> {
        self.conn.rows(sql, args).await
    }
}

/// Complains about a transaction that was held for long: others waited.
pub(crate) struct Held {
    pub(crate) what: &'static str,
    pub(crate) clock: std::sync::Arc<dyn ports::Clock>,
    pub(crate) since: Duration,
}

/// A transaction longer than this is worth a line in the log.
const LONG: Duration = Duration::from_secs(2);

impl Held {
    pub(crate) fn new(what: &'static str, clock: &std::sync::Arc<dyn ports::Clock>) -> Self {
        Self { what, clock: std::sync::Arc::clone(clock), since: clock.elapsed() }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let held = self.clock.elapsed().saturating_sub(self.since);
        if held > LONG {
            tracing::warn!(milliseconds = held.as_millis(), "a {} was held open for long", self.what);
        }
    }
}
