mod inbox;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use base::{Problem, Result, ServiceName, Time};
use tokio::sync::broadcast;
use tokio::task::JoinSet;

use crate::jobs::{HEARTBEATS_PER_LEASE, LEASE};
use crate::{Capability, Job, JobOutcome, Outcome, Platform, Reconciler, Scope, ServiceReconciler, Takeover};
use inbox::Inbox;

/// A run of a reconciler may take this long before it is broken off.
const RUN_DEADLINE: Duration = Duration::from_secs(60);
/// Wake-ups that come within this span lead to one run.
const GATHER: Duration = Duration::from_millis(5);
/// After a failed run the next one waits at least this long; it doubles with each failure.
const BACKOFF_FIRST: Duration = Duration::from_millis(200);
/// The longest wait after failures: what was in the way (a full disk, a gateway that starts) is found
/// gone within ten seconds.
const BACKOFF_LAST: Duration = Duration::from_secs(8);
/// Idle workers look for jobs this often even when nothing wakes them.
const JOB_POLL: Duration = Duration::from_secs(2);

/// Runs reconcilers and jobs: wake-ups, periods, back-off, deadlines, reports.
#[derive(Default)]
pub struct Driver {
    parts: Mutex<Parts>,
    tasks: tokio::sync::Mutex<JoinSet<()>>,
    /// Those of [`Driver::run_due`].
    inboxes: tokio::sync::Mutex<BTreeMap<&'static str, Inbox>>,
}

#[derive(Default)]
struct Parts {
    reconcilers: Vec<Arc<dyn AnyReconciler>>,
    jobs: Vec<Arc<dyn AnyJob>>,
    /// With the names of their capabilities.
    takeovers: Vec<(&'static str, Arc<dyn Takeover>)>,
    reports: BTreeMap<&'static str, ReconcilerReport>,
}

/// How a reconciler does.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReconcilerReport {
    /// Runs so far.
    pub runs: u64,
    /// Runs that failed.
    pub failures: u64,
    /// When it last ran.
    pub last_run: Option<Time>,
    /// How long that took.
    pub last_took: Duration,
    /// What went wrong in the last run.
    pub last_error: Option<String>,
    /// What the last good run returned.
    pub status: serde_json::Value,
}

impl Driver {
    /// Takes in what the capabilities registered.
    pub fn install(&self, capabilities: &[Capability]) {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        for capability in capabilities {
            parts.reconcilers.extend(capability.reconcilers.iter().cloned());
            parts.jobs.extend(capability.jobs.iter().cloned());
            parts.takeovers.extend(capability.takeovers.iter().map(|one| (capability.name, Arc::clone(one))));
        }
    }

    /// Takes over from the control plane before. To be called once, before [`Driver::start`] and before
    /// anybody is answered.
    pub async fn take_over(&self, platform: &Platform) -> Result<()> {
        let takeovers = self.parts.lock().unwrap_or_else(PoisonError::into_inner).takeovers.clone();
        for (name, takeover) in takeovers {
            takeover.take_over(&platform.ctx(name)).await?;
        }
        Ok(())
    }

    /// Starts everything. Ends with [`Driver::stop`].
    pub async fn start(&self, platform: &Platform) {
        let (reconcilers, jobs) = {
            let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
            (parts.reconcilers.clone(), parts.jobs.clone())
        };
        let mut tasks = self.tasks.lock().await;
        for reconciler in reconcilers {
            tasks.spawn(keep_reconciling(platform.clone(), reconciler));
        }
        for job in jobs {
            for worker in 0..job.concurrency() {
                tasks.spawn(keep_working(platform.clone(), Arc::clone(&job), worker));
            }
        }
    }

    /// Stops everything where it is. What was under way is done again at the next start.
    pub async fn stop(&self) {
        self.tasks.lock().await.shutdown().await;
    }

