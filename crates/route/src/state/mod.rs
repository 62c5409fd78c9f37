//! All SQL of this capability's own tables.

use base::{Generation, Result, Time};
use ports::Route;
use store::{Read, Tx, args};

use crate::model::{Claims, Place};

/// Who has which custom host name.
pub(crate) async fn claims(read: &mut impl Read) -> Result<Claims> {
    let rows = read.rows("SELECT host, service, environment FROM route_host", args![]).await?;
    rows.iter()
        .map(|row| {
            Ok((row.parse("host")?, Place { service: row.parse("service")?, environment: row.parse("environment")? }))
        })
        .collect()
}

/// Replaces the claims.
pub(crate) async fn put_claims(tx: &mut Tx, before: &Claims, after: &Claims, now: Time) -> Result<()> {
    for host in before.keys().filter(|host| !after.contains_key(*host)) {
        tx.execute("DELETE FROM route_host WHERE host = $1", args![host]).await?;
    }
    const PUT: &str = "INSERT INTO route_host (host, service, environment, since) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (host) DO UPDATE SET service = excluded.service, environment = excluded.environment, since = excluded.since";
    for (host, place) in after.iter().filter(|(host, place)| before.get(*host) != Some(*place)) {
        tx.execute(PUT, args![host, &place.service, &place.environment, now]).await?;
    }
    Ok(())
}

/// The newest snapshot that was decided.
pub(crate) async fn snapshot(read: &mut impl Read) -> Result<(Generation, Vec<Route>)> {
    let row = read.row("SELECT generation, content FROM route_snapshot WHERE id = 1", args![]).await?;
    match row {
        Some(row) => Ok((Generation(row.int("generation")?), row.json("content")?)),
        None => Ok((Generation(0), Vec::new())),
    }
}

/// Records the newest snapshot.
pub(crate) async fn put_snapshot(tx: &mut Tx, generation: Generation, routes: &[Route]) -> Result<()> {
    const PUT: &str = "INSERT INTO route_snapshot (id, generation, content) VALUES (1, $1, $2) \
         ON CONFLICT (id) DO UPDATE SET generation = excluded.generation, content = excluded.content";
    let content = serde_json::to_string(routes).map_err(|e| base::Problem::internal("snapshot-not-json", e))?;
    tx.execute(PUT, args![generation, content]).await?;
    Ok(())
}
