use base::{EnvironmentName, Problem, Result, RolloutId, ServiceName};
use store::{Read, Row, Tx, args};

use super::json;
use crate::model::{Cause, Current, Place, Rollout, RolloutStep, Stopped, state_word, word_state};

/// Records a new rollout and its first state.
pub(crate) async fn insert_rollout(tx: &mut Tx, rollout: &Rollout) -> Result<()> {
    const SQL: &str = "INSERT INTO deliver_rollout (id, service, environment, release_id, number, cause, why, state, step, \
         reason, evidence, since, next, deadline, before_rollout, crashes, settings, created, actor, version) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, 0, $16, $17, $18, 1)";
    let Rollout { id, place, release, number, cause, why, state, step, reason, since, next, deadline, before, .. } =
        rollout;
    let (evidence, settings) = (json(&rollout.evidence)?, json(&rollout.settings)?);
    let args = args![
        *id,
        &place.service,
        &place.environment,
        *release,
        *number,
        cause.word(),
        why,
        state_word(*state),
        *step,
        reason,
        evidence,
        *since,
        next,
        *deadline,
        *before,
        settings,
        rollout.created,
        &rollout.actor
    ];
    tx.execute(SQL, args).await?;
    put_step(tx, rollout).await
}

/// Records what a rollout has become, and in its history where that is asked for.
pub(crate) async fn put_rollout(tx: &mut Tx, rollout: &Rollout, in_history: bool) -> Result<()> {
    const SQL: &str = "UPDATE deliver_rollout SET state = $2, step = $3, reason = $4, evidence = $5, since = $6, next = $7, \
         deadline = $8, crashes = $9, fault = $10, cancel_by = $11, ended = $12, version = version + 1 WHERE id = $1";
    let Rollout { id, state, step, reason, since, next, deadline, crashes, fault, cancel, ended, .. } = rollout;
    let evidence = json(&rollout.evidence)?;
    let args = args![
        *id,
        state_word(*state),
        *step,
        reason,
        evidence,
        *since,
        next,
        *deadline,
        *crashes,
        fault.as_deref(),
        cancel.as_ref(),
        *ended
    ];
    tx.execute(SQL, args).await?;
    if in_history { put_step(tx, rollout).await } else { Ok(()) }
}

async fn put_step(tx: &mut Tx, rollout: &Rollout) -> Result<()> {
    const SQL: &str = "INSERT INTO deliver_rollout_step (rollout, place, state, reason, at) VALUES ($1, \
         (SELECT COALESCE(MAX(place), 0) + 1 FROM deliver_rollout_step WHERE rollout = $1), $2, $3, $4)";
    tx.execute(SQL, args![rollout.id, state_word(rollout.state), &rollout.reason, rollout.since]).await?;
    Ok(())
}

/// The history of a rollout behind a place in it.
pub(crate) async fn steps(read: &mut (impl Read + ?Sized), id: RolloutId, behind: i64) -> Result<Vec<RolloutStep>> {
    const SQL: &str =
        "SELECT place, state, reason, at FROM deliver_rollout_step WHERE rollout = $1 AND place > $2 ORDER BY place";
    let rows = read.rows(SQL, args![id, behind]).await?;
    rows.iter()
        .map(|row| {
            Ok(RolloutStep {
                place: row.int("place")?,
                state: state(row)?,
                reason: row.text("reason")?,
                at: row.time("at")?,
            })
        })
        .collect()
}

/// One rollout.
pub(crate) async fn rollout(read: &mut (impl Read + ?Sized), id: RolloutId) -> Result<Option<Rollout>> {
    read.row("SELECT * FROM deliver_rollout WHERE id = $1", args![id]).await?.as_ref().map(of_row).transpose()
}

/// Rollouts of a service, newest first, behind one of them.
pub(crate) async fn rollouts(
    read: &mut (impl Read + ?Sized),
    service: &ServiceName,
    environment: Option<&EnvironmentName>,
    after: Option<RolloutId>,
    limit: u32,
) -> Result<Vec<Rollout>> {
    const SQL: &str = "SELECT * FROM deliver_rollout WHERE service = $1 AND ($2 IS NULL OR environment = $2) \
         AND ($3 IS NULL OR id < $3) ORDER BY id DESC LIMIT $4";
    read.rows(SQL, args![service, environment, after, limit]).await?.iter().map(of_row).collect()
}

/// Rollouts whose release command was begun, before one of them, newest first; of one service or of all.
pub(crate) async fn release_commands_before(
    read: &mut (impl Read + ?Sized),
    service: Option<&ServiceName>,
    before: Option<RolloutId>,
    limit: u32,
) -> Result<Vec<Rollout>> {
    const SQL: &str = "SELECT r.* FROM deliver_rollout_step s JOIN deliver_rollout r ON r.id = s.rollout \
         WHERE s.state = 'releasing' AND ($1 IS NULL OR r.service = $1) AND ($2 IS NULL OR s.rollout < $2) \
         ORDER BY s.rollout DESC LIMIT $3";
    read.rows(SQL, args![service, before, limit]).await?.iter().map(of_row).collect()
}

/// The services that have rollouts which are not final.
pub(crate) async fn services_under_way(read: &mut (impl Read + ?Sized)) -> Result<Vec<ServiceName>> {
    const SQL: &str = "SELECT service FROM deliver_rollout WHERE ended IS NULL ORDER BY id";
    read.rows(SQL, args![]).await?.iter().map(|row| row.parse("service")).collect()
}

