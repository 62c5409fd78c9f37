//! The reconciler.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use base::{Result, ServiceName, TeamName};
use facts::{Fact, ServiceWanted, TeamState};
use kernel::{Ctx, Outcome, ServiceReconciler};
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
impl ServiceReconciler for WantedServices {
    const NAME: &'static str = "catalog.services";
    const EVERY: Duration = Duration::from_secs(30);
    const WAKES: &'static [&'static str] = &[ServiceWanted::KIND];
    const SUBJECTS: &'static str = ServiceWanted::KIND;
    type Status = Status;

    async fn reconcile(&self, ctx: &Ctx, services: &BTreeSet<ServiceName>) -> Result<Outcome<Status>> {
        let mut status = Status::default();
        for wish in unmet(ctx, services).await? {
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
        Ok(Outcome { status, again: BTreeMap::new() })
    }
}

/// The wishes for services that are not there.
async fn unmet(ctx: &Ctx, services: &BTreeSet<ServiceName>) -> Result<Vec<ServiceWanted>> {
    let mut read = ctx.read().await?;
    let mut unmet = Vec::new();
    for service in services {
        if state::service(&mut read, service).await?.is_none() {
            unmet.extend(kernel::latest::<ServiceWanted>(&mut read, service.as_str()).await?);
        }
    }
    Ok(unmet)
}

/// Whether a team is there to own something.
pub(crate) async fn team_exists(read: &mut impl store::Read, team: &TeamName) -> Result<bool> {
    let state: Option<TeamState> = kernel::latest(read, team.as_str()).await?;
    Ok(state.is_some_and(|s| !s.removed))
}
