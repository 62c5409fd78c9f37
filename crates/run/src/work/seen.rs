use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base::{Generation, Result, ServiceName, Time};
use facts::{Fact, InstanceView, InstancesSeen, ProcessSeen};
use kernel::Ctx;
use ports::{ExitKind, InstanceSeen, InstanceState};
use store::StoredFact;

use super::instances::{Decided, Place, View, sight};
use crate::decide::next_start;
use crate::model::{Key, Known, KnownState};
use crate::state;

/// Log lines told of an instance that crashed.
const LAST_LINES: usize = 20;
/// A fact that differs from the last only in its evidence is published this often.
const REFRESH: Duration = Duration::from_secs(5);

/// Publishes what is seen of every place of these services, where it says something new. Returns
/// the services of which something is held back for a while.
pub(crate) async fn publish(
    ctx: &Ctx,
    services: &BTreeSet<ServiceName>,
    view: &View,
    decided: &[Decided],
    troubles: &BTreeMap<Key, String>,
) -> Result<BTreeMap<ServiceName, Duration>> {
    let mut now = View::default();
    let mut read = ctx.read().await?;
    let mut before: BTreeMap<Place, StoredFact> = BTreeMap::new();
    for service in services {
        for one in state::instances_of(&mut read, service).await? {
            now.known.entry(one.key.clone()).or_default().push(one);
        }
        for stored in store::facts_latest_beneath(&mut read, InstancesSeen::KIND, service.as_str()).await? {
            if let Ok(seen) = serde_json::from_value::<InstancesSeen>(stored.body.clone()) {
                before.insert((seen.service, seen.environment), stored);
            }
        }
    }
    drop(read);
    let seen = sight(ctx, &now).await?;
    let mut places: BTreeMap<Place, Vec<ProcessSeen>> = view.wishes.keys().map(|p| (p.clone(), Vec::new())).collect();
    for one in decided {
        let records = now.known.get(&one.key).map_or(&[][..], Vec::as_slice);
        if let Some(process) = process(ctx, view, one, records, &seen, troubles.get(&one.key)).await? {
            places.entry((one.key.service.clone(), one.key.environment.clone())).or_default().push(process);
        }
    }
    let mut again = BTreeMap::new();
    for (place, processes) in places {
        let generation = view.wishes.get(&place).map_or(Generation(0), |(_, generation)| *generation);
        let (service, environment) = place.clone();
        let fact = InstancesSeen { service, environment, generation, processes };
        if publish_place(ctx, fact, before.get(&place)).await? == Told::Later {
            again.insert(place.0, REFRESH);
        }
    }
    Ok(again)
}

/// What became of something that is seen.
#[derive(PartialEq, Eq)]
enum Told {
    /// Others know it.
    Now,
    /// Only its evidence is new: others are told with the next change, or in a while.
    Later,
}

async fn publish_place(ctx: &Ctx, fact: InstancesSeen, before: Option<&StoredFact>) -> Result<Told> {
    if let Some(before) = before {
        let same: Option<InstancesSeen> = serde_json::from_value(before.body.clone()).ok();
        if same.as_ref() == Some(&fact) {
            return Ok(Told::Now);
        }
        let fresh = ctx.now().since(before.at) < REFRESH;
        if fresh && same.is_some_and(|s| outline(&s) == outline(&fact)) {
            return Ok(Told::Later);
        }
    }
    let mut tx = ctx.begin().await?;
    ctx.publish_at(&mut tx, &fact, fact.generation).await?;
    tx.commit().await?;
    Ok(Told::Now)
}

/// A fact without what changes with every probe.
fn outline(fact: &InstancesSeen) -> InstancesSeen {
    let mut fact = fact.clone();
    for instance in fact.processes.iter_mut().flat_map(|p| &mut p.instances) {
        instance.evidence.clear();
        instance.since = Time::default();
    }
    fact
}

/// What is seen of one process; nothing when it is neither wanted nor there.
async fn process(
    ctx: &Ctx,
    view: &View,
    one: &Decided,
    records: &[Known],
    seen: &BTreeMap<base::InstanceId, InstanceSeen>,
    trouble: Option<&String>,
) -> Result<Option<ProcessSeen>> {
    let running = records.iter().any(|k| !matches!(k.state, KnownState::Ended { .. }));
    let wanted = view.wanted(&one.key);
    let Some(release) = wanted.map(|(set, _, _)| set.release).or_else(|| records.last().map(|k| k.release)) else {
        return Ok(None);
    };
    if wanted.is_none() && !running {
        return Ok(None);
    }
    let last_lines = last_lines(ctx, records).await;
    Ok(Some(ProcessSeen {
        rollout: one.key.rollout,
        release,
        process: one.key.process.clone(),
        task: one.want.task,
        wanted: one.want.count,
        crashes: one.plan.tally.crashes,
        crash_loop: one.plan.crash_loop,
        trouble: trouble.cloned().unwrap_or_else(|| trouble_of(one, records, seen)),
        last_lines,
        instances: records.iter().filter_map(|known| instance(known, records, seen)).collect(),
    }))
}

/// Running instances, and the last one that ended.
fn instance(known: &Known, records: &[Known], seen: &BTreeMap<base::InstanceId, InstanceSeen>) -> Option<InstanceView> {
    let last_ended = records.iter().rev().find(|k| matches!(k.state, KnownState::Ended { .. })).map(|k| k.id);
    if matches!(known.state, KnownState::Ended { .. }) && last_ended != Some(known.id) {
        return None;
    }
    let found = seen.get(&known.id)?;
    Some(InstanceView {
        id: known.id,
        // Whoever decides about traffic must know before the instance does.
        state: match known.state {
            KnownState::Stopping { .. } if found.state.is_running() => InstanceState::Stopping,
            _ => found.state.clone(),
        },
        since: found.since,
        evidence: found.evidence.clone(),
        address: found.address.clone(),
    })
}

fn trouble_of(one: &Decided, records: &[Known], seen: &BTreeMap<base::InstanceId, InstanceSeen>) -> String {
    let last_crash = records.iter().rev().find(|k| matches!(k.state, KnownState::Ended { crashed: true, .. }));
    let Some(crash) = last_crash else { return String::new() };
    if one.plan.tally.crashes == 0 && !one.want.task {
        return String::new();
    }
    let how = seen.get(&crash.id).map_or_else(|| "it ended".to_owned(), how_it_ended);
    match (one.want.task, next_start(&one.plan.tally)) {
        (false, Some(at)) => format!("{how}; crash {} in a row, next start at {at}", one.plan.tally.crashes),
        _ => how,
    }
}

fn how_it_ended(seen: &InstanceSeen) -> String {
    match &seen.state {
        InstanceState::Exited { kind: ExitKind::Status { status } } => format!("it ended with exit status {status}"),
        _ if !seen.evidence.is_empty() => seen.evidence.clone(),
        InstanceState::Exited { kind: ExitKind::Signal { signal } } => format!("it was killed by signal {signal}"),
        _ => "it ended".to_owned(),
    }
}

/// The last lines of the newest instance that crashed. Telling them is help, not duty: a log that
/// cannot be read does not stop the run.
async fn last_lines(ctx: &Ctx, records: &[Known]) -> Vec<String> {
    let Some(crash) = records.iter().rev().find(|k| matches!(k.state, KnownState::Ended { crashed: true, .. })) else {
        return Vec::new();
    };
    let lines = ctx.platform().ports().engine.log_tail(crash.id, LAST_LINES).await.unwrap_or_default();
    lines.into_iter().map(|line| line.text).collect()
}
