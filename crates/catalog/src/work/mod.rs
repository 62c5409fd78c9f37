//! The reconciler.

use std::time::Duration;

use async_trait::async_trait;
use base::{Result, TeamName};
use facts::{Fact, ServiceWanted, TeamState};
use kernel::{Ctx, Reconciler};
use serde::Serialize;

use crate::model::ServiceRow;
use crate::state;

/// Makes services that somebody wished for by pushing to them.
pub(crate) struct WantedServices;

/// What a run did.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    made: usize,
}

#[async_trait]
impl Reconciler for WantedServices {
    const NAME: &'static str = "catalog.services";
    const EVERY: Duration = Duration::from_secs(30);
    const WAKES: &'static [&'static str] = &[ServiceWanted::KIND];
    type Status = Status;

    async fn reconcile(&self, ctx: &Ctx) -> Result<Status> {
        let wishes = kernel::all_latest::<ServiceWanted>(&mut ctx.read().await?).await?;
        let mut status = Status::default();
        for (wish, _) in wishes {
            let mut tx = ctx.begin().await?;
            if state::service(&mut tx, &wish.service).await?.is_some() || !team_exists(&mut tx, &wish.team).await? {
                continue;
            }
            let row = ServiceRow {
                service: wish.service,
                team: wish.team,
                description: wish.description,
                version: 1,
                created: ctx.now(),
                removed: None,
            };
            state::insert(&mut tx, &row).await?;
            ctx.publish(&mut tx, &row.fact()).await?;
            tx.commit().await?;
            status.made += 1;
        }
        Ok(status)
    }
}

/// Whether a team is there to own something.
pub(crate) async fn team_exists(read: &mut impl store::Read, team: &TeamName) -> Result<bool> {
    let state: Option<TeamState> = kernel::latest(read, team.as_str()).await?;
    Ok(state.is_some_and(|s| !s.removed))
}
