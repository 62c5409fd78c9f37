//! All SQL of this capability's own tables.

use std::collections::{BTreeMap, BTreeSet};

use base::{Generation, HostName, Problem, Result, ServiceName, Time};
use ports::{Route, RouteName};
use store::{Read, Row, Tx, args};

use crate::model::{Claims, Place, Table};

fn place(row: &Row) -> Result<Place> {
    Ok(Place { service: row.parse("service")?, environment: row.parse("environment")? })
}

/// The custom host names that a service has.
pub(crate) async fn claims_of(read: &mut impl Read, service: &ServiceName) -> Result<Claims> {
    const SQL: &str = "SELECT host, service, environment FROM route_host WHERE service = $1";
    read.rows(SQL, args![service]).await?.iter().map(|row| Ok((row.parse("host")?, place(row)?))).collect()
}

/// Who has a custom host name.
pub(crate) async fn claim(read: &mut impl Read, host: &HostName) -> Result<Option<Place>> {
    const SQL: &str = "SELECT service, environment FROM route_host WHERE host = $1";
    read.row(SQL, args![host]).await?.as_ref().map(place).transpose()
}

/// The services that asked for a host name and did not get it.
pub(crate) async fn waiting_for(read: &mut impl Read, host: &HostName) -> Result<BTreeSet<ServiceName>> {
    const SQL: &str = "SELECT service FROM route_waiting WHERE host = $1";
    read.rows(SQL, args![host]).await?.iter().map(|row| row.parse("service")).collect()
}

/// What a service asked for and did not get.
pub(crate) async fn waiting_of(read: &mut impl Read, service: &ServiceName) -> Result<BTreeSet<(HostName, Place)>> {
    const SQL: &str = "SELECT host, service, environment FROM route_waiting WHERE service = $1";
    read.rows(SQL, args![service]).await?.iter().map(|row| Ok((row.parse("host")?, place(row)?))).collect()
}

/// Replaces what was decided about host names.
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

/// Replaces who waits for which host name.
pub(crate) async fn put_waiting(
    tx: &mut Tx,
    before: &BTreeSet<(HostName, Place)>,
    after: &BTreeSet<(HostName, Place)>,
) -> Result<()> {
    const GONE: &str = "DELETE FROM route_waiting WHERE host = $1 AND service = $2 AND environment = $3";
    const PUT: &str = "INSERT INTO route_waiting (host, service, environment) VALUES ($1, $2, $3)";
    for (host, place) in before.difference(after) {
        tx.execute(GONE, args![host, &place.service, &place.environment]).await?;
    }
    for (host, place) in after.difference(before) {
        tx.execute(PUT, args![host, &place.service, &place.environment]).await?;
    }
    Ok(())
}

/// How far the table of routes has come.
pub(crate) async fn table(read: &mut impl Read) -> Result<Table> {
    let row = read.row("SELECT generation, since FROM route_table WHERE id = 1", args![]).await?;
    row.map_or(Ok(Table::default()), |row| {
        Ok(Table { generation: Generation(row.int("generation")?), since: Generation(row.int("since")?) })
    })
}

/// Records how far the table has come.
pub(crate) async fn put_table(tx: &mut Tx, table: Table) -> Result<()> {
    const PUT: &str = "INSERT INTO route_table (id, generation, since) VALUES (1, $1, $2) \
         ON CONFLICT (id) DO UPDATE SET generation = excluded.generation, since = excluded.since";
    tx.execute(PUT, args![table.generation, table.since]).await?;
    Ok(())
}

/// The routes of a service as they were last decided, each with the generation it came with; a
/// place whose route is gone has none.
pub(crate) async fn routes_of(
    read: &mut impl Read,
    service: &ServiceName,
) -> Result<BTreeMap<Place, (Generation, Option<Route>)>> {
    const SQL: &str = "SELECT service, environment, generation, content FROM route_route WHERE service = $1";
    let rows = read.rows(SQL, args![service]).await?;
    rows.iter().map(|row| Ok((place(row)?, (Generation(row.int("generation")?), row.opt_json("content")?)))).collect()
}

/// Records the route of a place, or that it has none.
pub(crate) async fn put_route(tx: &mut Tx, place: &Place, generation: Generation, route: Option<&Route>) -> Result<()> {
    const PUT: &str = "INSERT INTO route_route (service, environment, generation, content) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (service, environment) DO UPDATE SET generation = excluded.generation, content = excluded.content";
    let content = route.map(serde_json::to_string).transpose().map_err(|e| Problem::internal("route-not-json", e))?;
    tx.execute(PUT, args![&place.service, &place.environment, generation, content.as_deref()]).await?;
    Ok(())
}

/// All routes, in order of their places.
pub(crate) async fn routes(read: &mut impl Read) -> Result<Vec<Route>> {
    const SQL: &str = "SELECT content FROM route_route WHERE content IS NOT NULL ORDER BY service, environment";
    read.rows(SQL, args![]).await?.iter().map(|row| row.json("content")).collect()
}

/// What was decided after a generation: routes, and places that have none any more.
pub(crate) async fn routes_since(read: &mut impl Read, base: Generation) -> Result<(Vec<Route>, Vec<RouteName>)> {
    const SQL: &str = "SELECT service, environment, content FROM route_route WHERE generation > $1";
    let (mut routes, mut gone) = (Vec::new(), Vec::new());
    for row in &read.rows(SQL, args![base]).await? {
        match row.opt_json("content")? {
            Some(route) => routes.push(route),
            None => gone.push(RouteName { service: row.parse("service")?, environment: row.parse("environment")? }),
        }
    }
    Ok((routes, gone))
}