/// Rollouts that are not final, oldest first.
pub(crate) async fn open_rollouts(read: &mut (impl Read + ?Sized)) -> Result<Vec<Rollout>> {
    const SQL: &str = "SELECT * FROM deliver_rollout WHERE ended IS NULL ORDER BY id";
    read.rows(SQL, args![]).await?.iter().map(of_row).collect()
}

/// Rollouts of a service that are not final, oldest first.
pub(crate) async fn open_rollouts_of(read: &mut (impl Read + ?Sized), service: &ServiceName) -> Result<Vec<Rollout>> {
    const SQL: &str = "SELECT * FROM deliver_rollout WHERE service = $1 AND ended IS NULL ORDER BY id";
    read.rows(SQL, args![service]).await?.iter().map(of_row).collect()
}

/// Rollouts of a place that are not final, oldest first.
pub(crate) async fn active_in(read: &mut (impl Read + ?Sized), place: &Place) -> Result<Vec<Rollout>> {
    const SQL: &str =
        "SELECT * FROM deliver_rollout WHERE service = $1 AND environment = $2 AND ended IS NULL ORDER BY id";
    read.rows(SQL, args![&place.service, &place.environment]).await?.iter().map(of_row).collect()
}

/// The newest rollout of a place.
pub(crate) async fn latest_in(read: &mut (impl Read + ?Sized), place: &Place) -> Result<Option<Rollout>> {
    const SQL: &str = "SELECT * FROM deliver_rollout WHERE service = $1 AND environment = $2 ORDER BY id DESC LIMIT 1";
    read.row(SQL, args![&place.service, &place.environment]).await?.as_ref().map(of_row).transpose()
}

/// The newest successful rollout of a place other than of the release `not`; of this number, if one is given.
pub(crate) async fn previous_success(
    read: &mut (impl Read + ?Sized),
    place: &Place,
    not: Option<base::ReleaseId>,
    number: Option<i64>,
) -> Result<Option<Rollout>> {
    const SQL: &str = "SELECT * FROM deliver_rollout WHERE service = $1 AND environment = $2 AND state = 'succeeded' \
         AND ($3 IS NULL OR release_id <> $3) AND ($4 IS NULL OR number = $4) ORDER BY id DESC LIMIT 1";
    let row = read.row(SQL, args![&place.service, &place.environment, not, number]).await?;
    row.as_ref().map(of_row).transpose()
}

/// What a place runs.
pub(crate) async fn current(read: &mut (impl Read + ?Sized), place: &Place) -> Result<Option<Current>> {
    const SQL: &str = "SELECT c.*, o.created AS begun FROM deliver_current c JOIN deliver_rollout o ON o.id = c.rollout \
         WHERE c.service = $1 AND c.environment = $2";
    read.row(SQL, args![&place.service, &place.environment]).await?.as_ref().map(current_of).transpose()
}

/// What the places of a service run.
pub(crate) async fn currents_of(read: &mut (impl Read + ?Sized), service: &ServiceName) -> Result<Vec<Current>> {
    const SQL: &str = "SELECT c.*, o.created AS begun FROM deliver_current c JOIN deliver_rollout o ON o.id = c.rollout \
         WHERE c.service = $1 ORDER BY c.environment";
    read.rows(SQL, args![service]).await?.iter().map(current_of).collect()
}

/// Records what a place runs.
pub(crate) async fn put_current(tx: &mut Tx, current: &Current) -> Result<()> {
    const SQL: &str = "INSERT INTO deliver_current (service, environment, rollout, since, stopped) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (service, environment) DO UPDATE SET rollout = excluded.rollout, since = excluded.since, \
         stopped = excluded.stopped";
    let Current { place, rollout, since, stopped, .. } = current;
    tx.execute(SQL, args![&place.service, &place.environment, *rollout, *since, stopped.number()]).await?;
    Ok(())
}

/// Records that a place runs nothing.
pub(crate) async fn remove_current(tx: &mut Tx, place: &Place) -> Result<()> {
    const SQL: &str = "DELETE FROM deliver_current WHERE service = $1 AND environment = $2";
    tx.execute(SQL, args![&place.service, &place.environment]).await?;
    Ok(())
}

fn current_of(row: &Row) -> Result<Current> {
    Ok(Current {
        place: place(row)?,
        rollout: row.parse("rollout")?,
        since: row.time("since")?,
        stopped: Stopped::of(row.int("stopped")?),
        begun: row.time("begun")?,
    })
}

fn place(row: &Row) -> Result<Place> {
    Ok(Place { service: row.parse("service")?, environment: row.parse("environment")? })
}

fn state(row: &Row) -> Result<facts::RolloutState> {
    word_state(&row.text("state")?)
        .ok_or_else(|| Problem::internal("stored-value", "the column `state` holds no state of a rollout"))
}

fn of_row(row: &Row) -> Result<Rollout> {
    Ok(Rollout {
        id: row.parse("id")?,
        place: place(row)?,
        release: row.parse("release_id")?,
        number: row.int("number")?,
        cause: Cause::of(&row.text("cause")?),
        why: row.text("why")?,
        state: state(row)?,
        step: row.int("step")?,
        reason: row.text("reason")?,
        evidence: row.json("evidence")?,
        since: row.time("since")?,
        next: row.text("next")?,
        deadline: row.opt_time("deadline")?,
        before: row.opt_parse("before_rollout")?,
        crashes: row.number("crashes")?,
        fault: row.opt_text("fault")?,
        cancel: row.opt_parse("cancel_by")?,
        settings: row.json("settings")?,
        created: row.time("created")?,
        ended: row.opt_time("ended")?,
        actor: row.parse("actor")?,
        version: row.int("version")?,
    })
}
