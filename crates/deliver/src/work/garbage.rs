use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::{Kind, Result};
use kernel::{Ctx, Reconciler};
use serde::Serialize;
use store::Read;

use super::{Shared, log};
use crate::model::{Artifact, BLOBS, log_key, source_key};
use crate::state;

/// Releases of each service whose artifact and source are kept, beside what is current anywhere.
const RELEASES_KEPT: i64 = 20;
/// Builds of each service whose logs are kept.
const LOGS_KEPT: i64 = 50;
/// Nothing younger is removed: it may belong to something that is just being made.
const YOUNG: Duration = Duration::from_secs(3600);

/// Removes what no kept release needs.
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
    /// Blobs that nobody has recorded; they are removed when they are old and still nobody has.
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
        let known: std::collections::BTreeMap<_, _> = state::blobs(&mut read).await?.into_iter().collect();
        let kept: BTreeSet<String> =
            state::kept_artifacts(&mut read, RELEASES_KEPT).await?.iter().flat_map(hexes).collect();
        drop(read);
        let mut strangers = Vec::new();
        for (key, bytes) in there {
            let Some(hex) = key.strip_prefix(BLOBS) else { continue };
            match known.get(hex) {
                None => strangers.push(hex.to_owned()),
                Some(written) if kept.contains(hex) || now.since(*written) < YOUNG => {}
                Some(_) => {
                    objects.delete(&key).await?;
                    let mut tx = ctx.begin().await?;
                    state::forget_blob(&mut tx, hex).await?;
                    tx.commit().await?;
                    status.blobs += 1;
                    status.bytes = status.bytes.saturating_add(bytes);
                }
            }
        }
        status.strangers = strangers.len();
        if !strangers.is_empty() {
            let mut tx = ctx.begin().await?;
            state::touch_blobs(&mut tx, &strangers, now).await?;
            tx.commit().await?;
        }
        Ok(())
    }
}

async fn sources(ctx: &Ctx, status: &mut Status) -> Result<()> {
    let old = state::sources_to_forget(&mut ctx.read().await?, ctx.now().minus(YOUNG), RELEASES_KEPT).await?;
    for id in old {
        ctx.platform().ports().objects.delete(&source_key(id)).await?;
        let mut tx = ctx.begin().await?;
        state::set_source_gone(&mut tx, id).await?;
        tx.commit().await?;
        status.sources += 1;
    }
    Ok(())
}

async fn logs(ctx: &Ctx, status: &mut Status) -> Result<()> {
    let old = state::old_logs(&mut ctx.read().await?, LOGS_KEPT).await?;
    for id in old {
        match ctx.platform().ports().objects.delete(&log_key(id)).await {
            Ok(()) => {}
            Err(problem) if problem.kind == Kind::NotFound => {}
            Err(problem) => return Err(problem),
        }
        let mut tx = ctx.begin().await?;
        state::set_log_saved(&mut tx, id, false).await?;
        tx.commit().await?;
        status.logs += 1;
    }
    Ok(())
}
