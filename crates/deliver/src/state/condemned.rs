use base::{Result, Time};
use store::{Read, Tx, args};

/// The objects of a kind that are to be deleted, with the time since when that is known.
pub(crate) async fn condemned(read: &mut (impl Read + ?Sized), kind: &str) -> Result<Vec<(String, Time)>> {
    const SQL: &str =
        "SELECT object_key, since FROM deliver_condemned WHERE kind = $1 ORDER BY object_key LIMIT 100000";
    let rows = read.rows(SQL, args![kind]).await?;
    rows.iter().map(|row| Ok((row.text("object_key")?, row.time("since")?))).collect()
}

/// Records that an object is to be deleted.
pub(crate) async fn condemn(tx: &mut Tx, key: &str, kind: &str, now: Time) -> Result<()> {
    const SQL: &str = "INSERT INTO deliver_condemned (object_key, kind, since) VALUES ($1, $2, $3) \
         ON CONFLICT (object_key) DO NOTHING";
    tx.execute(SQL, args![key, kind, now]).await?;
    Ok(())
}

/// Records that an object stays, or is gone.
pub(crate) async fn let_off(tx: &mut Tx, key: &str) -> Result<()> {
    tx.execute("DELETE FROM deliver_condemned WHERE object_key = $1", args![key]).await?;
    Ok(())
}
