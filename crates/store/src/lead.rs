//! The fence between control planes. A lock on a file says who may start; it does not say who is
//! still right: a process that was stopped for an hour, or that another machine has replaced, goes on
//! where it stood. So every control plane takes the next epoch when it starts, every commit looks
//! whether there is a newer one, and whoever acts on the outside asks first.

use std::sync::atomic::Ordering;

use base::{Problem, Result};

use crate::args;
use crate::read::Read;
use crate::store::Store;

const EPOCH: &str = "SELECT epoch FROM store_epoch WHERE id = 1";

impl Store {
    /// Takes the lead: from now on no other store of this database that led before commits anything.
    /// Returns the epoch.
    ///
    /// # Errors
    /// Those of a commit.
    pub async fn lead(&self) -> Result<i64> {
        const NEXT: &str = "INSERT INTO store_epoch (id, epoch) VALUES (1, 1) \
             ON CONFLICT (id) DO UPDATE SET epoch = store_epoch.epoch + 1 RETURNING epoch";
        let mut tx = self.begin().await?;
        let row = tx.row(NEXT, args![]).await?;
        let epoch = row.ok_or_else(|| Problem::internal("store-failed", "no epoch was given"))?.int("epoch")?;
        // The old number, if this store has led before, must not refuse the new one.
        self.inner.epoch.store(0, Ordering::SeqCst);
        tx.commit().await?;
        self.inner.epoch.store(epoch, Ordering::SeqCst);
        Ok(epoch)
    }

    /// Whether nobody has taken the lead since. A store that never led is not fenced.
    ///
    /// # Errors
    /// `stale-controller`, and those of reading.
    pub async fn leads(&self) -> Result<()> {
        let mine = self.inner.epoch.load(Ordering::SeqCst);
        if mine == 0 {
            return Ok(());
        }
        check(&mut self.read().await?, mine).await
    }
}

/// Refuses where the epoch is another one.
pub(crate) async fn check(read: &mut (impl Read + ?Sized), mine: i64) -> Result<()> {
    let newest = read.row(EPOCH, args![]).await?.map_or(Ok(0), |row| row.int("epoch"))?;
    if newest == mine {
        return Ok(());
    }
    Err(Problem::conflict(
        "stale-controller",
        format!("this control plane is of epoch {mine}; another one, of epoch {newest}, has taken over"),
    )
    .hint("nothing was changed; this process may be ended: `orlop status` talks to the one that leads"))
}
