use std::collections::BTreeMap;
use std::time::Duration;

use base::JobId;
use ports::Clock;
use serde_json::json;
use store::{Job, JobFilter, JobState, NewJob, Read, Store, args};

use super::{World, code};

const LEASE: Duration = Duration::from_secs(30);

fn new(kind: &'static str) -> NewJob {
    NewJob { kind, key: None, payload: json!({ "n": 1 }), run_at: None, max_attempts: 3 }
}

async fn enqueue(store: &Store, job: NewJob) -> JobId {
    let mut tx = store.begin().await.unwrap();
    let id = tx.enqueue(job).await.unwrap();
    tx.commit().await.unwrap();
    id
}

async fn finish(store: &Store, id: JobId, worker: &str) -> Result<(), base::Problem> {
    let mut tx = store.begin().await?;
    tx.finish(id, worker).await?;
    tx.commit().await
}

async fn claim(store: &Store, worker: &str) -> Option<Job> {
    store.claim(&["build"], worker, LEASE).await.unwrap()
}

async fn state(store: &Store, id: JobId) -> JobState {
    store.job(id).await.unwrap().unwrap().state
}

pub async fn a_job_runs_once(w: World) {
    let store = w.open().await;
    let mut tx = store.begin().await.unwrap();
    tx.enqueue(new("build")).await.unwrap();
    drop(tx);
    assert!(claim(&store, "w1").await.is_none(), "what was rolled back is not to be done");
    let id = enqueue(&store, new("build")).await;
    assert!(store.claim(&["other"], "w1", LEASE).await.unwrap().is_none());
    assert!(store.claim(&[], "w1", LEASE).await.unwrap().is_none());
    let job = store.claim(&["other", "build"], "w1", LEASE).await.unwrap().unwrap();
    assert_eq!((job.id, job.attempts, job.max_attempts, job.state), (id, 1, 3, JobState::Running));
    assert_eq!(
        (job.payload["n"].as_i64(), job.worker.as_deref(), job.due_at),
        (Some(1), Some("w1"), w.clock.now().plus(LEASE))
    );
    assert_eq!(store.job(id).await.unwrap().unwrap(), job, "the attempt is counted before the work begins");
    assert!(claim(&store, "w2").await.is_none());
    finish(&store, id, "w1").await.unwrap();
    assert_eq!(state(&store, id).await, JobState::Done);
    assert_eq!(code(finish(&store, id, "w1").await), "lease-lost");
    assert_eq!(code(store.claim(&["x"; 17], "w1", LEASE).await), "too-many-kinds");
}

pub async fn a_key_is_unique_until_finished(w: World) {
    let store = w.open().await;
    let keyed = |kind, key: &str| NewJob { key: Some(key.to_owned()), ..new(kind) };
    let first = enqueue(&store, keyed("build", "shop")).await;
    w.clock.advance(Duration::from_secs(1));
    assert_eq!(enqueue(&store, keyed("build", "shop")).await, first);
    assert_ne!(enqueue(&store, keyed("build", "blog")).await, first);
    assert_ne!(enqueue(&store, keyed("other", "shop")).await, first);
    assert_ne!(enqueue(&store, new("build")).await, enqueue(&store, new("build")).await);
    let job = claim(&store, "w1").await.unwrap();
    assert_eq!(job.id, first);
    assert_eq!(enqueue(&store, keyed("build", "shop")).await, first, "also while it runs");
    finish(&store, first, "w1").await.unwrap();
    assert_ne!(enqueue(&store, keyed("build", "shop")).await, first);
    let mut tx = store.begin().await.unwrap();
    let (a, b) =
        (tx.enqueue(keyed("build", "twice")).await.unwrap(), tx.enqueue(keyed("build", "twice")).await.unwrap());
    assert_eq!(a, b);
}

