use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use base::{FactSeq, JobId, Problem, Result, Time};
use serde::{Deserialize, Serialize};

use crate::args;
use crate::fault::expect_one;
use crate::options::Backend;
use crate::read::Read;
use crate::row::Row;
use crate::store::Store;
use crate::tx::Tx;
use crate::value::Value;
use crate::wakes::{JOB_WAKE, Wake};

/// Most kinds that one worker may ask for.
pub const CLAIM_KINDS_MAX: usize = 16;
/// Longest error text kept of a job, characters.
const ERROR_CHARS_MAX: usize = 2000;

/// Work to be done once the transaction has committed.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// Which sort of work.
    pub kind: &'static str,
    /// At most one unfinished job of a kind has this key; asking again gives that job's id.
    pub key: Option<String>,
    /// What the work needs to know.
    pub payload: serde_json::Value,
    /// Not before; `None` is at once.
    pub run_at: Option<Time>,
    /// Attempts after which it is dead; at least 1.
    pub max_attempts: u32,
}

/// A job as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// Identity.
    pub id: JobId,
    /// Which sort of work.
    pub kind: String,
    /// What it is unique by.
    pub key: Option<String>,
    /// What the work needs to know.
    pub payload: serde_json::Value,
    /// How it stands.
    pub state: JobState,
    /// While it waits: when it may start. While it runs: when its lease ends.
    pub due_at: Time,
    /// Attempts begun, this one included.
    pub attempts: u32,
    /// Attempts after which it is dead.
    pub max_attempts: u32,
    /// Who works on it, or did last.
    pub worker: Option<String>,
    /// What the last failed attempt said.
    pub error: Option<String>,
    /// When it was asked for.
    pub created: Time,
    /// When it last changed.
    pub changed: Time,
}

/// How a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum JobState {
    /// Not begun, or to be tried again.
    Waiting,
    /// A worker has a lease on it.
    Running,
    /// Finished.
    Done,
    /// Given up after its last attempt or by its worker.
    Dead,
    /// Called off.
    Cancelled,
}

impl JobState {
    const ALL: [Self; 5] = [Self::Waiting, Self::Running, Self::Done, Self::Dead, Self::Cancelled];

    /// As stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for JobState {
    type Err = Problem;
    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|state| state.as_str() == text);
        found.ok_or_else(|| Problem::unprocessable("bad-job-state", "not a state of a job"))
    }
}

/// The pause before the third attempt of a job whose worker ended; none before the second.
const FREED_PAUSE: std::time::Duration = std::time::Duration::from_millis(200);

impl Tx {
    /// Asks for work, in the same transaction as the state that calls for it.
    pub async fn enqueue(&mut self, job: NewJob) -> Result<JobId> {
        const SQL: &str = "INSERT INTO job \
             (id, kind, job_key, payload, state, due_at, attempts, max_attempts, created, changed) \
             VALUES ($1, $2, $3, $4, 'waiting', $5, 0, $6, $7, $7) \
             ON CONFLICT (kind, job_key) WHERE job_key IS NOT NULL AND state IN ('waiting', 'running') \
             DO UPDATE SET changed = job.changed RETURNING id";
        let now = self.inner.clock.now();
        let id = ports::new_id(&*self.inner.clock, &*self.inner.random, JobId::new);
        let due = job.run_at.unwrap_or(now);
        let args = args![id, job.kind, job.key, job.payload, due, job.max_attempts.max(1), now];
        let row = self.row(SQL, args).await?;
        self.wakes.push(Wake::new(JOB_WAKE, job.kind, FactSeq(0)));
        row.ok_or_else(|| Problem::internal("store-failed", "a job was not given back"))?.parse("id")
    }

    /// Marks a job as done in the transaction that stores its result. `lease-lost` when another
    /// worker has it by now or it was called off: the result must not be committed then.
    pub async fn finish(&mut self, id: JobId, worker: &str) -> Result<()> {
        const SQL: &str = "UPDATE job SET state = 'done', error = NULL, changed = $3 \
             WHERE id = $1 AND worker = $2 AND state = 'running'";
        let now = self.inner.clock.now();
        let done = self.execute(SQL, args![id, worker, now]).await?;
        expect_one(done, lease_lost).inspect_err(|_| self.give_up())
    }
}

/// The same text for both databases up to the lock: on SQLite there is one writer, on PostgreSQL two
/// workers must not wait for the same row.
macro_rules! claim_sql {
    ($lock:literal) => {
        concat!(
            "UPDATE job SET state = 'running', worker = $2, attempts = attempts + 1, due_at = $3, changed = $1 ",
            "WHERE id = (SELECT id FROM job WHERE state IN ('waiting', 'running') AND due_at <= $1 ",
            "AND attempts < max_attempts AND kind IN ",
            "($4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19) ",
            "ORDER BY due_at, id LIMIT 1 ",
            $lock,
            ") RETURNING *"
        )
    };
}

/// A job whose last attempt ended with its worker, not with an answer, is dead.
macro_rules! bury_sql {
    ($lock:literal) => {
        concat!(
            "UPDATE job SET state = 'dead', error = 'the last attempt ended without an answer', changed = $1 ",
            "WHERE id IN (SELECT id FROM job WHERE state = 'running' AND due_at <= $1 AND attempts >= max_attempts ",
            "ORDER BY due_at LIMIT 100 ",
            $lock,
            ")"
        )
    };
}

/// What differs between the two databases.
struct ClaimTexts {
    claim: &'static str,
    bury: &'static str,
}
const LITE: ClaimTexts = ClaimTexts { claim: claim_sql!(""), bury: bury_sql!("") };
const PG: ClaimTexts =
    ClaimTexts { claim: claim_sql!("FOR UPDATE SKIP LOCKED"), bury: bury_sql!("FOR UPDATE SKIP LOCKED") };

