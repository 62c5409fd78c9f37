use api::deliver::BuildState;
use base::{BuildId, EnvironmentName, InstanceId, Result, ServiceName, SourceId, Time};
use store::{Read, Row, Tx, args};

use super::json;
use crate::model::{Build, NewStage, Stage, build_word};

/// Records a new build.
pub(crate) async fn insert_build(tx: &mut Tx, build: &Build) -> Result<()> {
    const SQL: &str = "INSERT INTO deliver_build (id, service, environment, source, job, state, reason, since, evidence, \
         lines, task_kept, log_saved, created, actor) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, '[]', '[]', 0, 0, $9, $10)";
    let Build { id, service, environment, source, job, state, reason, since, created, actor, .. } = build;
    let word = build_word(*state);
    tx.execute(SQL, args![*id, service, environment, *source, *job, word, reason, *since, *created, actor]).await?;
    Ok(())
}

/// Records what a build has become. Its task and its log have statements of their own.
pub(crate) async fn put_build(tx: &mut Tx, build: &Build) -> Result<()> {
    const SQL: &str = "UPDATE deliver_build SET state = $2, reason = $3, since = $4, recipe = $5, evidence = $6, \
         lines = $7, artifact = $8, release_number = $9, rollout = $10, ended = $11 WHERE id = $1";
    let Build { id, state, reason, since, recipe, artifact, release, rollout, ended, .. } = build;
    let (evidence, lines) = (json(&build.evidence)?, json(&build.lines)?);
    let word = build_word(*state);
    tx.execute(
        SQL,
        args![*id, word, reason, *since, recipe.as_deref(), evidence, lines, *artifact, *release, *rollout, *ended],
    )
    .await?;
    Ok(())
}

/// Records which task builds, before the engine hears of it.
pub(crate) async fn set_task(tx: &mut Tx, id: BuildId, task: InstanceId) -> Result<()> {
    tx.execute("UPDATE deliver_build SET task = $2, task_kept = 1 WHERE id = $1", args![id, task]).await?;
    Ok(())
}

/// Records that the engine has forgotten the task.
pub(crate) async fn set_task_gone(tx: &mut Tx, id: BuildId) -> Result<()> {
    tx.execute("UPDATE deliver_build SET task_kept = 0 WHERE id = $1", args![id]).await?;
    Ok(())
}

/// Records whether the log is among the objects.
pub(crate) async fn set_log_saved(tx: &mut Tx, id: BuildId, saved: bool) -> Result<()> {
    tx.execute("UPDATE deliver_build SET log_saved = $2 WHERE id = $1", args![id, saved]).await?;
    Ok(())
}

/// One build.
pub(crate) async fn build(read: &mut (impl Read + ?Sized), id: BuildId) -> Result<Option<Build>> {
    read.row("SELECT * FROM deliver_build WHERE id = $1", args![id]).await?.as_ref().map(of_row).transpose()
}

/// The newest build of a source.
pub(crate) async fn build_of_source(
    read: &mut (impl Read + ?Sized),
    service: &ServiceName,
    source: SourceId,
) -> Result<Option<Build>> {
    const SQL: &str = "SELECT * FROM deliver_build WHERE source = $1 AND service = $2 ORDER BY id DESC LIMIT 1";
    read.row(SQL, args![source, service]).await?.as_ref().map(of_row).transpose()
}

/// Builds of a service, newest first, behind one of them.
pub(crate) async fn builds(
    read: &mut (impl Read + ?Sized),
    service: &ServiceName,
    after: Option<BuildId>,
    limit: u32,
) -> Result<Vec<Build>> {
    const SQL: &str =
        "SELECT * FROM deliver_build WHERE service = $1 AND ($2 IS NULL OR id < $2) ORDER BY id DESC LIMIT $3";
    read.rows(SQL, args![service, after, limit]).await?.iter().map(of_row).collect()
}

/// Builds before one of them, newest first; of one service or of all.
pub(crate) async fn builds_before(
    read: &mut (impl Read + ?Sized),
    service: Option<&ServiceName>,
    before: Option<BuildId>,
    limit: u32,
) -> Result<Vec<Build>> {
    const SQL: &str = "SELECT * FROM deliver_build WHERE ($1 IS NULL OR id < $1) ORDER BY id DESC LIMIT $2";
    match service {
        Some(service) => builds(read, service, before, limit).await,
        None => read.rows(SQL, args![before, limit]).await?.iter().map(of_row).collect(),
    }
}

/// Builds that have not ended, of a service for an environment.
pub(crate) async fn active_builds(
    read: &mut (impl Read + ?Sized),
    service: &ServiceName,
    environment: &EnvironmentName,
) -> Result<Vec<Build>> {
    const SQL: &str = "SELECT * FROM deliver_build WHERE service = $1 AND environment = $2 AND ended IS NULL \
         AND state IN ('queued', 'running') ORDER BY id";
    read.rows(SQL, args![service, environment]).await?.iter().map(of_row).collect()
}

