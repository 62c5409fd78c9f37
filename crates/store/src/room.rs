//! Room on the disk that belongs to the database before it needs it.
//!
//! When builds or logs have filled the disk, the platform still has to write down what it sees and
//! decides. A SQLite file never gives pages back, and neither does its write-ahead log below its limit
//! (`journal_size_limit`): so pages are filled once, written through the log, and freed. They stay in
//! the two files, where nobody else can take them, and are used before either file grows.

use base::{Problem, Result};

use crate::args;
use crate::options::Backend;
use crate::read::Read;
use crate::store::Store;

/// Free pages kept in the file of the database, bytes.
const RESERVE: i64 = 16 << 20;
/// They are filled up again when fewer are left.
const RESERVE_MIN: i64 = RESERVE / 2;
/// One row of filling.
const PIECE: i64 = 1 << 20;

impl Store {
    /// Sees that the database has room in reserve, and says how much: bytes that it can grow by when
    /// the disk is full. Nothing is done on PostgreSQL, whose disk is not ours.
    ///
    /// # Errors
    /// `storage-full` where there is no room to take; what was reserved before stays so.
    pub async fn hold_room(&self) -> Result<u64> {
        if self.kind() != Backend::Sqlite {
            return Ok(0);
        }
        let free = self.room().await?;
        if free >= RESERVE_MIN {
            return Ok(free.unsigned_abs());
        }
        // One that was ended here has left the table behind.
        let mut tx = self.begin().await?;
        tx.execute("DROP TABLE IF EXISTS store_room", args![]).await?;
        tx.execute("CREATE TABLE store_room (piece TEXT NOT NULL)", args![]).await?;
        for _ in 0..RESERVE.saturating_sub(free).checked_div(PIECE).unwrap_or(0) {
            tx.execute("INSERT INTO store_room (piece) VALUES (zeroblob($1))", args![PIECE]).await?;
        }
        tx.commit().await?;
        let mut tx = self.begin().await?;
        tx.execute("DROP TABLE store_room", args![]).await?;
        tx.commit().await?;
        Ok(self.room().await?.unsigned_abs())
    }

    async fn room(&self) -> Result<i64> {
        const SQL: &str = "SELECT freelist_count * page_size AS bytes FROM pragma_freelist_count, pragma_page_size";
        let row = self.read().await?.row(SQL, args![]).await?;
        row.ok_or_else(|| Problem::internal("store-failed", "no answer"))?.int("bytes")
    }
}
