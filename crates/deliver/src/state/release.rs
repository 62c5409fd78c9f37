use base::{ReleaseId, Result, ServiceName};
use store::{Read, Row, Tx, args};

use super::json;
use crate::model::Release;

/// The number of the next release of a service.
pub(crate) async fn next_number(tx: &mut Tx, service: &ServiceName) -> Result<i64> {
    const SQL: &str = "SELECT COALESCE(MAX(number), 0) + 1 AS next FROM deliver_release WHERE service = $1";
    let row = tx.row(SQL, args![service]).await?;
    row.map_or(Ok(1), |row| row.int("next"))
}

/// Records a release; it never changes.
pub(crate) async fn insert_release(tx: &mut Tx, release: &Release) -> Result<()> {
    const SQL: &str = "INSERT INTO deliver_release (id, service, number, artifact, source, recipe, manifest, commit_id, \
         message, author, created, actor) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
    let Release { id, service, number, artifact, source, recipe, spec, commit, message, author, created, actor } =
        release;
    let manifest = json(spec)?;
    let args = args![
        *id,
        service,
        *number,
        *artifact,
        *source,
        recipe,
        manifest,
        commit.as_deref(),
        message,
        author,
        *created,
        actor
    ];
    tx.execute(SQL, args).await?;
    Ok(())
}

/// One release.
pub(crate) async fn release(read: &mut (impl Read + ?Sized), id: ReleaseId) -> Result<Option<Release>> {
    read.row("SELECT * FROM deliver_release WHERE id = $1", args![id]).await?.as_ref().map(of_row).transpose()
}

/// One release by its number.
pub(crate) async fn release_numbered(
    read: &mut (impl Read + ?Sized),
    service: &ServiceName,
    number: i64,
) -> Result<Option<Release>> {
    const SQL: &str = "SELECT * FROM deliver_release WHERE service = $1 AND number = $2";
    read.row(SQL, args![service, number]).await?.as_ref().map(of_row).transpose()
}

/// Releases of a service, newest first, below a number.
pub(crate) async fn releases(
    read: &mut (impl Read + ?Sized),
    service: &ServiceName,
    below: Option<i64>,
    limit: u32,
) -> Result<Vec<Release>> {
    const SQL: &str = "SELECT * FROM deliver_release WHERE service = $1 AND number < $2 ORDER BY number DESC LIMIT $3";
    let below = below.unwrap_or(i64::MAX);
    read.rows(SQL, args![service, below, limit]).await?.iter().map(of_row).collect()
}

fn of_row(row: &Row) -> Result<Release> {
    Ok(Release {
        id: row.parse("id")?,
        service: row.parse("service")?,
        number: row.int("number")?,
        artifact: row.parse("artifact")?,
        source: row.parse("source")?,
        recipe: row.text("recipe")?,
        spec: row.json("manifest")?,
        commit: row.opt_text("commit_id")?,
        message: row.text("message")?,
        author: row.text("author")?,
        created: row.time("created")?,
        actor: row.parse("actor")?,
    })
}
