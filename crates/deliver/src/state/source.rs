use base::{Result, SourceId, Time};
use store::{Read, Row, Tx, args};

use crate::model::Source;

/// Records a source whose archive is stored.
pub(crate) async fn insert_source(tx: &mut Tx, source: &Source) -> Result<()> {
    const SQL: &str = "INSERT INTO deliver_source \
         (id, service, commit_id, message, author, bytes, created, actor, stored) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1)";
    let bytes = i64::try_from(source.bytes).unwrap_or(i64::MAX);
    let Source { id, service, commit, message, author, created, actor, .. } = source;
    tx.execute(SQL, args![*id, service, commit.as_deref(), message, author, bytes, *created, actor]).await?;
    Ok(())
}

/// One source.
pub(crate) async fn source(read: &mut (impl Read + ?Sized), id: SourceId) -> Result<Option<Source>> {
    const SQL: &str =
        "SELECT id, service, commit_id, message, author, bytes, created, actor FROM deliver_source WHERE id = $1";
    read.row(SQL, args![id]).await?.as_ref().map(of_row).transpose()
}

/// Sources older than `before` whose archive is stored and that no kept release and no unfinished
/// build needs; `newest` releases of each service are kept.
pub(crate) async fn sources_to_forget(
    read: &mut (impl Read + ?Sized),
    before: Time,
    newest: i64,
) -> Result<Vec<SourceId>> {
    const SQL: &str = "SELECT s.id FROM deliver_source s WHERE s.stored = 1 AND s.created < $1 \
         AND NOT EXISTS (SELECT 1 FROM deliver_build b WHERE b.source = s.id AND b.ended IS NULL) \
         AND NOT EXISTS (SELECT 1 FROM deliver_release r WHERE r.source = s.id AND ( \
             r.number > (SELECT MAX(n.number) FROM deliver_release n WHERE n.service = r.service) - $2 \
             OR EXISTS (SELECT 1 FROM deliver_current c JOIN deliver_rollout o ON o.id = c.rollout WHERE o.release_id = r.id) \
             OR EXISTS (SELECT 1 FROM deliver_rollout o WHERE o.release_id = r.id AND o.ended IS NULL))) \
         ORDER BY s.created LIMIT 1000";
    let rows = read.rows(SQL, args![before, newest]).await?;
    rows.iter().map(|row| row.parse("id")).collect()
}

/// Records that a source's archive is removed.
pub(crate) async fn set_source_gone(tx: &mut Tx, id: SourceId) -> Result<()> {
    tx.execute("UPDATE deliver_source SET stored = 0 WHERE id = $1", args![id]).await?;
    Ok(())
}

fn of_row(row: &Row) -> Result<Source> {
    Ok(Source {
        id: row.parse("id")?,
        service: row.parse("service")?,
        commit: row.opt_text("commit_id")?,
        message: row.text("message")?,
        author: row.text("author")?,
        bytes: row.number("bytes")?,
        created: row.time("created")?,
        actor: row.parse("actor")?,
    })
}
