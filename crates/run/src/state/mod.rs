//! All SQL of this capability's own tables.

use std::collections::BTreeSet;
use std::time::Duration;

use base::{EnvironmentName, Generation, InstanceId, ProcessName, Result, RolloutId, ServiceName, Time};
use store::{Read, Row, Tx, args};

use crate::model::{Key, Known, KnownState, Tally};

/// The services that these recorded instances belong to.
pub(crate) async fn services_of(read: &mut impl Read, ids: &BTreeSet<InstanceId>) -> Result<BTreeSet<ServiceName>> {
    let mut services = BTreeSet::new();
    for id in ids {
        let row = read.row("SELECT service FROM run_instance WHERE id = $1", args![*id]).await?;
        services.extend(row.map(|row| row.parse::<ServiceName>("service")).transpose()?);
    }
    Ok(services)
}

/// How many of these instances are recorded. Each is named once.
pub(crate) async fn count_known(read: &mut impl Read, ids: &[InstanceId]) -> Result<usize> {
    const AT_ONCE: usize = 50;
    const SQL: &str = "SELECT id FROM run_instance WHERE id IN ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, \
         $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, \
         $36, $37, $38, $39, $40, $41, $42, $43, $44, $45, $46, $47, $48, $49, $50)";
    let mut known = 0usize;
    for some in ids.chunks(AT_ONCE) {
        // The last one stands for those that are missing: it is found once, however often it is named.
        let all = some.iter().chain(some.last().into_iter().cycle()).take(AT_ONCE);
        let rows = read.rows(SQL, all.map(|id| store::Value::from(*id)).collect()).await?;
        known = known.saturating_add(rows.len());
    }
    Ok(known)
}

/// The recorded instances of a service, oldest first.
pub(crate) async fn instances_of(read: &mut impl Read, service: &ServiceName) -> Result<Vec<Known>> {
    const SQL: &str = "SELECT id, service, environment, rollout, release_id, process, generation, stop_ms, state, crashed, \
         created, stopping, ended FROM run_instance WHERE service = $1 ORDER BY id";
    read.rows(SQL, args![service]).await?.iter().map(known).collect()
}

fn known(row: &Row) -> Result<Known> {
    let state = match row.text("state")?.as_str() {
        "wanted" => KnownState::Wanted,
        "stopping" => KnownState::Stopping { since: row.opt_time("stopping")?.unwrap_or_default() },
        _ => KnownState::Ended { at: row.opt_time("ended")?.unwrap_or_default(), crashed: row.flag("crashed")? },
    };
    Ok(Known {
        id: row.parse("id")?,
        key: Key {
            service: row.parse::<ServiceName>("service")?,
            environment: row.parse::<EnvironmentName>("environment")?,
            rollout: row.parse::<RolloutId>("rollout")?,
            process: row.parse::<ProcessName>("process")?,
        },
        release: row.parse("release_id")?,
        generation: Generation(row.int("generation")?),
        state,
        stop: Duration::from_millis(row.number("stop_ms")?),
        created: row.time("created")?,
    })
}

/// Records a decision to have an instance.
pub(crate) async fn insert(tx: &mut Tx, known: &Known) -> Result<()> {
    const SQL: &str = "INSERT INTO run_instance \
         (id, service, environment, rollout, release_id, process, generation, stop_ms, state, crashed, created, stopping, ended) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $10, NULL, NULL)";
    let Known { id, key, release, generation, state, stop, created } = known;
    let stop_ms = i64::try_from(stop.as_millis()).unwrap_or(i64::MAX);
    tx.execute(
        SQL,
        args![
            *id,
            &key.service,
            &key.environment,
            key.rollout,
            *release,
            &key.process,
            *generation,
            stop_ms,
            state.word(),
            *created
        ],
    )
    .await?;
    Ok(())
}

/// Records that an instance shall end.
pub(crate) async fn set_stopping(tx: &mut Tx, id: InstanceId, now: Time) -> Result<()> {
    const SQL: &str = "UPDATE run_instance SET state = 'stopping', stopping = $2 WHERE id = $1 AND state = 'wanted'";
    tx.execute(SQL, args![id, now]).await?;
    Ok(())
}

/// Records that an instance has ended.
pub(crate) async fn set_ended(tx: &mut Tx, id: InstanceId, crashed: bool, at: Time) -> Result<()> {
    const SQL: &str = "UPDATE run_instance SET state = 'ended', crashed = $2, ended = $3 WHERE id = $1";
    tx.execute(SQL, args![id, crashed, at]).await?;
    Ok(())
}

/// Forgets an instance.
pub(crate) async fn delete(tx: &mut Tx, id: InstanceId) -> Result<()> {
    tx.execute("DELETE FROM run_instance WHERE id = $1", args![id]).await?;
    Ok(())
}

/// Crash counts of the processes of a rollout.
pub(crate) async fn tallies_of(read: &mut impl Read, rollout: RolloutId) -> Result<Vec<(ProcessName, Tally)>> {
    const SQL: &str = "SELECT process, crashes, last_crash FROM run_tally WHERE rollout = $1";
    let rows = read.rows(SQL, args![rollout]).await?;
    rows.iter()
        .map(|row| {
            let tally = Tally { crashes: row.number("crashes")?, last_crash: row.time("last_crash")? };
            Ok((row.parse("process")?, tally))
        })
        .collect()
}

/// Records crashes of a process; none removes the record.
pub(crate) async fn put_tally(tx: &mut Tx, key: &Key, tally: Tally) -> Result<()> {
    const PUT: &str = "INSERT INTO run_tally (rollout, process, crashes, last_crash) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (rollout, process) DO UPDATE SET crashes = excluded.crashes, last_crash = excluded.last_crash";
    if tally.crashes == 0 {
        tx.execute("DELETE FROM run_tally WHERE rollout = $1 AND process = $2", args![key.rollout, &key.process])
            .await?;
    } else {
        tx.execute(PUT, args![key.rollout, &key.process, tally.crashes, tally.last_crash]).await?;
    }
    Ok(())
}