pub async fn order_and_time(w: World) {
    let store = w.open().await;
    let now = w.clock.now();
    let at = |seconds| Some(now.plus(Duration::from_secs(seconds)));
    let late = enqueue(&store, NewJob { run_at: at(20), ..new("build") }).await;
    let early = enqueue(&store, NewJob { run_at: at(10), ..new("other") }).await;
    assert_eq!(store.next_due().await.unwrap(), at(10));
    let kinds = ["build", "other"];
    assert!(store.claim(&kinds, "w1", LEASE).await.unwrap().is_none());
    w.clock.advance(Duration::from_secs(25));
    assert_eq!(store.claim(&kinds, "w1", LEASE).await.unwrap().unwrap().id, early);
    assert_eq!(store.claim(&kinds, "w2", LEASE).await.unwrap().unwrap().id, late);
    assert!(store.claim(&kinds, "w3", LEASE).await.unwrap().is_none());
}

pub async fn leases_end_and_are_extended(w: World) {
    let store = w.open().await;
    let id = enqueue(&store, new("build")).await;
    claim(&store, "w1").await.unwrap();
    w.clock.advance(LEASE / 2);
    assert!(store.heartbeat(id, "w1", LEASE).await.unwrap());
    assert!(!store.heartbeat(id, "w2", LEASE).await.unwrap());
    w.clock.advance(LEASE / 2 + Duration::from_secs(1));
    assert!(claim(&store, "w2").await.is_none(), "the lease was extended");
    w.clock.advance(LEASE);
    let again = claim(&store, "w2").await.unwrap();
    assert_eq!((again.id, again.attempts), (id, 2));
    assert!(!store.heartbeat(id, "w1", LEASE).await.unwrap());
}

pub async fn a_late_worker_cannot_commit(w: World) {
    let store = w.open().await;
    let id = enqueue(&store, new("build")).await;
    claim(&store, "w1").await.unwrap();
    w.clock.advance(LEASE * 2);
    claim(&store, "w2").await.unwrap();
    const RESULT: &str = "INSERT INTO thing (name, count) VALUES ($1, 1)";
    let mut late = store.begin().await.unwrap();
    late.execute(RESULT, args!["late"]).await.unwrap();
    assert_eq!(code(late.finish(id, "w1").await), "lease-lost");
    assert_eq!(code(late.commit().await), "transaction-broken");
    let mut tx = store.begin().await.unwrap();
    tx.execute(RESULT, args!["right"]).await.unwrap();
    tx.finish(id, "w2").await.unwrap();
    tx.commit().await.unwrap();
    let rows = store.read().await.unwrap().rows("SELECT name FROM thing", args![]).await.unwrap();
    assert_eq!(rows.iter().map(|r| r.text("name").unwrap()).collect::<Vec<_>>(), ["right"]);
    for done in [code(store.retry(id, "w1", w.clock.now(), "x").await), code(store.fail(id, "w1", "x").await)] {
        assert_eq!(done, "lease-lost");
    }
}

pub async fn retry_until_dead(w: World) {
    let store = w.open().await;
    let id = enqueue(&store, new("build")).await;
    for attempt in 1..=3u32 {
        assert_eq!(claim(&store, "w1").await.unwrap().attempts, attempt);
        let at = w.clock.now().plus(Duration::from_secs(5));
        let left = store.retry(id, "w1", at, "it \0 broke").await.unwrap();
        assert_eq!(left, if attempt < 3 { JobState::Waiting } else { JobState::Dead });
        assert!(claim(&store, "w1").await.is_none(), "not before its time");
        w.clock.advance(Duration::from_secs(5));
    }
    let job = store.job(id).await.unwrap().unwrap();
    assert_eq!((job.state, job.error.as_deref()), (JobState::Dead, Some("it  broke")));
    let id = enqueue(&store, new("build")).await;
    claim(&store, "w1").await.unwrap();
    store.fail(id, "w1", "hopeless").await.unwrap();
    assert_eq!(state(&store, id).await, JobState::Dead);
    assert!(claim(&store, "w1").await.is_none());
}

