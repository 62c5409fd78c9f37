use base::{EnvironmentName, Result};
use store::{Read, Tx, args};

/// The environments in the order of promotion.
pub(crate) async fn environments(read: &mut (impl Read + ?Sized)) -> Result<Vec<EnvironmentName>> {
    let rows = read.rows("SELECT name FROM deliver_environment ORDER BY place, name", args![]).await?;
    rows.iter().map(|row| row.parse("name")).collect()
}

/// Records the environments in their order.
pub(crate) async fn put_environments(tx: &mut Tx, names: &[EnvironmentName]) -> Result<()> {
    const PUT: &str = "INSERT INTO deliver_environment (name, place) VALUES ($1, $2) \
         ON CONFLICT (name) DO UPDATE SET place = excluded.place";
    for (name, place) in names.iter().zip(1i64..) {
        tx.execute(PUT, args![name, place]).await?;
    }
    Ok(())
}
