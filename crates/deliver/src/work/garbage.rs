use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::{BuildId, Result, SourceId};
use kernel::{Ctx, Reconciler};
use serde::Serialize;
use store::Read;

use super::{Shared, log};
use crate::model::{Artifact, BLOBS, SOURCES, log_key, source_key, source_of};
use crate::state;

/// Releases of each service whose artifact and source are kept, beside what is current anywhere.
const RELEASES_KEPT: i64 = 20;
/// Builds of each service whose logs are kept.
const LOGS_KEPT: i64 = 50;
/// Nothing younger is removed: it may belong to something that is just being made.
const YOUNG: Duration = Duration::from_secs(3600);

/// Removes what no kept release needs, a delay after that was recorded.
pub(crate) struct Garbage {
    shared: Arc<Shared>,
}

/// What a run removed.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    tasks: usize,
    blobs: usize,
    bytes: u64,
    sources: usize,
    logs: usize,
    /// Objects that nothing needs; they are removed when that has been so for the whole delay.
    condemned: usize,
    /// Blobs that nobody has recorded, as after a restore from a backup. They are left alone: what
    /// is removed is removed by its record.
    strangers: usize,
}

impl Garbage {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared) }
    }
}

#[async_trait]
impl Reconciler for Garbage {
    const NAME: &'static str = "deliver.garbage";
    const EVERY: Duration = Duration::from_secs(3600);
    const WAKES: &'static [&'static str] = &[];
    type Status = Status;

    async fn reconcile(&self, ctx: &Ctx) -> Result<Status> {
        let mut status = Status::default();
        tasks(ctx, &mut status).await?;
        self.blobs(ctx, &mut status).await?;
        sources(ctx, &mut status).await?;
        strays(ctx, &mut status).await?;
        logs(ctx, &mut status).await?;
        Ok(status)
    }
}

/// The keys of all objects that must be there for the ledger to be true: the blobs of artifacts that
/// are kept, the archives of sources and the logs of builds that are recorded as stored.
///
/// # Errors
/// Those of reading.
pub async fn needed_objects(read: &mut (impl Read + ?Sized)) -> Result<Vec<String>> {
    let artifacts = state::kept_artifacts(read, RELEASES_KEPT).await?;
    let blobs = artifacts.iter().flat_map(hexes).map(|hex| format!("{BLOBS}{hex}"));
    let mut keys: Vec<String> = blobs.collect();
    keys.extend(state::stored_sources(read).await?.into_iter().map(source_key));
    keys.extend(state::saved_logs(read).await?.into_iter().map(log_key));
    Ok(keys)
}

fn hexes(artifact: &Artifact) -> [String; 3] {
    [artifact.manifest.hex(), artifact.config.hex(), artifact.layer.hex()]
}

/// Tasks of ended builds that were not cleared away when they ended.
async fn tasks(ctx: &Ctx, status: &mut Status) -> Result<()> {
    let ended = state::ended_with_task(&mut ctx.read().await?).await?;
    for build in ended {
        match log::settle(ctx, build.id).await {
            Ok(()) => status.tasks += 1,
            Err(problem) => {
                tracing::warn!(build = %build.id, %problem, "the task of an ended build could not be cleared away")
            }
        }
    }
    Ok(())
}

impl Garbage {
    async fn blobs(&self, ctx: &Ctx, status: &mut Status) -> Result<()> {
        let objects = &ctx.platform().ports().objects;
        let there = objects.list(BLOBS).await?;
        let _alone = self.shared.blobs.write().await;
        let now = ctx.now();
        let mut read = ctx.read().await?;
        let known: BTreeMap<_, _> = state::blobs(&mut read).await?.into_iter().collect();
        let kept: BTreeSet<String> =
            state::kept_artifacts(&mut read, RELEASES_KEPT).await?.iter().flat_map(hexes).collect();
        drop(read);
        let mut unneeded = BTreeMap::new();
        for (key, bytes) in there {
            let Some(hex) = key.strip_prefix(BLOBS) else { continue };
            match known.get(hex) {
                None => status.strangers += 1,
                Some(written) if kept.contains(hex) || now.since(*written) < YOUNG => {}
                Some(_) => drop(unneeded.insert(key, bytes)),
            }
        }
        for key in due(ctx, "blob", unneeded.keys().cloned().collect(), status).await? {
            objects.delete(&key).await?;
            let mut tx = ctx.begin().await?;
            state::forget_blob(&mut tx, key.strip_prefix(BLOBS).unwrap_or_default()).await?;
            state::let_off(&mut tx, &key).await?;
            tx.commit().await?;
            status.blobs += 1;
            status.bytes = status.bytes.saturating_add(unneeded.get(&key).copied().unwrap_or_default());
        }
        Ok(())
    }
}