pub async fn a_job_that_kills_its_worker_ends(w: World) {
    let store = w.open().await;
    let id = enqueue(&store, new("build")).await;
    for attempt in 1..=3u32 {
        assert_eq!(claim(&store, "w1").await.unwrap().attempts, attempt);
        w.clock.advance(LEASE * 2);
    }
    assert!(claim(&store, "w1").await.is_none());
    let job = store.job(id).await.unwrap().unwrap();
    assert_eq!((job.state, job.attempts, job.error.is_some()), (JobState::Dead, 3, true));
    assert_eq!(store.next_due().await.unwrap(), None);
}

pub async fn called_off(w: World) {
    let store = w.open().await;
    let (waiting, running) = (enqueue(&store, new("other")).await, enqueue(&store, new("build")).await);
    claim(&store, "w1").await.unwrap();
    assert!(store.cancel(waiting).await.unwrap() && store.cancel(running).await.unwrap());
    assert!(!store.cancel(running).await.unwrap());
    assert!(!store.heartbeat(running, "w1", LEASE).await.unwrap());
    assert_eq!(code(finish(&store, running, "w1").await), "lease-lost");
    assert!(store.claim(&["other"], "w1", LEASE).await.unwrap().is_none());
    assert_eq!(state(&store, waiting).await, JobState::Cancelled);
}

pub async fn every_job_is_claimed_once(w: World) {
    const JOBS: usize = 40;
    let (store, other) = (w.open().await, w.open().await);
    for _ in 0..JOBS {
        enqueue(&store, new("build")).await;
    }
    let workers: Vec<_> = (0..8)
        .map(|i| {
            // Half of them in another process, as far as the database knows.
            let store = if i % 2 == 0 { store.clone() } else { other.clone() };
            tokio::spawn(async move {
                let (worker, mut mine) = (format!("w{i}"), Vec::new());
                while let Some(job) = store.claim(&["build"], &worker, LEASE).await.unwrap() {
                    assert_eq!(job.attempts, 1);
                    finish(&store, job.id, &worker).await.unwrap();
                    mine.push(job.id);
                }
                mine
            })
        })
        .collect();
    let mut times = BTreeMap::<JobId, usize>::new();
    for worker in workers {
        for id in worker.await.unwrap() {
            *times.entry(id).or_default() += 1;
        }
    }
    assert_eq!((times.len(), times.values().copied().max()), (JOBS, Some(1)));
    let done = JobFilter { state: Some(JobState::Done), limit: 500, ..JobFilter::default() };
    assert_eq!(store.jobs(&done).await.unwrap().len(), JOBS);
}

pub async fn shown_and_forgotten(w: World) {
    let store = w.open().await;
    let mut ids = Vec::new();
    for kind in ["build", "other", "build"] {
        w.clock.advance(Duration::from_secs(1));
        ids.push(enqueue(&store, new(kind)).await);
    }
    ids.reverse();
    let shown = |jobs: Vec<Job>| jobs.iter().map(|j| j.id).collect::<Vec<_>>();
    let all = JobFilter::default();
    assert_eq!(shown(store.jobs(&all).await.unwrap()), ids);
    let page = JobFilter { limit: 2, ..all.clone() };
    assert_eq!(shown(store.jobs(&page).await.unwrap()), ids[..2]);
    assert_eq!(shown(store.jobs(&JobFilter { before: Some(ids[1]), ..all.clone() }).await.unwrap()), ids[2..]);
    assert_eq!(shown(store.jobs(&JobFilter { kind: Some("other".into()), ..all.clone() }).await.unwrap()), ids[1..2]);
    claim(&store, "w1").await.unwrap();
    finish(&store, ids[2], "w1").await.unwrap();
    let later = w.clock.now().plus(Duration::from_secs(1));
    assert_eq!(store.purge_jobs(w.clock.now(), 10).await.unwrap(), 0);
    assert_eq!(store.purge_jobs(later, 10).await.unwrap(), 1);
    assert_eq!(shown(store.jobs(&all).await.unwrap()), ids[..2]);
}