impl Store {
    /// Takes the job that is due longest, of these kinds, for the time of the lease. The attempt is
    /// counted and committed before this returns, so that work that kills its worker ends after
    /// `max_attempts`. A job whose lease is over is taken from its worker.
    ///
    /// `worker` is unique to the task that works: one that has two jobs at once needs two names.
    pub async fn claim(&self, kinds: &[&str], worker: &str, lease: Duration) -> Result<Option<Job>> {
        let Some(first) = kinds.first() else { return Ok(None) };
        if kinds.len() > CLAIM_KINDS_MAX {
            return Err(Problem::internal(
                "too-many-kinds",
                format!("a worker asks for {CLAIM_KINDS_MAX} kinds at most"),
            ));
        }
        let now = self.inner.clock.now();
        let mut args = args![now, worker, now.plus(lease)];
        args.extend((0..CLAIM_KINDS_MAX).map(|i| Value::from(*kinds.get(i).unwrap_or(first))));
        let texts = if self.kind() == Backend::Postgres { PG } else { LITE };
        let mut tx = self.begin_beside().await?;
        let buried = tx.execute(texts.bury, args![now]).await?;
        let job = tx.row(texts.claim, args).await?.as_ref().map(job).transpose()?;
        if job.is_some() || buried > 0 {
            tx.commit().await?;
        } else {
            tx.rollback().await;
        }
        Ok(job)
    }

    /// Takes every running job from its worker: the caller knows that none of them lives, because it is
    /// alone on this database. An attempt that was broken off counts; the pause before the next one
    /// doubles with each, so that work that ends the platform does not keep it down.
    pub async fn free_jobs(&self) -> Result<u64> {
        const SQL: &str = "UPDATE job SET due_at = $1 + $2 * (CASE attempts WHEN 0 THEN 0 WHEN 1 THEN 0 \
             WHEN 2 THEN 1 WHEN 3 THEN 2 WHEN 4 THEN 4 WHEN 5 THEN 8 ELSE 16 END) \
             WHERE state = 'running' AND due_at > $1";
        let now = self.inner.clock.now();
        let first = i64::try_from(FREED_PAUSE.as_micros()).unwrap_or(i64::MAX);
        self.change(SQL, args![now, first]).await
    }

    /// Extends the lease; says whether the job is still this worker's.
    pub async fn heartbeat(&self, id: JobId, worker: &str, lease: Duration) -> Result<bool> {
        const SQL: &str = "UPDATE job SET due_at = $3 WHERE id = $1 AND worker = $2 AND state = 'running'";
        let until = self.inner.clock.now().plus(lease);
        Ok(self.change(SQL, args![id, worker, until]).await? == 1)
    }

    /// Gives a job back, to be tried again at `at`; after its last attempt it is dead instead. Says
    /// which. `lease-lost` when it is not this worker's.
    pub async fn retry(&self, id: JobId, worker: &str, at: Time, error: &str) -> Result<JobState> {
        const SQL: &str = "UPDATE job SET state = CASE WHEN attempts < max_attempts THEN 'waiting' ELSE 'dead' END, \
             due_at = $3, error = $4, changed = $5 WHERE id = $1 AND worker = $2 AND state = 'running' RETURNING state, kind";
        let now = self.inner.clock.now();
        let mut tx = self.begin_beside().await?;
        let row = tx.row(SQL, args![id, worker, at, shortened(error), now]).await?.ok_or_else(lease_lost)?;
        tx.wakes.push(Wake::new(JOB_WAKE, &row.text("kind")?, FactSeq(0)));
        tx.commit().await?;
        row.parse("state")
    }

    /// Gives a job up. `lease-lost` when it is not this worker's.
    pub async fn fail(&self, id: JobId, worker: &str, error: &str) -> Result<()> {
        const SQL: &str = "UPDATE job SET state = 'dead', error = $3, changed = $4 \
             WHERE id = $1 AND worker = $2 AND state = 'running'";
        let now = self.inner.clock.now();
        expect_one(self.change(SQL, args![id, worker, shortened(error), now]).await?, lease_lost)
    }

    /// Calls a job off; says whether it was unfinished. Its worker learns it from its next heartbeat.
    pub async fn cancel(&self, id: JobId) -> Result<bool> {
        const SQL: &str = "UPDATE job SET state = 'cancelled', changed = $2 \
             WHERE id = $1 AND state IN ('waiting', 'running')";
        let now = self.inner.clock.now();
        Ok(self.change(SQL, args![id, now]).await? == 1)
    }

    async fn change(&self, sql: &'static str, args: Vec<Value>) -> Result<u64> {
        let mut tx = self.begin_beside().await?;
        let done = tx.execute(sql, args).await?;
        tx.commit().await?;
        Ok(done)
    }
}

fn lease_lost() -> Problem {
    Problem::conflict("lease-lost", "the job is not this worker's any more: its lease ended or it was called off")
}

fn shortened(error: &str) -> String {
    error.chars().filter(|c| *c != '\0').take(ERROR_CHARS_MAX).collect()
}

pub(crate) fn job(row: &Row) -> Result<Job> {
    Ok(Job {
        id: row.parse("id")?,
        kind: row.text("kind")?,
        key: row.opt_text("job_key")?,
        payload: row.json("payload")?,
        state: row.parse("state")?,
        due_at: row.time("due_at")?,
        attempts: row.number("attempts")?,
        max_attempts: row.number("max_attempts")?,
        worker: row.opt_text("worker")?,
        error: row.opt_text("error")?,
        created: row.time("created")?,
        changed: row.time("changed")?,
    })
}
