use base::{Result, Time};
use store::{Read, Tx, args};

use crate::model::Artifact;

/// Records that blobs are about to be written: they are young from now on.
pub(crate) async fn touch_blobs(tx: &mut Tx, blobs: &[String], now: Time) -> Result<()> {
    const PUT: &str = "INSERT INTO deliver_blob (hex, written) VALUES ($1, $2) \
         ON CONFLICT (hex) DO UPDATE SET written = excluded.written";
    for hex in blobs {
        tx.execute(PUT, args![hex, now]).await?;
    }
    Ok(())
}

/// Records what an artifact is made of.
pub(crate) async fn put_artifact(tx: &mut Tx, artifact: &Artifact) -> Result<()> {
    const PUT: &str =
        "INSERT INTO deliver_artifact (digest, config, layer) VALUES ($1, $2, $3) ON CONFLICT (digest) DO NOTHING";
    tx.execute(PUT, args![artifact.manifest, artifact.config, artifact.layer]).await?;
    Ok(())
}

/// Artifacts of releases that are kept: the newest of each service, and what is current or under way anywhere.
pub(crate) async fn kept_artifacts(read: &mut (impl Read + ?Sized), newest: i64) -> Result<Vec<Artifact>> {
    const SQL: &str = "SELECT DISTINCT a.digest, a.config, a.layer FROM deliver_artifact a \
         JOIN deliver_release r ON r.artifact = a.digest WHERE \
         r.number > (SELECT MAX(n.number) FROM deliver_release n WHERE n.service = r.service) - $1 \
         OR EXISTS (SELECT 1 FROM deliver_current c JOIN deliver_rollout o ON o.id = c.rollout WHERE o.release_id = r.id) \
         OR EXISTS (SELECT 1 FROM deliver_rollout o WHERE o.release_id = r.id AND o.ended IS NULL)";
    let rows = read.rows(SQL, args![newest]).await?;
    rows.iter()
        .map(|row| {
            Ok(Artifact { manifest: row.parse("digest")?, config: row.parse("config")?, layer: row.parse("layer")? })
        })
        .collect()
}

/// All recorded blobs, with the time each was written last.
pub(crate) async fn blobs(read: &mut (impl Read + ?Sized)) -> Result<Vec<(String, Time)>> {
    let rows = read.rows("SELECT hex, written FROM deliver_blob ORDER BY written LIMIT 100000", args![]).await?;
    rows.iter().map(|row| Ok((row.text("hex")?, row.time("written")?))).collect()
}

/// Forgets a blob that was removed.
pub(crate) async fn forget_blob(tx: &mut Tx, hex: &str) -> Result<()> {
    tx.execute("DELETE FROM deliver_blob WHERE hex = $1", args![hex]).await?;
    tx.execute("DELETE FROM deliver_artifact WHERE digest = $1", args![format!("sha256:{hex}")]).await?;
    Ok(())
}