    /// Names of the reconcilers.
    pub fn names(&self) -> Vec<&'static str> {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.reconcilers.iter().map(|r| r.name()).collect()
    }

    /// How each reconciler does.
    pub fn reports(&self) -> BTreeMap<&'static str, ReconcilerReport> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).reports.clone()
    }

    /// One run of one reconciler over everything, for simulation: time and order are the caller's.
    pub async fn run_once(&self, platform: &Platform, name: &str) -> Result<serde_json::Value> {
        let found = self.find(name)?;
        let services = match found.subjects() {
            Some(kind) => inbox::all(&mut platform.store().read().await?, kind).await?,
            None => BTreeSet::new(),
        };
        Ok(found.run(platform, &services).await?.status)
    }

    /// One run of one reconciler over what it was woken for since its last, for simulation: as
    /// [`Driver::start`] does it, but never by the clock alone. The first run looks at everything.
    pub async fn run_due(&self, platform: &Platform, name: &str) -> Result<serde_json::Value> {
        let found = self.find(name)?;
        let mut inboxes = self.inboxes.lock().await;
        let new = || Inbox::new(platform.store().wakes(), found.wakes(), found.subjects().is_some());
        let inbox = inboxes.entry(found.name()).or_insert_with(new);
        loop {
            let status = one_run(platform, &found, inbox).await?;
            inbox.rest_for_ever();
            if !inbox.is_behind() {
                return Ok(status);
            }
        }
    }

    fn find(&self, name: &str) -> Result<Arc<dyn AnyReconciler>> {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let found = parts.reconcilers.iter().find(|r| r.name() == name).cloned();
        found.ok_or_else(|| Problem::not_found("reconciler-not-found", format!("no reconciler `{name}`")))
    }

    /// One attempt at one due job of any kind, for simulation. Returns whether there was one.
    pub async fn work_once(&self, platform: &Platform, worker: &str) -> Result<bool> {
        let jobs = self.parts.lock().unwrap_or_else(PoisonError::into_inner).jobs.clone();
        for job in jobs {
            if work(platform, &job, worker).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn record(&self, name: &'static str, at: Time, took: Duration, outcome: &Result<serde_json::Value>) -> u64 {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let report = parts.reports.entry(name).or_default();
        report.runs = report.runs.saturating_add(1);
        report.last_run = Some(at);
        report.last_took = took;
        match outcome {
            Ok(status) => {
                report.last_error = None;
                report.status = status.clone();
            }
            Err(problem) => {
                report.failures = report.failures.saturating_add(1);
                report.last_error = Some(problem.to_string());
            }
        }
        report.runs
    }
}

/// A [`Reconciler`] or [`ServiceReconciler`] with its types erased.
#[async_trait]
pub(crate) trait AnyReconciler: Send + Sync {
    fn name(&self) -> &'static str;
    fn every(&self) -> Duration;
    fn wakes(&self) -> &'static [&'static str];
    /// The kind of facts by which the services that it looks after are found; none where it always
    /// looks at everything.
    fn subjects(&self) -> Option<&'static str>;
    async fn news(&self, platform: &Platform) -> Result<Scope>;
    async fn run(&self, platform: &Platform, services: &BTreeSet<ServiceName>) -> Result<Ran>;
    async fn stirred(&self, platform: &Platform);
}

/// What a run came to.
pub(crate) struct Ran {
    pub status: serde_json::Value,
    pub again: Vec<(ServiceName, Duration)>,
}

struct Whole<R>(R);

#[async_trait]
impl<R: Reconciler> AnyReconciler for Whole<R> {
    fn name(&self) -> &'static str {
        R::NAME
    }

    fn every(&self) -> Duration {
        R::EVERY
    }

    fn wakes(&self) -> &'static [&'static str] {
        R::WAKES
    }

    fn subjects(&self) -> Option<&'static str> {
        None
    }

    async fn news(&self, _: &Platform) -> Result<Scope> {
        Ok(Scope::nothing())
    }

    async fn run(&self, platform: &Platform, _: &BTreeSet<ServiceName>) -> Result<Ran> {
        let status = self.0.reconcile(&platform.ctx(R::NAME)).await?;
        Ok(Ran { status: json(status)?, again: Vec::new() })
    }

    async fn stirred(&self, platform: &Platform) {
        self.0.stirred(&platform.ctx(R::NAME)).await;
    }
}

struct ByService<R>(R);

#[async_trait]
impl<R: ServiceReconciler> AnyReconciler for ByService<R> {
    fn name(&self) -> &'static str {
        R::NAME
    }

    fn every(&self) -> Duration {
        R::EVERY
    }

    fn wakes(&self) -> &'static [&'static str] {
        R::WAKES
    }

    fn subjects(&self) -> Option<&'static str> {
        Some(R::SUBJECTS)
    }

    async fn news(&self, platform: &Platform) -> Result<Scope> {
        self.0.news(&platform.ctx(R::NAME)).await
    }

    async fn run(&self, platform: &Platform, services: &BTreeSet<ServiceName>) -> Result<Ran> {
        let Outcome { status, again } = self.0.reconcile(&platform.ctx(R::NAME), services).await?;
        Ok(Ran { status: json(status)?, again: again.into_iter().collect() })
    }

    async fn stirred(&self, platform: &Platform) {
        self.0.stirred(&platform.ctx(R::NAME)).await;
    }
}

