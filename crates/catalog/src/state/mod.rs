//! All SQL of this capability's own tables.

use base::{Problem, Result, ServiceName, TeamName};
use store::{Read, Row, Tx, args, expect_one};

use crate::model::ServiceRow;

pub(crate) async fn service(read: &mut impl Read, name: &ServiceName) -> Result<Option<ServiceRow>> {
    const SQL: &str =
        "SELECT service, team, description, version, created, removed FROM catalog_service WHERE service = $1";
    read.row(SQL, args![name]).await?.as_ref().map(row).transpose()
}

const BEHIND: &str = "SELECT service, team, description, version, created, removed FROM catalog_service \
     WHERE service > $1 ORDER BY service LIMIT $2";

/// Services behind a name, in order of names.
pub(crate) async fn services(read: &mut impl Read, after: &str, limit: u32) -> Result<Vec<ServiceRow>> {
    read.rows(BEHIND, args![after, limit]).await?.iter().map(row).collect()
}

const OF_TEAM: &str = "SELECT service, team, description, version, created, removed FROM catalog_service \
     WHERE team = $1 AND service > $2 ORDER BY service LIMIT $3";

/// Services of a team behind a name, in order of names.
pub(crate) async fn services_of(
    read: &mut impl Read,
    team: &TeamName,
    after: &str,
    limit: u32,
) -> Result<Vec<ServiceRow>> {
    read.rows(OF_TEAM, args![team, after, limit]).await?.iter().map(row).collect()
}

fn row(row: &Row) -> Result<ServiceRow> {
    Ok(ServiceRow {
        service: row.parse("service")?,
        team: row.parse("team")?,
        description: row.text("description")?,
        version: row.int("version")?,
        created: row.time("created")?,
        removed: row.opt_time("removed")?,
    })
}

pub(crate) async fn insert(tx: &mut Tx, service: &ServiceRow) -> Result<()> {
    const SQL: &str = "INSERT INTO catalog_service (service, team, description, version, created, removed) \
         VALUES ($1, $2, $3, $4, $5, NULL) ON CONFLICT (service) DO NOTHING";
    let ServiceRow { service, team, description, version, created, .. } = service;
    let changed = tx.execute(SQL, args![service, team, description, *version, *created]).await?;
    expect_one(changed, || {
        Problem::conflict("already-exists", format!("the name `{service}` is taken"))
            .hint("names are unique in the installation, removed services included: choose another one")
    })
}

/// Writes a change over the version that it was decided upon.
pub(crate) async fn update(tx: &mut Tx, service: &ServiceRow) -> Result<()> {
    const SQL: &str = "UPDATE catalog_service SET team = $2, description = $3, removed = $4, version = version + 1 \
         WHERE service = $1 AND version = $5";
    let ServiceRow { service, team, description, removed, version, .. } = service;
    let changed = tx.execute(SQL, args![service, team, description, *removed, *version]).await?;
    expect_one(changed, || {
        Problem::stale("stale-version", format!("service `{service}` was changed in the meantime"))
            .hint("read it again and decide anew")
    })
}
