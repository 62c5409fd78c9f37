use std::collections::BTreeMap;

use base::{PersonName, Problem, Result, TeamName, Time};
use kernel::Role;
use store::{Read, Row, Tx, args, expect_one};

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PersonRow {
    pub person: PersonName,
    pub admin: bool,
    pub created: Time,
}

/// A team without its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TeamRow {
    pub team: TeamName,
    pub version: i64,
    pub created: Time,
}

pub(crate) async fn person(read: &mut impl Read, name: &PersonName) -> Result<Option<PersonRow>> {
    const SQL: &str = "SELECT person, admin, created FROM access_person WHERE person = $1 AND removed IS NULL";
    read.row(SQL, args![name]).await?.as_ref().map(person_row).transpose()
}

pub(crate) async fn people(read: &mut impl Read, after: &str, limit: u32) -> Result<Vec<PersonRow>> {
    const SQL: &str = "SELECT person, admin, created FROM access_person WHERE removed IS NULL AND person > $1 \
         ORDER BY person LIMIT $2";
    read.rows(SQL, args![after, limit]).await?.iter().map(person_row).collect()
}

pub(crate) async fn admins(read: &mut impl Read) -> Result<Vec<PersonRow>> {
    const SQL: &str =
        "SELECT person, admin, created FROM access_person WHERE removed IS NULL AND admin = 1 ORDER BY created, person";
    read.rows(SQL, args![]).await?.iter().map(person_row).collect()
}

fn person_row(row: &Row) -> Result<PersonRow> {
    Ok(PersonRow { person: row.parse("person")?, admin: row.flag("admin")?, created: row.time("created")? })
}

pub(crate) async fn insert_person(tx: &mut Tx, person: &PersonRow) -> Result<()> {
    // A removed account's name comes back only as a new account without its old tokens and teams.
    const SQL: &str = "INSERT INTO access_person (person, admin, created, removed) VALUES ($1, $2, $3, NULL) \
         ON CONFLICT (person) DO UPDATE SET admin = excluded.admin, created = excluded.created, removed = NULL \
         WHERE access_person.removed IS NOT NULL";
    let changed = tx.execute(SQL, args![&person.person, person.admin, person.created]).await?;
    expect_one(changed, || {
        Problem::conflict("already-exists", format!("there is a person `{}` already", person.person))
    })
}

pub(crate) async fn remove_person(tx: &mut Tx, person: &PersonName, now: Time) -> Result<()> {
    tx.execute("UPDATE access_person SET removed = $2 WHERE person = $1", args![person, now]).await?;
    tx.execute("DELETE FROM access_member WHERE person = $1", args![person]).await?;
    tx.execute("DELETE FROM access_code WHERE person = $1", args![person]).await?;
    tx.execute("DELETE FROM access_view WHERE person = $1", args![person]).await?;
    tx.execute("UPDATE access_token SET revoked = $2 WHERE person = $1 AND revoked IS NULL", args![person, now])
        .await?;
    Ok(())
}

pub(crate) async fn team(read: &mut impl Read, name: &TeamName) -> Result<Option<TeamRow>> {
    const SQL: &str = "SELECT team, version, created FROM access_team WHERE team = $1 AND removed IS NULL";
    read.row(SQL, args![name]).await?.as_ref().map(team_row).transpose()
}

pub(crate) async fn teams(read: &mut impl Read, after: &str, limit: u32) -> Result<Vec<TeamRow>> {
    const SQL: &str = "SELECT team, version, created FROM access_team WHERE removed IS NULL AND team > $1 \
         ORDER BY team LIMIT $2";
    read.rows(SQL, args![after, limit]).await?.iter().map(team_row).collect()
}

fn team_row(row: &Row) -> Result<TeamRow> {
    Ok(TeamRow { team: row.parse("team")?, version: row.int("version")?, created: row.time("created")? })
}

pub(crate) async fn insert_team(tx: &mut Tx, team: &TeamRow) -> Result<()> {
    const SQL: &str = "INSERT INTO access_team (team, version, created, removed) VALUES ($1, $2, $3, NULL) \
         ON CONFLICT (team) DO UPDATE SET version = access_team.version + 1, created = excluded.created, removed = NULL \
         WHERE access_team.removed IS NOT NULL";
    let changed = tx.execute(SQL, args![&team.team, team.version, team.created]).await?;
    expect_one(changed, || Problem::conflict("already-exists", format!("there is a team `{}` already", team.team)))
}

pub(crate) async fn remove_team(tx: &mut Tx, team: &TeamName, now: Time) -> Result<()> {
    tx.execute("UPDATE access_team SET removed = $2, version = version + 1 WHERE team = $1", args![team, now]).await?;
    tx.execute("DELETE FROM access_member WHERE team = $1", args![team]).await?;
    Ok(())
}

/// Counts a change of the team; refuses when the caller has seen another version.
pub(crate) async fn bump_team(tx: &mut Tx, team: &TeamName, if_match: Option<i64>) -> Result<()> {
    let changed = match if_match {
        Some(version) => {
            const SQL: &str = "UPDATE access_team SET version = version + 1 WHERE team = $1 AND version = $2";
            tx.execute(SQL, args![team, version]).await?
        }
        None => tx.execute("UPDATE access_team SET version = version + 1 WHERE team = $1", args![team]).await?,
    };
    expect_one(changed, || {
        Problem::stale("stale-version", format!("team `{team}` was changed in the meantime"))
            .hint("read it again and decide anew")
    })
}

pub(crate) async fn members(read: &mut impl Read, team: &TeamName) -> Result<BTreeMap<PersonName, Role>> {
    let rows = read.rows("SELECT person, role FROM access_member WHERE team = $1", args![team]).await?;
    rows.iter().map(|row| Ok((row.parse("person")?, role(row)?))).collect()
}

pub(crate) async fn teams_of(read: &mut impl Read, person: &PersonName) -> Result<BTreeMap<TeamName, Role>> {
    let rows = read.rows("SELECT team, role FROM access_member WHERE person = $1", args![person]).await?;
    rows.iter().map(|row| Ok((row.parse("team")?, role(row)?))).collect()
}

fn role(row: &Row) -> Result<Role> {
    match row.text("role")?.as_str() {
        "owner" => Ok(Role::Owner),
        "developer" => Ok(Role::Developer),
        "viewer" => Ok(Role::Viewer),
        other => Err(Problem::internal("bad-role", format!("`{other}` is not a role"))),
    }
}

pub(crate) async fn put_member(tx: &mut Tx, team: &TeamName, person: &PersonName, role: Role) -> Result<()> {
    const SQL: &str = "INSERT INTO access_member (team, person, role) VALUES ($1, $2, $3) \
         ON CONFLICT (team, person) DO UPDATE SET role = excluded.role";
    tx.execute(SQL, args![team, person, role.word()]).await?;
    Ok(())
}

pub(crate) async fn remove_member(tx: &mut Tx, team: &TeamName, person: &PersonName) -> Result<u64> {
    tx.execute("DELETE FROM access_member WHERE team = $1 AND person = $2", args![team, person]).await
}