fn json(status: impl serde::Serialize) -> Result<serde_json::Value> {
    serde_json::to_value(status).map_err(|e| Problem::internal("status-not-json", e))
}

pub(crate) fn erase_reconciler(reconciler: impl Reconciler) -> Arc<dyn AnyReconciler> {
    Arc::new(Whole(reconciler))
}

pub(crate) fn erase_service_reconciler(reconciler: impl ServiceReconciler) -> Arc<dyn AnyReconciler> {
    Arc::new(ByService(reconciler))
}

async fn keep_reconciling(platform: Platform, reconciler: Arc<dyn AnyReconciler>) {
    let clock = Arc::clone(&platform.ports().clock);
    let mut inbox = Inbox::new(platform.store().wakes(), reconciler.wakes(), reconciler.subjects().is_some());
    let mut failures = 0u32;
    loop {
        let (at, begun) = (clock.now(), clock.elapsed());
        let outcome = one_run(&platform, &reconciler, &mut inbox).await;
        let took = clock.elapsed().saturating_sub(begun);
        platform.driver().record(reconciler.name(), at, took, &outcome);
        match outcome {
            Ok(_) => {
                failures = 0;
                inbox.rest(&*clock, reconciler.every(), took);
                tokio::select! {
                    () = clock.sleep(inbox.pause(&*clock, jittered(&platform, reconciler.every()))) => {}
                    () = inbox.woken() => {}
                    () = reconciler.stirred(&platform) => {}
                }
                clock.sleep(GATHER).await;
            }
            Err(problem) => {
                failures = failures.saturating_add(1);
                tracing::warn!(reconciler = reconciler.name(), %problem, failures, "a run failed");
                clock.sleep(jittered(&platform, backoff(failures))).await;
            }
        }
    }
}

/// One run over what is due. What failed is due again.
async fn one_run(
    platform: &Platform,
    reconciler: &Arc<dyn AnyReconciler>,
    inbox: &mut Inbox,
) -> Result<serde_json::Value> {
    let clock = &platform.ports().clock;
    inbox.drain();
    if let Some(kind) = reconciler.subjects() {
        inbox.add(reconciler.news(platform).await?);
        inbox.slice(&mut platform.store().read().await?, kind, clock.elapsed()).await?;
    }
    let due = inbox.take(clock.elapsed());
    let deadline = clock.sleep(RUN_DEADLINE);
    let outcome = tokio::select! {
        outcome = reconciler.run(platform, &due) => outcome,
        () = inbox.listen() => std::future::pending().await,
        () = deadline => {
            Err(Problem::timeout("reconciler-deadline", format!("a run took more than {} s", RUN_DEADLINE.as_secs())))
        }
    };
    match outcome {
        Ok(Ran { status, again }) => {
            inbox.done(again, clock.elapsed());
            Ok(status)
        }
        Err(problem) => {
            inbox.failed(due);
            Err(problem)
        }
    }
}

/// Twice as long with each failure, up to the last.
fn backoff(failures: u32) -> Duration {
    BACKOFF_FIRST.saturating_mul(1u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX)).min(BACKOFF_LAST)
}

/// Between three quarters and all of the span, so that nothing beats in time with anything else.
fn jittered(platform: &Platform, span: Duration) -> Duration {
    let mut byte = [0u8; 1];
    platform.ports().random.fill(&mut byte);
    let [byte] = byte;
    span.saturating_mul(768u32.saturating_add(u32::from(byte))).checked_div(1023).unwrap_or(span)
}

async fn work_came(wakes: &mut broadcast::Receiver<store::Wake>, kind: &str) {
    wait_for(wakes, |wake| &*wake.kind == store::JOB_WAKE && &*wake.subject == kind).await;
}

