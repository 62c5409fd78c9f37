use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use base::{EnvironmentName, Generation, InstanceId, Result, ServiceName, Time};
use facts::{Fact, InstanceSet, InstancesWanted, ProcessWanted, Replicas, RouteSeen};
use kernel::{Ctx, Outcome, Scope, ServiceReconciler};
use ports::InstanceSeen;
use serde::Serialize;

use super::{drain, seen, start};
use crate::decide::{Act, Plan, Sight, Want, decide, forgiven_at};
use crate::model::{Key, Known, KnownState, Tally};
use crate::state;

/// While a retired instance finishes its requests, it is looked at this often.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// What could not be brought into its wanted state is tried again after this.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// Makes the instances as they are wanted.
#[derive(Default)]
pub(crate) struct Instances {
    /// Up to where the engine's news were read; nothing is decided by it.
    mark: AtomicU64,
}

/// What a run did.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    processes: usize,
    started: usize,
    stopped: usize,
    ended: usize,
    forgotten: usize,
    next_look: Option<Time>,
}

/// A service in an environment.
pub(crate) type Place = (ServiceName, EnvironmentName);

/// Everything a run knows of its services before it decides.
#[derive(Default)]
pub(crate) struct View {
    pub wishes: BTreeMap<Place, (InstancesWanted, Generation)>,
    pub replicas: BTreeMap<Place, Replicas>,
    pub known: BTreeMap<Key, Vec<Known>>,
    pub tallies: BTreeMap<Key, Tally>,
    pub seen: BTreeMap<InstanceId, InstanceSeen>,
    /// Retired instances that may still get or have requests.
    pub busy: BTreeSet<InstanceId>,
}

/// The decision about one process of one set.
pub(crate) struct Decided {
    pub key: Key,
    pub want: Want,
    pub plan: Plan,
    /// New instances, with the ids they were given.
    pub new: Vec<Known>,
}

#[async_trait]
impl ServiceReconciler for Instances {
    const NAME: &'static str = "run.instances";
    const EVERY: Duration = Duration::from_secs(5);
    const WAKES: &'static [&'static str] = &[InstancesWanted::KIND, Replicas::KIND, RouteSeen::KIND];
    const SUBJECTS: &'static str = InstancesWanted::KIND;
    type Status = Status;

    async fn reconcile(&self, ctx: &Ctx, services: &BTreeSet<ServiceName>) -> Result<Outcome<Status>> {
        let view = look(ctx, services).await?;
        let mut decided = decide_all(ctx, &view);
        for one in &mut decided {
            one.new = new_instances(ctx, &view, one);
        }
        record(ctx, &view, &decided).await?;
        let (status, troubles) = act(ctx, &view, &decided).await;
        let mut again = seen::publish(ctx, services, &view, &decided, &troubles).await?;
        for one in &decided {
            if let Some(after) = look_again(ctx.now(), &view, one, troubles.contains_key(&one.key)) {
                let known = again.entry(one.key.service.clone()).or_insert(after);
                *known = after.min(*known);
            }
        }
        Ok(Outcome { status, again })
    }

    async fn stirred(&self, ctx: &Ctx) {
        let engine = &ctx.platform().ports().engine;
        // What came since the news were last asked for is not waited for.
        let news = engine.news(self.mark.load(Ordering::Relaxed)).await;
        if !news.is_ok_and(|(_, ids)| ids.is_some_and(|ids| !ids.is_empty())) {
            engine.changed(Self::EVERY).await;
        }
    }

    async fn news(&self, ctx: &Ctx) -> Result<Scope> {
        let (mark, ids) = ctx.platform().ports().engine.news(self.mark.load(Ordering::Relaxed)).await?;
        let scope = match ids {
            None => Scope::Everything,
            Some(ids) if ids.is_empty() => Scope::nothing(),
            Some(ids) => Scope::Services(state::services_of(&mut ctx.read().await?, &ids).await?),
        };
        self.mark.store(mark, Ordering::Relaxed);
        Ok(scope)
    }
}

/// When time alone may change what is to be done about a process.
fn look_again(now: Time, view: &View, one: &Decided, is_troubled: bool) -> Option<Duration> {
    let is_draining = one.plan.acts.iter().any(|act| matches!(act, Act::Retire(_)))
        || view.known.get(&one.key).into_iter().flatten().any(|known| view.busy.contains(&known.id));
    let spans = [
        is_draining.then_some(LOOK_AGAIN),
        is_troubled.then_some(TRY_AGAIN),
        one.plan.again.filter(|at| *at > now).map(|at| at.since(now)),
        forgiven_at(&one.plan.tally).filter(|at| *at > now).map(|at| at.since(now)),
    ];
    spans.into_iter().flatten().min()
}

