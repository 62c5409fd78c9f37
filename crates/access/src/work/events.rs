use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use api::access::{AuditRecord, EventQuery};
use base::{FactSeq, Problem, Result, ServiceName, TeamName};
use facts::{Fact, ServiceState};
use futures_util::stream;
use kernel::{Ctx, Event, EventStream, event_stream};
use store::StoredFact;
use tokio::sync::Mutex;
use tokio::sync::broadcast::error::RecvError;

/// Facts read at once.
const BATCH: u32 = 200;

/// Facts kept for all who watch.
const KEPT: usize = 512;

/// The end of the log, read once for everybody who watches: whoever is woken finds there what is new, and
/// only who lies further back reads the log.
#[derive(Default)]
pub(crate) struct Tail {
    recent: Mutex<Recent>,
}

#[derive(Default)]
struct Recent {
    /// Nothing between this place and the first fact that is kept was left out.
    from: Option<FactSeq>,
    facts: VecDeque<Arc<StoredFact>>,
    /// Who owns the services that those facts are about, now.
    owners: BTreeMap<ServiceName, TeamName>,
}

/// Facts with the owners of the services that they are about.
type Found = (Vec<Arc<StoredFact>>, BTreeMap<ServiceName, TeamName>);

impl Tail {
    /// The facts behind a place, at most [`BATCH`] of them; `newest` is known to be there.
    async fn after(&self, ctx: &Ctx, after: FactSeq, newest: FactSeq) -> Result<Found> {
        let mut recent = self.recent.lock().await;
        let from = *recent.from.get_or_insert(after);
        if recent.end() < newest {
            recent.read_on(&mut ctx.read().await?).await?;
        }
        if after < from.max(recent.begin()) {
            drop(recent);
            return read_log(&mut ctx.read().await?, after).await;
        }
        let at = recent.facts.partition_point(|fact| fact.seq <= after);
        let batch = usize::try_from(BATCH).unwrap_or(usize::MAX);
        let facts: Vec<_> = recent.facts.iter().skip(at).take(batch).cloned().collect();
        let services: BTreeSet<ServiceName> = facts.iter().filter_map(|fact| service_of(fact)).collect();
        let owners = services.into_iter().filter_map(|s| Some((s.clone(), recent.owners.get(&s)?.clone())));
        let owners = owners.collect();
        Ok((facts, owners))
    }
}

impl Recent {
    /// The place behind which everything is kept.
    fn begin(&self) -> FactSeq {
        match (self.facts.front(), self.from) {
            (Some(first), Some(from)) => FactSeq(first.seq.0.saturating_sub(1)).max(from),
            (_, from) => from.unwrap_or_default(),
        }
    }

    fn end(&self) -> FactSeq {
        self.facts.back().map_or(self.from.unwrap_or_default(), |fact| fact.seq)
    }

    async fn read_on(&mut self, read: &mut impl store::Read) -> Result<()> {
        loop {
            let facts = store::facts_after(read, self.end(), &[], None, BATCH).await?;
            if facts.is_empty() {
                break;
            }
            // What was said of a service before may not hold any more.
            self.owners.extend(owners(read, &facts).await?);
            self.facts.extend(facts.into_iter().map(Arc::new));
        }
        while self.facts.len() > KEPT {
            self.facts.pop_front();
        }
        if self.owners.len() > KEPT.saturating_mul(4) {
            let named: BTreeSet<ServiceName> = self.facts.iter().filter_map(|fact| service_of(fact)).collect();
            self.owners.retain(|service, _| named.contains(service));
        }
        Ok(())
    }
}

async fn read_log(read: &mut impl store::Read, after: FactSeq) -> Result<Found> {
    let facts = store::facts_after(read, after, &[], None, BATCH).await?;
    let owners = owners(read, &facts).await?;
    Ok((facts.into_iter().map(Arc::new).collect(), owners))
}

struct Watch {
    ctx: Ctx,
    tail: Arc<Tail>,
    query: EventQuery,
    after: FactSeq,
    /// A fact that is known to be there.
    newest: FactSeq,
    ready: VecDeque<Arc<StoredFact>>,
    wakes: tokio::sync::broadcast::Receiver<store::Wake>,
}

/// The facts that the caller may see, as they are appended.
pub(crate) async fn watch(
    ctx: Ctx,
    tail: Arc<Tail>,
    query: EventQuery,
    last_event_id: Option<&str>,
) -> Result<EventStream<AuditRecord>> {
    // Subscribed before the newest is read: nothing falls between.
    let wakes = ctx.platform().store().wakes();
    let newest = newest(&ctx).await?;
    let after =
        match (last_event_id, query.after) {
            (Some(text), _) => FactSeq(text.parse().map_err(|_| {
                Problem::unprocessable("bad-event-id", "`Last-Event-ID` is not one that this stream gave")
            })?),
            (None, Some(after)) => after,
            (None, None) => newest,
        };
    let watch = Watch { ctx, tail, query, after, newest, ready: VecDeque::new(), wakes };
    Ok(event_stream(stream::try_unfold(watch, |mut watch| async move {
        loop {
            if let Some(fact) = watch.ready.pop_front() {
                let id = Some(fact.seq.to_string());
                return Ok(Some((Event { id, data: record(StoredFact::clone(&fact)) }, watch)));
            }
            watch.read_on().await?;
        }
    })))
}

impl Watch {
    async fn read_on(&mut self) -> Result<()> {
        if self.newest <= self.after {
            self.newest = self.woken().await?;
            return Ok(());
        }
        let (facts, owners) = self.tail.after(&self.ctx, self.after, self.newest).await?;
        let Some(last) = facts.last().map(|f| f.seq) else {
            // Whoever asked to begin behind the end of the log waits for what comes there.
            self.newest = self.after;
            return Ok(());
        };
        self.after = last;
        let (ctx, query) = (&self.ctx, &self.query);
        self.ready.extend(facts.into_iter().filter(|fact| {
            let service = service_of(fact);
            query.kind.as_ref().is_none_or(|kind| *kind == fact.kind)
                && query.service.as_ref().is_none_or(|wanted| service.as_ref() == Some(wanted))
                && visible(ctx, fact, service, &owners)
        }));
        Ok(())
    }

    /// Waits until there is a fact, and says which.
    async fn woken(&mut self) -> Result<FactSeq> {
        loop {
            match self.wakes.recv().await {
                Ok(wake) if wake.seq > self.after => return Ok(wake.seq),
                Ok(wake) if &*wake.kind != store::ANYTHING => {}
                // Lagging is no harm: everything is read from the log.
                Ok(_) | Err(RecvError::Lagged(_)) => return newest(&self.ctx).await,
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
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
