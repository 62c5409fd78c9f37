use std::collections::{BTreeMap, BTreeSet};

use base::{Digest, Problem, Result};

use crate::args;
use crate::dialect;
use crate::options::Migration;
use crate::read::Read;
use crate::store::Store;

/// The store's own tables.
const OWN: &[Migration] = &[
    Migration { capability: "store", number: 1, name: "facts", sql: include_str!("schema/0001_facts.sql") },
    Migration { capability: "store", number: 2, name: "jobs", sql: include_str!("schema/0002_jobs.sql") },
    Migration { capability: "store", number: 3, name: "idempotency", sql: include_str!("schema/0003_idempotency.sql") },
    Migration { capability: "store", number: 4, name: "epoch", sql: include_str!("schema/0004_epoch.sql") },
    Migration {
        capability: "store",
        number: 5,
        name: "fact_service",
        sql: include_str!("schema/0005_fact_service.sql"),
    },
];

/// Brings the schema up to date: each step in its own transaction, recorded with its checksum in the
/// same transaction. Several processes may start at once: a step looks again under the write lock.
pub(crate) async fn run(store: &Store, given: &[Migration]) -> Result<()> {
    let all = with_own(given);
    check_list(&all)?;
    let mut tx = store.begin().await?;
    tx.script(include_str!("schema/0000_migrations.sql")).await?;
    tx.commit().await?;
    let mut read = store.read().await?;
    let (recorded, compatible) = (recorded(&mut read).await?, compatible(&mut read).await?);
    drop(read);
    check_recorded(&recorded, &compatible, &all)?;
    for migration in &all {
        apply(store, migration).await?;
    }
    Ok(())
}

/// Takes exactly these steps in a new database: those that a dump was made under.
pub(crate) async fn up_to(store: &Store, given: &[Migration], taken: &[(Key, Digest)]) -> Result<()> {
    let all = with_own(given);
    let taken: BTreeMap<Key, Digest> = taken.iter().cloned().collect();
    check_recorded(&taken, &BTreeSet::new(), &all)?;
    let given: Vec<Migration> = all.into_iter().skip(OWN.len()).filter(|m| taken.contains_key(&key(m))).collect();
    run(store, &given).await
}

fn with_own(given: &[Migration]) -> Vec<Migration> {
    OWN.iter().chain(given).copied().collect()
}

/// The first line of a schema change that the version before must not meet: its statements would
/// fail, or would write what this version misreads. What follows says why.
const BREAKS: &str = "-- breaks the version before:";

/// Whether a version that does not know this change can work on a database that has it.
fn is_compatible(migration: &Migration) -> bool {
    !migration.sql.trim_start().starts_with(BREAKS)
}

async fn apply(store: &Store, migration: &Migration) -> Result<()> {
    let mut tx = store.begin().await?;
    if recorded(&mut tx).await?.contains_key(&key(migration)) {
        return Ok(());
    }
    let place = format!("{}/{:04} {}", migration.capability, migration.number, migration.name);
    tx.script(migration.sql).await.map_err(|p| p.at(&place))?;
    tx.execute(
        "INSERT INTO store_migration (capability, number, name, checksum, at) VALUES ($1, $2, $3, $4, $5)",
        args![
            migration.capability,
            migration.number,
            migration.name,
            Digest::of(migration.sql.as_bytes()),
            store.inner.clock.now()
        ],
    )
    .await?;
    if is_compatible(migration) {
        tx.execute(
            "INSERT INTO store_compatible (capability, number) VALUES ($1, $2)",
            args![migration.capability, migration.number],
        )
        .await?;
    }
    tx.commit().await?;
    tracing::info!(migration = place, "the schema was changed");
    Ok(())
}

/// A step of the schema: the capability and the number.
pub(crate) type Key = (String, u32);

fn key(migration: &Migration) -> Key {
    (migration.capability.to_owned(), migration.number)
}

async fn recorded(r: &mut (impl Read + ?Sized)) -> Result<BTreeMap<Key, Digest>> {
    let rows = r.rows("SELECT capability, number, checksum FROM store_migration", args![]).await?;
    rows.iter().map(|row| Ok(((row.text("capability")?, row.number("number")?), row.parse("checksum")?))).collect()
}

