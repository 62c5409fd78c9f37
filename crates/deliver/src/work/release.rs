//! A build that went well becomes a release and its first rollout, in one transaction.

use base::{BuildId, Digest, Problem, ReleaseId, Result};
use facts::ReleaseMade;
use kernel::Ctx;

use super::begin::{Wanted, begin};
use super::builds;
use crate::decide::needs;
use crate::model::{Cause, NewStage, Place, Release, Spec};
use crate::state;

/// What was made.
pub(super) struct Made<'a> {
    pub job: &'a store::Job,
    pub build: BuildId,
    pub recipe: String,
    pub spec: Spec,
    pub artifact: Digest,
}

/// Records the release, starts its rollout, ends build and job.
pub(super) async fn make(ctx: &Ctx, made: Made<'_>, packaged: &NewStage) -> Result<()> {
    let build = state::build(&mut ctx.read().await?, made.build).await?.ok_or_else(gone)?;
    let settings = ctx.platform().ports().vault.current(&build.service, &build.environment).await?;
    let mut tx = ctx.begin().await?;
    let mut build = state::build(&mut tx, made.build).await?.filter(|build| !build.is_final()).ok_or_else(gone)?;
    let source = state::source(&mut tx, build.source).await?.ok_or_else(gone)?;
    let release = Release {
        id: ctx.new_id(ReleaseId::new),
        service: build.service.clone(),
        number: state::next_number(&mut tx, &build.service).await?,
        artifact: made.artifact,
        source: source.id,
        recipe: made.recipe,
        spec: made.spec,
        commit: source.commit,
        message: source.message,
        author: source.author,
        created: ctx.now(),
        actor: build.actor.clone(),
    };
    let place = Place { service: build.service.clone(), environment: build.environment.clone() };
    state::insert_release(&mut tx, &release).await?;
    ctx.publish(&mut tx, &fact(ctx, &release, &place)).await?;
    let wanted = Wanted {
        place,
        release: &release,
        cause: Cause::Deploy,
        why: String::new(),
        settings,
        actor: build.actor.clone(),
    };
    let rollout = begin(ctx, &mut tx, wanted).await?;
    let now = ctx.now();
    state::put_stage(&mut tx, build.id, packaged, now).await?;
    state::put_stage(&mut tx, build.id, &NewStage::release(format!("release {}", release.number)), now).await?;
    build.artifact = Some(release.artifact);
    build.release = Some(release.number);
    build.rollout = Some(rollout.id);
    let reason = format!("made release {}", release.number);
    builds::end(ctx, &mut tx, &mut build, api::deliver::BuildState::Succeeded, reason).await?;
    tx.finish(made.job.id, made.job.worker.as_deref().unwrap_or_default()).await?;
    tx.commit().await
}

fn fact(ctx: &Ctx, release: &Release, place: &Place) -> ReleaseMade {
    ReleaseMade {
        release: release.id,
        service: release.service.clone(),
        number: release.number,
        artifact: release.artifact,
        source: release.source,
        commit: release.commit.clone(),
        kind: release.spec.kind,
        needs: needs(&release.spec, place, &super::site(ctx)),
    }
}

fn gone() -> Problem {
    Problem::conflict("lease-lost", "the build was stopped")
}