/// Reads what is wanted, recorded and seen.
async fn look(ctx: &Ctx, services: &BTreeSet<ServiceName>) -> Result<View> {
    let mut view = View::default();
    let mut read = ctx.read().await?;
    for service in services {
        for (wish, generation) in kernel::latest_of::<InstancesWanted>(&mut read, service).await? {
            view.wishes.insert((wish.service.clone(), wish.environment.clone()), (wish, generation));
        }
        for (replicas, _) in kernel::latest_of::<Replicas>(&mut read, service).await? {
            view.replicas.insert((replicas.service.clone(), replicas.environment.clone()), replicas);
        }
        for one in state::instances_of(&mut read, service).await? {
            view.known.entry(one.key.clone()).or_default().push(one);
        }
    }
    let rollouts: BTreeSet<_> = view.keys().into_iter().map(|key| key.rollout).collect();
    let mut counts = BTreeMap::new();
    for rollout in rollouts {
        for (process, tally) in state::tallies_of(&mut read, rollout).await? {
            counts.insert((rollout, process), tally);
        }
    }
    drop(read);
    let keys = view.keys().into_iter();
    view.tallies =
        keys.filter_map(|key| counts.get(&(key.rollout, key.process.clone())).map(|tally| (key, *tally))).collect();
    view.seen = sight(ctx, &view).await?;
    view.busy = drain::busy(ctx, &view).await?;
    Ok(view)
}

/// What the engine sees of the recorded instances.
pub(crate) async fn sight(ctx: &Ctx, view: &View) -> Result<BTreeMap<InstanceId, InstanceSeen>> {
    let engine = &ctx.platform().ports().engine;
    let mut seen = BTreeMap::new();
    for known in view.known.values().flatten() {
        seen.extend(engine.get(known.id).await?.map(|one| (known.id, one)));
    }
    Ok(seen)
}

impl View {
    /// Every process of every set that is wanted or recorded.
    fn keys(&self) -> BTreeSet<Key> {
        let mut keys: BTreeSet<Key> = self.known.keys().cloned().collect();
        for (wish, _) in self.wishes.values() {
            for set in &wish.sets {
                keys.extend(set.processes.iter().map(|process| key_of(wish, set, process)));
            }
        }
        keys
    }

    fn wish(&self, key: &Key) -> Option<&(InstancesWanted, Generation)> {
        self.wishes.get(&(key.service.clone(), key.environment.clone()))
    }

    /// What is wanted of a process of a set, and the generation of that wish.
    pub(crate) fn wanted(&self, key: &Key) -> Option<(&InstanceSet, &ProcessWanted, Generation)> {
        let (wish, generation) = self.wish(key)?;
        let set = wish.sets.iter().find(|set| set.rollout == key.rollout)?;
        let process = set.processes.iter().find(|process| process.process == key.process)?;
        Some((set, process, *generation))
    }

    /// The generation of the wish about a place, whatever it says.
    fn generation(&self, key: &Key) -> Generation {
        self.wish(key).map_or(Generation(0), |(_, generation)| *generation)
    }

    /// How many instances of a process shall run: what a person asked for, else the manifest's least.
    fn count(&self, key: &Key, process: &ProcessWanted) -> u32 {
        if process.task {
            return 1;
        }
        self.replicas
            .get(&(key.service.clone(), key.environment.clone()))
            .and_then(|r| r.processes.get(&key.process).copied())
            .unwrap_or(process.instances_min)
    }
}

fn key_of(wish: &InstancesWanted, set: &InstanceSet, process: &ProcessWanted) -> Key {
    Key {
        service: wish.service.clone(),
        environment: wish.environment.clone(),
        rollout: set.rollout,
        process: process.process.clone(),
    }
}

fn decide_all(ctx: &Ctx, view: &View) -> Vec<Decided> {
    let now = ctx.now();
    let none = Vec::new();
    view.keys()
        .into_iter()
        .map(|key| {
            let want = match view.wanted(&key) {
                Some((_, process, _)) => Want { count: view.count(&key, process), task: process.task },
                None => Want { count: 0, task: false },
            };
            let known = view.known.get(&key).unwrap_or(&none);
            let tally = view.tallies.get(&key).copied().unwrap_or_default();
            let sight = Sight { seen: &view.seen, busy: &view.busy, now };
            let plan = decide(want, known, &sight, tally);
            Decided { key, want, plan, new: Vec::new() }
        })
        .collect()
}

