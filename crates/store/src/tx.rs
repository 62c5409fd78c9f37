use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use base::{Problem, Result};

use crate::chain::Head;
use crate::db::Conn;
use crate::read::{Held, Read};
use crate::row::Row;
use crate::store::Inner;
use crate::value::Value;
use crate::wakes::{NOTIFY, Pending, Wake, note};
use crate::{fault, lead};

/// A write transaction. Dropping it rolls back.
///
/// After a statement has failed, or was given up before its end, every further call is refused with
/// `transaction-broken`: PostgreSQL has aborted the transaction then, SQLite may have rolled it back
/// and would run the next statement on its own.
pub struct Tx {
    pub(crate) conn: Conn,
    pub(crate) inner: Arc<Inner>,
    pub(crate) wakes: Vec<Wake>,
    /// The head of the fact chain as this transaction leaves it.
    pub(crate) head: Option<Head>,
    broken: bool,
    _held: Held,
}

impl Tx {
    pub(crate) async fn begin(inner: &Arc<Inner>, alone: bool) -> Result<Self> {
        let conn = inner.db.write(alone).await?;
        let held = Held::new("write transaction", &inner.clock);
        Ok(Self { conn, inner: Arc::clone(inner), wakes: Vec::new(), head: None, broken: false, _held: held })
    }

    /// Runs a statement; says how many rows it changed.
    pub async fn execute(&mut self, sql: &'static str, args: Vec<Value>) -> Result<u64> {
        self.enter()?;
        let done = self.conn.execute(sql, args).await;
        self.leave(done)
    }

    /// The same for a text that was made from the names of the database's own tables.
    pub(crate) async fn execute_of(&mut self, sql: String, args: Vec<Value>) -> Result<u64> {
        self.enter()?;
        let done = self.conn.execute_of(sql, args).await;
        self.leave(done)
    }

    pub(crate) async fn script(&mut self, sql: &'static str) -> Result<()> {
        self.enter()?;
        let done = self.conn.script(sql).await;
        self.leave(done)
    }

    /// Makes everything durable, then wakes those who wait for it. An error means that it was not
    /// made, except `commit-unknown`, which says that it is open.
    pub async fn commit(mut self) -> Result<()> {
        let epoch = self.inner.epoch.load(Ordering::SeqCst);
        if epoch > 0 {
            lead::check(&mut self, epoch).await?;
        }
        self.write_head().await?;
        if matches!(self.conn, Conn::Pg(_)) {
            for wake in std::mem::take(&mut self.wakes) {
                self.row(NOTIFY, vec![Value::Text(note(&self.inner.origin, &wake))]).await?;
                self.wakes.push(wake);
            }
        }
        self.enter()?;
        let hook = self.inner.hook.clone();
        if let Some(hook) = &hook {
            hook.before_commit().await;
        }
        let mut pending = Pending { wakes: self.wakes, to: self.inner.wakes.clone() };
        if let Err(problem) = self.conn.commit().await {
            fault::end_if_unsynced(&problem);
            if problem.code != "commit-unknown" {
                pending.wakes.clear();
            }
            return Err(problem);
        }
        if let Some(hook) = &hook {
            hook.after_commit().await;
        }
        Ok(())
    }

    /// Undoes everything and waits for it; dropping does the same without waiting.
    pub async fn rollback(self) {
        self.conn.rollback().await;
    }

    /// Marks the transaction as broken until the statement has ended well.
    fn enter(&mut self) -> Result<()> {
        if self.broken {
            return Err(Problem::internal("transaction-broken", "a statement of this transaction had failed before")
                .hint("drop the transaction after an error and begin a new one"));
        }
        self.broken = true;
        Ok(())
    }

    /// Makes sure that nothing of this transaction can be committed.
    pub(crate) fn give_up(&mut self) {
        self.broken = true;
    }

    fn leave<T>(&mut self, done: Result<T>) -> Result<T> {
        self.broken = done.is_err();
        done
    }
}

#[async_trait]
impl Read for Tx {
    async fn rows(&mut self, sql: &'static str, args: Vec<Value>) -> Result<Vec<Row>> {
        self.enter()?;
        let done = self.conn.rows(sql, args).await;
        self.leave(done)
    }
}
