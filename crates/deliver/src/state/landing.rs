use base::{Result, ServiceName, Time};
use store::{Read, Row, Tx, args};

use crate::model::Landing;

/// Records a push that may move its ref.
pub(crate) async fn put_landing(tx: &mut Tx, landing: &Landing) -> Result<()> {
    const SQL: &str = "INSERT INTO deliver_landing (service, reference, commit_id, message, author, actor, created) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (service, reference, commit_id) DO UPDATE SET \
         message = excluded.message, author = excluded.author, actor = excluded.actor, created = excluded.created";
    let Landing { service, reference, commit, message, author, created, actor } = landing;
    tx.execute(SQL, args![service, reference, commit, message, author, actor, *created]).await?;
    Ok(())
}

/// Takes a push off the record; whoever does that deploys it. Returns whether it was there.
pub(crate) async fn take_landing(tx: &mut Tx, landing: &Landing) -> Result<bool> {
    const SQL: &str = "DELETE FROM deliver_landing WHERE service = $1 AND reference = $2 AND commit_id = $3";
    Ok(tx.execute(SQL, args![&landing.service, &landing.reference, &landing.commit]).await? > 0)
}

/// The push of this commit to this ref, if it is still to be deployed.
pub(crate) async fn landing(
    read: &mut (impl Read + ?Sized),
    service: &str,
    reference: &str,
    commit: &str,
) -> Result<Option<Landing>> {
    const SQL: &str = "SELECT * FROM deliver_landing WHERE service = $1 AND reference = $2 AND commit_id = $3";
    read.row(SQL, args![service, reference, commit]).await?.as_ref().map(of_row).transpose()
}

/// All pushes that are still to be deployed.
pub(crate) async fn landings(read: &mut (impl Read + ?Sized)) -> Result<Vec<Landing>> {
    read.rows("SELECT * FROM deliver_landing ORDER BY created", args![]).await?.iter().map(of_row).collect()
}

/// Whether a source of a service came after this moment.
pub(crate) async fn has_source_since(
    read: &mut (impl Read + ?Sized),
    service: &ServiceName,
    since: Time,
) -> Result<bool> {
    const SQL: &str = "SELECT id FROM deliver_source WHERE service = $1 AND created > $2 LIMIT 1";
    Ok(read.row(SQL, args![service, since]).await?.is_some())
}

fn of_row(row: &Row) -> Result<Landing> {
    Ok(Landing {
        service: row.parse("service")?,
        reference: row.text("reference")?,
        commit: row.text("commit_id")?,
        message: row.text("message")?,
        author: row.text("author")?,
        created: row.time("created")?,
        actor: row.parse("actor")?,
    })
}