/// Gives the new instances of a plan their identity.
fn new_instances(ctx: &Ctx, view: &View, decided: &Decided) -> Vec<Known> {
    let count = decided.plan.acts.iter().filter(|act| **act == Act::New).count();
    let Some((set, process, generation)) = view.wanted(&decided.key) else { return Vec::new() };
    (0..count)
        .map(|_| Known {
            id: ctx.new_id(InstanceId::new),
            key: decided.key.clone(),
            release: set.release,
            generation,
            state: KnownState::Wanted,
            stop: process.stop.0,
            created: ctx.now(),
        })
        .collect()
}

/// Records every decision in one transaction, before anything is done.
async fn record(ctx: &Ctx, view: &View, decided: &[Decided]) -> Result<()> {
    let recorded = |act: &Act| !matches!(act, Act::Start(_) | Act::Stop(_) | Act::Forget(_));
    let changed = |d: &&Decided| {
        d.plan.acts.iter().any(recorded) || view.tallies.get(&d.key).copied().unwrap_or_default() != d.plan.tally
    };
    if !decided.iter().any(|d| changed(&d)) {
        return Ok(());
    }
    let now = ctx.now();
    let mut tx = ctx.begin().await?;
    for one in decided.iter().filter(changed) {
        for new in &one.new {
            state::insert(&mut tx, new).await?;
        }
        for act in &one.plan.acts {
            match act {
                Act::Retire(id) => state::set_stopping(&mut tx, *id, now).await?,
                Act::Ended { id, crashed } => state::set_ended(&mut tx, *id, *crashed, now).await?,
                Act::New | Act::Start(_) | Act::Stop(_) | Act::Forget(_) => {}
            }
        }
        state::put_tally(&mut tx, &one.key, one.plan.tally).await?;
    }
    tx.commit().await
}

/// Carries the decisions out. What fails is said and done again in the next run.
async fn act(ctx: &Ctx, view: &View, decided: &[Decided]) -> (Status, BTreeMap<Key, String>) {
    let mut status = Status::default();
    let mut troubles = BTreeMap::new();
    for one in decided {
        status.processes += 1;
        status.next_look = [status.next_look, one.plan.again].into_iter().flatten().min();
        if let Err(problem) = act_one(ctx, view, one, &mut status).await {
            tracing::warn!(service = %one.key.service, environment = %one.key.environment, %problem, "an instance could not be brought into its wanted state");
            troubles.insert(one.key.clone(), problem.to_string());
        }
    }
    (status, troubles)
}

async fn act_one(ctx: &Ctx, view: &View, one: &Decided, status: &mut Status) -> Result<()> {
    let engine = &ctx.platform().ports().engine;
    let generation = view.generation(&one.key);
    let grace = |id: &InstanceId| {
        let known = view.known.get(&one.key).into_iter().flatten().find(|known| known.id == *id);
        known.map_or(Duration::ZERO, |known| known.stop)
    };
    let mut first_problem = None;
    for act in &one.plan.acts {
        let outcome = match act {
            Act::New | Act::Retire(_) => Ok(()),
            Act::Start(id) => start::start(ctx, view, &one.key, *id).await.map(|()| status.started += 1),
            Act::Stop(id) => engine.stop(*id, generation, grace(id)).await.map(|()| status.stopped += 1),
            Act::Ended { .. } => {
                status.ended += 1;
                Ok(())
            }
            Act::Forget(id) => forget(ctx, *id, generation).await.map(|()| status.forgotten += 1),
        };
        first_problem = first_problem.or(outcome.err());
    }
    for new in &one.new {
        let outcome = start::start(ctx, view, &one.key, new.id).await.map(|()| status.started += 1);
        first_problem = first_problem.or(outcome.err());
    }
    first_problem.map_or(Ok(()), Err)
}

/// The engine forgets first: a crash in between leaves a record that is forgotten the next time.
async fn forget(ctx: &Ctx, id: InstanceId, generation: Generation) -> Result<()> {
    ctx.platform().ports().engine.remove(id, generation).await?;
    let mut tx = ctx.begin().await?;
    state::delete(&mut tx, id).await?;
    tx.commit().await
}