/// Which of the objects that nothing needs are to be deleted now: those that were on record as such,
/// by their keys, for the whole delay. What is needed again meanwhile is let off.
async fn due(ctx: &Ctx, kind: &'static str, found: BTreeSet<String>, status: &mut Status) -> Result<Vec<String>> {
    let recorded = state::condemned(&mut ctx.read().await?, kind).await?;
    let (now, delay) = (ctx.now(), ctx.platform().config().deletion.delay.0);
    let known: BTreeSet<&String> = recorded.iter().map(|(key, _)| key).collect();
    let new: Vec<&String> = found.iter().filter(|key| !known.contains(key)).collect();
    let needed: Vec<&String> = known.iter().copied().filter(|key| !found.contains(*key)).collect();
    if !new.is_empty() || !needed.is_empty() {
        let mut tx = ctx.begin().await?;
        for key in new {
            state::condemn(&mut tx, key, kind, now).await?;
        }
        for key in needed {
            state::let_off(&mut tx, key).await?;
        }
        tx.commit().await?;
    }
    status.condemned += found.len();
    let over = |(key, since): (String, base::Time)| (now.since(since) >= delay && found.contains(&key)).then_some(key);
    Ok(recorded.into_iter().filter_map(over).collect())
}

async fn sources(ctx: &Ctx, status: &mut Status) -> Result<()> {
    let old = state::sources_to_forget(&mut ctx.read().await?, ctx.now().minus(YOUNG), RELEASES_KEPT).await?;
    let old: BTreeMap<String, SourceId> = old.into_iter().map(|id| (source_key(id), id)).collect();
    for key in due(ctx, "source", old.keys().cloned().collect(), status).await? {
        let Some(id) = old.get(&key) else { continue };
        ctx.platform().ports().objects.delete(&key).await?;
        let mut tx = ctx.begin().await?;
        state::set_source_gone(&mut tx, *id).await?;
        state::let_off(&mut tx, &key).await?;
        tx.commit().await?;
        status.sources += 1;
    }
    Ok(())
}

/// Archives that were stored when the platform ended, before it could record them. No row knows them;
/// how old they are is said by their ids.
async fn strays(ctx: &Ctx, status: &mut Status) -> Result<()> {
    let before = SourceId::new(ctx.now().minus(YOUNG), [0; 10]);
    let objects = &ctx.platform().ports().objects;
    for (key, _) in objects.list(SOURCES).await? {
        let Some(id) = source_of(&key).filter(|id| *id < before) else { continue };
        if state::source(&mut ctx.read().await?, id).await?.is_none() {
            objects.delete(&key).await?;
            status.sources += 1;
        }
    }
    Ok(())
}

async fn logs(ctx: &Ctx, status: &mut Status) -> Result<()> {
    let old = state::old_logs(&mut ctx.read().await?, LOGS_KEPT).await?;
    let old: BTreeMap<String, BuildId> = old.into_iter().map(|id| (log_key(id), id)).collect();
    for key in due(ctx, "log", old.keys().cloned().collect(), status).await? {
        let Some(id) = old.get(&key) else { continue };
        ctx.platform().ports().objects.delete(&key).await?;
        let mut tx = ctx.begin().await?;
        state::set_log_saved(&mut tx, *id, false).await?;
        state::let_off(&mut tx, &key).await?;
        tx.commit().await?;
        status.logs += 1;
    }
    Ok(())
}