/// Builds that have not ended, of all services.
pub(crate) async fn open_builds(read: &mut (impl Read + ?Sized)) -> Result<Vec<Build>> {
    const SQL: &str =
        "SELECT * FROM deliver_build WHERE ended IS NULL AND state IN ('queued', 'running') ORDER BY id LIMIT 1000";
    read.rows(SQL, args![]).await?.iter().map(of_row).collect()
}

/// Ended builds whose task the engine may still have.
pub(crate) async fn ended_with_task(read: &mut (impl Read + ?Sized)) -> Result<Vec<Build>> {
    const SQL: &str = "SELECT * FROM deliver_build WHERE task_kept = 1 AND ended IS NOT NULL ORDER BY id LIMIT 200";
    read.rows(SQL, args![]).await?.iter().map(of_row).collect()
}

/// Builds whose logs are kept beyond the newest `keep` of their service.
pub(crate) async fn old_logs(read: &mut (impl Read + ?Sized), keep: i64) -> Result<Vec<BuildId>> {
    const SQL: &str = "SELECT b.id FROM deliver_build b WHERE b.log_saved = 1 AND \
         (SELECT COUNT(*) FROM deliver_build n WHERE n.service = b.service AND n.id > b.id) >= $1 ORDER BY b.id LIMIT 1000";
    read.rows(SQL, args![keep]).await?.iter().map(|row| row.parse("id")).collect()
}

/// What the last successful deploy of a service took from source to traffic, milliseconds.
pub(crate) async fn last_took_ms(read: &mut (impl Read + ?Sized), service: &ServiceName) -> Result<Option<u64>> {
    const SQL: &str = "SELECT r.ended AS ended, s.created AS began FROM deliver_rollout r \
         JOIN deliver_build b ON b.rollout = r.id JOIN deliver_source s ON s.id = b.source \
         WHERE r.service = $1 AND r.state = 'succeeded' ORDER BY r.ended DESC LIMIT 1";
    let Some(row) = read.row(SQL, args![service]).await? else { return Ok(None) };
    let took = row.time("ended")?.since(row.time("began")?);
    Ok(Some(u64::try_from(took.as_millis()).unwrap_or(u64::MAX)))
}

/// Records a stage; one that is there stays as it is.
pub(crate) async fn put_stage(tx: &mut Tx, build: BuildId, stage: &NewStage, at: Time) -> Result<()> {
    const SQL: &str = "INSERT INTO deliver_stage (build, place, stage, text, at) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (build, place) DO NOTHING";
    tx.execute(SQL, args![build, stage.place, stage.stage, &stage.text, at]).await?;
    Ok(())
}

/// Records what a stage took.
pub(crate) async fn end_stage(tx: &mut Tx, build: BuildId, place: i64, took_ms: u64) -> Result<()> {
    const SQL: &str = "UPDATE deliver_stage SET took_ms = $3 WHERE build = $1 AND place = $2 AND took_ms IS NULL";
    tx.execute(SQL, args![build, place, i64::try_from(took_ms).unwrap_or(i64::MAX)]).await?;
    Ok(())
}

/// The stages of a build behind a place, in order.
pub(crate) async fn stages(read: &mut (impl Read + ?Sized), build: BuildId, behind: i64) -> Result<Vec<Stage>> {
    const SQL: &str =
        "SELECT place, stage, text, at, took_ms FROM deliver_stage WHERE build = $1 AND place > $2 ORDER BY place";
    let rows = read.rows(SQL, args![build, behind]).await?;
    rows.iter()
        .map(|row| {
            Ok(Stage {
                place: row.int("place")?,
                stage: row.text("stage")?,
                text: row.text("text")?,
                at: row.time("at")?,
                took_ms: row.opt_int("took_ms")?.and_then(|ms| u64::try_from(ms).ok()),
            })
        })
        .collect()
}

fn of_row(row: &Row) -> Result<Build> {
    Ok(Build {
        id: row.parse("id")?,
        service: row.parse("service")?,
        environment: row.parse("environment")?,
        source: row.parse("source")?,
        job: row.opt_parse("job")?,
        state: state(&row.text("state")?),
        reason: row.text("reason")?,
        since: row.time("since")?,
        recipe: row.opt_text("recipe")?,
        evidence: row.json("evidence")?,
        lines: row.json("lines")?,
        artifact: row.opt_parse("artifact")?,
        release: row.opt_int("release_number")?,
        rollout: row.opt_parse("rollout")?,
        task: row.opt_parse("task")?,
        task_kept: row.flag("task_kept")?,
        log_saved: row.flag("log_saved")?,
        created: row.time("created")?,
        ended: row.opt_time("ended")?,
        actor: row.parse("actor")?,
    })
}

fn state(word: &str) -> BuildState {
    use BuildState::{Cancelled, Failed, Queued, Running, Succeeded};
    [Queued, Running, Succeeded, Cancelled].into_iter().find(|state| build_word(*state) == word).unwrap_or(Failed)
}
