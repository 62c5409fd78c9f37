//! Which objects must be there for the ledger to be true: what a backup has to hold.

use base::{BuildId, Result, SourceId};
use store::{Read, args};

/// Rows read at once.
const PAGE: i64 = 10_000;

/// Sources whose archive is stored.
pub(crate) async fn stored_sources(read: &mut (impl Read + ?Sized)) -> Result<Vec<SourceId>> {
    const SQL: &str = "SELECT id FROM deliver_source WHERE stored = 1 AND id > $1 ORDER BY id LIMIT $2";
    ids(read, SQL).await
}

/// Builds whose log is stored.
pub(crate) async fn saved_logs(read: &mut (impl Read + ?Sized)) -> Result<Vec<BuildId>> {
    const SQL: &str = "SELECT id FROM deliver_build WHERE log_saved = 1 AND id > $1 ORDER BY id LIMIT $2";
    ids(read, SQL).await
}

async fn ids<T: std::str::FromStr>(read: &mut (impl Read + ?Sized), sql: &'static str) -> Result<Vec<T>> {
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let rows = read.rows(sql, args![&after, PAGE]).await?;
        for row in &rows {
            found.push(row.parse("id")?);
        }
        match rows.last() {
            Some(last) => after = last.text("id")?,
            None => return Ok(found),
        }
    }
}
