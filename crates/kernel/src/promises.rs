//! The control plane asks its own ledger whether the promises hold. What it finds is told, by the
//! log and by the doctor; nothing is ended or taken back because of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api::platform::{Check, Verdict};
use async_trait::async_trait;
use base::{FactSeq, Result, ServiceName};
use facts::promise::{self, Violation};
use facts::{Fact, InstancesWanted, Replicas, RolloutSeen, RolloutState, RouteSeen, TrafficWanted};
use serde::Serialize;
use serde::de::DeserializeOwned;
use store::{Read, StoredFact};

use crate::{Ctx, DoctorCheck, Outcome, ServiceReconciler};

/// Facts of one kind about one place that are looked through, newest first. Where that is not enough
/// nothing is said.
const LOOKED_THROUGH: u32 = 200;
/// Broken promises that the doctor tells one by one.
const TOLD: usize = 20;

/// What was found since the start.
#[derive(Default)]
struct Memory {
    /// Whether anything was looked at.
    has_looked: bool,
    broken: BTreeMap<ServiceName, Vec<Violation>>,
}

/// Holds the promises about wishes and rollouts against the newest facts of each service.
pub(crate) struct Promises(Arc<Mutex<Memory>>);

/// Tells what [`Promises`] has found.
pub(crate) struct Kept(Arc<Mutex<Memory>>);

/// Both, over one memory.
pub(crate) fn promises() -> (Promises, Kept) {
    let memory = Arc::default();
    (Promises(Arc::clone(&memory)), Kept(memory))
}

/// What a run found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    services: usize,
    broken: Vec<Violation>,
}

#[async_trait]
impl ServiceReconciler for Promises {
    const NAME: &'static str = "kernel.promises";
    const EVERY: Duration = Duration::from_secs(30);
    const WAKES: &'static [&'static str] = &[RolloutSeen::KIND, InstancesWanted::KIND, TrafficWanted::KIND];
    const SUBJECTS: &'static str = RolloutSeen::KIND;
    type Status = Status;

    async fn reconcile(&self, ctx: &Ctx, services: &BTreeSet<ServiceName>) -> Result<Outcome<Status>> {
        let mut status = Status { services: services.len(), broken: Vec::new() };
        let mut again = BTreeMap::new();
        let mut read = ctx.read().await?;
        for service in services {
            let (broken, look_again) = look(ctx, &mut read, service).await?;
            again.extend(look_again.map(|after| (service.clone(), after)));
            self.keep(service, &broken);
            status.broken.extend(broken);
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner).has_looked = true;
        Ok(Outcome { status, again })
    }
}

impl Promises {
    fn keep(&self, service: &ServiceName, found: &[Violation]) {
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = memory.broken.remove(service).unwrap_or_default();
        for violation in found.iter().filter(|violation| !before.contains(violation)) {
            tracing::error!(%service, %violation, "a promise is broken");
        }
        if !found.is_empty() {
            memory.broken.insert(service.clone(), found.to_vec());
        }
    }
}

/// What is broken about a service, and when time alone may break something.
async fn look(ctx: &Ctx, read: &mut impl Read, service: &ServiceName) -> Result<(Vec<Violation>, Option<Duration>)> {
    let (now, calm_since) = (ctx.now(), ctx.platform().started());
    let mut broken = Vec::new();
    let mut again: Option<Duration> = None;
    for kind in [InstancesWanted::KIND, TrafficWanted::KIND] {
        for wish in store::facts_latest_beneath(read, kind, service.as_str()).await? {
            let (before, _) = before(read, wish.seq, kind, &wish.subject).await?;
            let before = before.first().map(|before| before.generation);
            broken.extend(before.and_then(|before| promise::rises(kind, &wish.subject, before, wish.generation)));
        }
    }
    for stored in store::facts_latest_beneath(read, RolloutSeen::KIND, service.as_str()).await? {
        let Some(seen) = decoded::<RolloutSeen>(&stored) else { continue };
        broken.extend(promise::explains_itself(&seen, now, calm_since));
        if let Some(deadline) = seen.deadline {
            let judged_at = deadline.max(calm_since).plus(promise::PATIENCE);
            let after = judged_at.since(now).saturating_add(Duration::from_secs(1));
            again = Some(again.map_or(after, |again| again.min(after)));
        }
        if seen.state == RolloutState::Succeeded && !is_proved(read, &stored, &seen).await? {
            broken.push(promise::unobserved(&seen, "the ledger holds no evidence"));
        }
    }
    Ok((broken, again))
}

/// Whether the ledger shows that a success was observed, or cannot show it.
async fn is_proved(read: &mut impl Read, stored: &StoredFact, success: &RolloutSeen) -> Result<bool> {
    let wanted = crate::latest::<InstancesWanted>(read, &stored.subject).await?;
    let set = wanted.and_then(|wanted| wanted.sets.into_iter().find(|set| set.rollout == success.rollout));
    let Some(set) = set else { return Ok(true) };
    let (replicas, _) = before(read, stored.seq, Replicas::KIND, &stored.subject).await?;
    if !promise::can_answer(&set, &decoded_all(&replicas)) {
        return Ok(true);
    }
    let (routes, is_all) = before(read, stored.seq, RouteSeen::KIND, &stored.subject).await?;
    Ok(promise::was_observed(success, &decoded_all::<RouteSeen>(&routes)) || !is_all)
}

/// Facts of a kind about this subject before another fact, newest first, and whether there are no more.
async fn before(read: &mut impl Read, seq: FactSeq, kind: &str, subject: &str) -> Result<(Vec<StoredFact>, bool)> {
    let facts = store::facts_of(read, seq, kind, subject, LOOKED_THROUGH).await?;
    let is_all = facts.len() < usize::try_from(LOOKED_THROUGH).unwrap_or(usize::MAX);
    Ok((facts, is_all))
}

/// A fact of another version may not be readable; the promises are about those that are.
fn decoded<F: DeserializeOwned>(stored: &StoredFact) -> Option<F> {
    serde_json::from_value(stored.body.clone()).ok()
}

fn decoded_all<F: DeserializeOwned>(stored: &[StoredFact]) -> Vec<F> {
    stored.iter().filter_map(decoded).collect()
}

#[async_trait]
impl DoctorCheck for Kept {
    async fn check(&self, _: &Ctx) -> Vec<Check> {
        let memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let broken = memory.broken.values().flatten().take(TOLD);
        let told: Vec<Check> = broken.map(|violation| check(Verdict::Broken, violation.to_string())).collect();
        match (told.is_empty(), memory.has_looked) {
            (false, _) => told,
            (true, true) => vec![check(Verdict::Ok, "the ledger was looked at, and no promise is broken".to_owned())],
            (true, false) => vec![check(Verdict::Limited, "the ledger was not looked at yet".to_owned())],
        }
    }
}

fn check(verdict: Verdict, found: String) -> Check {
    let fix = match verdict {
        Verdict::Broken => Some("keep what is there: take a backup (`orlop backup`), and report it with `orlop audit`"),
        Verdict::Limited => Some("ask again in a minute"),
        Verdict::Ok => None,
    };
    Check { name: "promises".to_owned(), verdict, found, fix: fix.map(str::to_owned) }
}