async fn wait_for(wakes: &mut broadcast::Receiver<store::Wake>, ours: impl Fn(&store::Wake) -> bool) {
    loop {
        match wakes.recv().await {
            Ok(wake) if &*wake.kind == store::ANYTHING || ours(&wake) => return,
            Ok(_) => {}
            // Missed some: any of them may have been ours.
            Err(broadcast::error::RecvError::Lagged(_)) => return,
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// A [`Job`] with its types erased.
#[async_trait]
pub(crate) trait AnyJob: Send + Sync {
    fn kind(&self) -> &'static str;
    fn concurrency(&self) -> usize;
    async fn run(&self, platform: &Platform, job: &store::Job) -> Result<JobOutcome>;
    async fn gave_up(&self, platform: &Platform, job: &store::Job, problem: &Problem);
}

struct ErasedJob<J>(J);

#[async_trait]
impl<J: Job> AnyJob for ErasedJob<J> {
    fn kind(&self) -> &'static str {
        J::KIND
    }

    fn concurrency(&self) -> usize {
        J::CONCURRENCY
    }

    async fn run(&self, platform: &Platform, job: &store::Job) -> Result<JobOutcome> {
        self.0.run(&platform.ctx(J::KIND), job).await
    }

    async fn gave_up(&self, platform: &Platform, job: &store::Job, problem: &Problem) {
        self.0.gave_up(&platform.ctx(J::KIND), job, problem).await;
    }
}

pub(crate) fn erase_job(job: impl Job) -> Arc<dyn AnyJob> {
    Arc::new(ErasedJob(job))
}

async fn keep_working(platform: Platform, job: Arc<dyn AnyJob>, number: usize) {
    let worker = format!("{}-{}-{number}", std::process::id(), platform.started().micros());
    let mut wakes = platform.store().wakes();
    loop {
        match work(&platform, &job, &worker).await {
            Ok(true) => {}
            Ok(false) => {
                tokio::select! {
                    () = platform.ports().clock.sleep(jittered(&platform, JOB_POLL)) => {}
                    () = work_came(&mut wakes, job.kind()) => {}
                }
            }
            Err(problem) => {
                tracing::warn!(job = job.kind(), %problem, "looking for work failed");
                platform.ports().clock.sleep(jittered(&platform, JOB_POLL)).await;
            }
        }
    }
}

/// Claims one due job of this kind and runs it once. Returns whether there was one.
async fn work(platform: &Platform, job: &Arc<dyn AnyJob>, worker: &str) -> Result<bool> {
    let Some(claimed) = platform.store().claim(&[job.kind()], worker, LEASE).await? else { return Ok(false) };
    let outcome = tokio::select! {
        outcome = job.run(platform, &claimed) => outcome,
        () = lease_lost(platform, &claimed, worker) => {
            tracing::warn!(job = job.kind(), id = %claimed.id, "the lease was lost or the job was cancelled; its work was broken off");
            return Ok(true);
        }
    };
    let store = platform.store();
    match outcome {
        Ok(JobOutcome::Done) => {}
        Ok(JobOutcome::Again(at)) => {
            store.retry(claimed.id, worker, at, "").await?;
        }
        Err(problem) if claimed.attempts < claimed.max_attempts => {
            tracing::warn!(job = job.kind(), id = %claimed.id, %problem, attempt = claimed.attempts, "an attempt failed");
            let at = platform.ports().clock.now().plus(jittered(platform, backoff(claimed.attempts)));
            store.retry(claimed.id, worker, at, &problem.to_string()).await?;
        }
        Err(problem) => {
            tracing::error!(job = job.kind(), id = %claimed.id, %problem, "the last attempt failed");
            job.gave_up(platform, &claimed, &problem).await;
            store.fail(claimed.id, worker, &problem.to_string()).await?;
        }
    }
    Ok(true)
}

/// Renews the lease until it is no longer ours.
async fn lease_lost(platform: &Platform, job: &store::Job, worker: &str) {
    let pause = LEASE.checked_div(HEARTBEATS_PER_LEASE).unwrap_or(LEASE);
    let mut left = HEARTBEATS_PER_LEASE;
    loop {
        platform.ports().clock.sleep(pause).await;
        match platform.store().heartbeat(job.id, worker, LEASE).await {
            Ok(true) => left = HEARTBEATS_PER_LEASE,
            Ok(false) => return,
            Err(problem) => {
                tracing::warn!(id = %job.id, %problem, "the lease could not be renewed");
                left = left.saturating_sub(1);
                if left == 0 {
                    return;
                }
            }
        }
    }
}
