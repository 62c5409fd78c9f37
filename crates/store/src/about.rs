//! What happened to one service: an index of the log by the `service` that bodies name.

use base::{FactSeq, Result};
use serde_json::Value;

use crate::args;
use crate::facts::{StoredFact, facts_after, stored};
use crate::read::Read;
use crate::store::Store;
use crate::tx::Tx;

/// Facts looked at in one transaction while the index catches up.
const PAGE: u32 = 1000;

const ABOUT: &str = "SELECT f.* FROM fact_service a JOIN fact f ON f.seq = a.seq \
     WHERE a.service = $1 AND a.seq < $2 ORDER BY a.seq DESC LIMIT $3";
const INDEXED: &str = "SELECT seq FROM fact_service WHERE seq > 0 ORDER BY seq DESC LIMIT 1";

/// Facts about a service before a place (from the end when `None`), newest first, at most `limit`.
/// Costs what it finds, however many others there are.
pub async fn facts_about(
    r: &mut (impl Read + ?Sized),
    service: &str,
    before: Option<FactSeq>,
    limit: u32,
) -> Result<Vec<StoredFact>> {
    let before = before.unwrap_or(FactSeq(i64::MAX));
    r.rows(ABOUT, args![service, before, limit]).await?.iter().map(stored).collect()
}

/// Puts one fact into the index.
pub(crate) async fn index(tx: &mut Tx, seq: FactSeq, body: &Value) -> Result<()> {
    let service = body.get("service").and_then(Value::as_str).unwrap_or_default();
    // Two that start at once both catch up.
    tx.execute(
        "INSERT INTO fact_service (seq, service) VALUES ($1, $2) ON CONFLICT (seq) DO NOTHING",
        args![seq, service],
    )
    .await?;
    Ok(())
}

/// Indexes what a version before this index has written, or writes between two runs of this one.
pub(crate) async fn catch_up(store: &Store) -> Result<()> {
    loop {
        let mut tx = store.begin().await?;
        let last = tx.row(INDEXED, args![]).await?.map_or(Ok(0), |row| row.int("seq"))?;
        let facts = facts_after(&mut tx, FactSeq(last), &[], None, PAGE).await?;
        if facts.is_empty() {
            return Ok(());
        }
        for fact in &facts {
            index(&mut tx, fact.seq, &fact.body).await?;
        }
        tx.commit().await?;
    }
}

/// The questions of this file, for the test that none reads the whole log.
#[cfg(all(test, feature = "testing"))]
pub(crate) const QUESTIONS: [&str; 2] = [ABOUT, INDEXED];