/// The changes that older versions need not know.
async fn compatible(r: &mut (impl Read + ?Sized)) -> Result<BTreeSet<Key>> {
    let rows = r.rows("SELECT capability, number FROM store_compatible", args![]).await?;
    rows.iter().map(|row| Ok((row.text("capability")?, row.number("number")?))).collect()
}

/// Every capability counts from 1 in order, without gaps, in words that both databases understand.
fn check_list(all: &[Migration]) -> Result<()> {
    let mut last = BTreeMap::<&str, u32>::new();
    for migration in all {
        let place = format!("{}/{:04} {}", migration.capability, migration.number, migration.name);
        let before = last.entry(migration.capability).or_default();
        if migration.number != before.saturating_add(1) {
            return Err(Problem::internal("migration-order", format!("after {before} comes {}", migration.number))
                .at(place)
                .hint("migrations of a capability are listed in order, from 1, without gaps"));
        }
        *before = migration.number;
        dialect::check(migration.sql).map_err(|p| p.at(place))?;
    }
    Ok(())
}

fn check_recorded(recorded: &BTreeMap<Key, Digest>, compatible: &BTreeSet<Key>, all: &[Migration]) -> Result<()> {
    let known: BTreeMap<Key, Digest> = all.iter().map(|m| (key(m), Digest::of(m.sql.as_bytes()))).collect();
    for (key @ (capability, number), checksum) in recorded {
        let what = format!("{capability}/{number:04}");
        match known.get(key) {
            None if compatible.contains(key) => {
                tracing::warn!(
                    change = what,
                    "the database was used by a newer version, which this one gets along with"
                );
            }
            None => {
                return Err(Problem::conflict(
                    "data-from-newer-version",
                    format!("the database has the schema change {what}, which this version does not know"),
                )
                .hint("start the newer version of orlop that wrote it, or restore a backup from before the upgrade"));
            }
            Some(expected) if expected != checksum => {
                return Err(Problem::internal(
                    "migration-changed",
                    format!("the schema change {what} is not the one that was applied to this database"),
                )
                .hint("a released migration never changes: bring its text back and add a new one"));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_version_goes_on_where_it_may() {
        let m = |number, sql| Migration { capability: "a", number, name: "x", sql };
        let new = [
            m(1, "CREATE TABLE t (a TEXT)"),
            m(2, "CREATE TABLE u (a TEXT)"),
            m(3, "-- breaks the version before: why"),
        ];
        let check = |recorded: &[Migration], known: &[Migration]| {
            let all = recorded.iter().map(|m| (key(m), Digest::of(m.sql.as_bytes()))).collect();
            let compatible = recorded.iter().filter(|m| is_compatible(m)).map(key).collect();
            check_recorded(&all, &compatible, known).map_err(|p| p.code.into_owned())
        };
        assert_eq!(check(&new[..1], &new), Ok(()), "older data");
        assert_eq!(check(&new[..2], &new[..1]), Ok(()), "newer data that an older version gets along with");
        assert_eq!(check(&new, &new[..2]), Err("data-from-newer-version".into()), "newer data that it would misread");
        assert_eq!(check(&new[..2], &[m(1, "CREATE TABLE other (a TEXT)")]), Err("migration-changed".into()));
    }

    #[test]
    fn lists_count_without_gaps() {
        let m = |capability, number, sql| Migration { capability, number, name: "x", sql };
        let check = |list: &[Migration]| check_list(list).map_err(|p| p.code.into_owned());
        assert_eq!(check(OWN), Ok(()));
        assert_eq!(check(&[m("a", 1, ""), m("b", 1, ""), m("a", 2, "")]), Ok(()));
        assert_eq!(check(&[m("a", 2, "")]), Err("migration-order".into()));
        assert_eq!(check(&[m("a", 1, ""), m("a", 1, "")]), Err("migration-order".into()));
        assert_eq!(check(&[m("a", 1, "CREATE TABLE t (a JSONB)")]), Err("migration-not-portable".into()));
    }
}
