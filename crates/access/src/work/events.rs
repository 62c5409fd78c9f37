use std::collections::{BTreeMap, BTreeSet, VecDeque};

use api::access::{AuditRecord, EventQuery};
use base::{FactSeq, Problem, Result, ServiceName, TeamName};
use facts::{Fact, ServiceState};
use futures_util::stream;
use kernel::{Ctx, Event, EventStream, event_stream};
use store::StoredFact;

/// Facts read at once.
const BATCH: u32 = 200;

struct Watch {
    ctx: Ctx,
    query: EventQuery,
    after: FactSeq,
    ready: VecDeque<StoredFact>,
    wakes: tokio::sync::broadcast::Receiver<store::Wake>,
}

/// The facts that the caller may see, as they are appended.
pub(crate) async fn watch(
    ctx: Ctx,
    query: EventQuery,
    last_event_id: Option<&str>,
) -> Result<EventStream<AuditRecord>> {
    // Subscribed before the newest is read: nothing falls between.
    let wakes = ctx.platform().store().wakes();
    let after =
        match (last_event_id, query.after) {
            (Some(text), _) => FactSeq(text.parse().map_err(|_| {
                Problem::unprocessable("bad-event-id", "`Last-Event-ID` is not one that this stream gave")
            })?),
            (None, Some(after)) => after,
            (None, None) => newest(&ctx).await?,
        };
    let watch = Watch { ctx, query, after, ready: VecDeque::new(), wakes };
    Ok(event_stream(stream::try_unfold(watch, |mut watch| async move {
        loop {
            if let Some(fact) = watch.ready.pop_front() {
                let id = Some(fact.seq.to_string());
                return Ok(Some((Event { id, data: record(fact) }, watch)));
            }
            watch.read_on().await?;
        }
    })))
}

impl Watch {
    async fn read_on(&mut self) -> Result<()> {
        let mut read = self.ctx.read().await?;
        let kinds: Vec<&str> = self.query.kind.iter().map(String::as_str).collect();
        let facts = store::facts_after(&mut read, self.after, &kinds, None, BATCH).await?;
        let Some(last) = facts.last().map(|f| f.seq) else {
            drop(read);
            // Lagging is no harm: everything is read from the log.
            let _ = self.wakes.recv().await;
            return Ok(());
        };
        let owners = owners(&mut read, &facts).await?;
        self.after = last;
        let (ctx, query) = (&self.ctx, &self.query);
        self.ready.extend(facts.into_iter().filter(|fact| {
            let service = service_of(fact);
            query.service.as_ref().is_none_or(|wanted| service.as_ref() == Some(wanted))
                && visible(ctx, fact, service, &owners)
        }));
        Ok(())
    }
}

async fn newest(ctx: &Ctx) -> Result<FactSeq> {
    let mut read = ctx.read().await?;
    let newest = store::facts_before(&mut read, None, &[], None, 1).await?;
    Ok(newest.first().map_or(FactSeq(0), |fact| fact.seq))
}

/// Who owns the services that these facts are about.
async fn owners(read: &mut impl store::Read, facts: &[StoredFact]) -> Result<BTreeMap<ServiceName, TeamName>> {
    let services: BTreeSet<ServiceName> = facts.iter().filter_map(service_of).collect();
    let mut owners = BTreeMap::new();
    for service in services {
        let state: Option<ServiceState> = kernel::latest(read, service.as_str()).await?;
        owners.extend(state.map(|state| (service, state.team)));
    }
    Ok(owners)
}

fn service_of(fact: &StoredFact) -> Option<ServiceName> {
    fact.body.get("service")?.as_str()?.parse().ok()
}

/// A fact about a service is seen by those who may see the service, one about a team by its
/// members, everything else by platform admins.
fn visible(
    ctx: &Ctx,
    fact: &StoredFact,
    service: Option<ServiceName>,
    owners: &BTreeMap<ServiceName, TeamName>,
) -> bool {
    if let Some(service) = service {
        let team = owners.get(&service).cloned().or_else(|| team_of(fact));
        return team.is_some_and(|team| ctx.may_see(&team, Some(&service)));
    }
    match (fact.kind.as_str(), team_of(fact)) {
        (facts::TeamState::KIND, Some(team)) => ctx.may_see(&team, None),
        _ => {
            let identity = ctx.permit().identity();
            identity.admin && identity.services.is_empty() && identity.scopes.contains(&api::Action::Admin)
        }
    }
}

fn team_of(fact: &StoredFact) -> Option<TeamName> {
    fact.body.get("team")?.as_str()?.parse().ok()
}

/// A fact as it is shown.
pub(crate) fn record(fact: StoredFact) -> AuditRecord {
    AuditRecord {
        seq: fact.seq,
        kind: fact.kind,
        subject: fact.subject,
        generation: fact.generation,
        actor: fact.actor,
        cause: fact.cause,
        at: fact.at,
        body: fact.body,
        hash: fact.hash,
    }
}
