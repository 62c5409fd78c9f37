use base::{JobId, Result, Time};

use crate::args;
use crate::jobs::{Job, JobState, job};
use crate::read::Read;
use crate::store::Store;

/// Which jobs to show.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    /// Only of this kind.
    pub kind: Option<String>,
    /// Only in this state.
    pub state: Option<JobState>,
    /// Only those asked for before this one: the next page.
    pub before: Option<JobId>,
    /// At most so many; 0 is 100.
    pub limit: u32,
}

impl Store {
    /// Jobs for people, newest first.
    pub async fn jobs(&self, filter: &JobFilter) -> Result<Vec<Job>> {
        const SQL: &str = "SELECT * FROM job WHERE ($1 IS NULL OR kind = $1) AND ($2 IS NULL OR state = $2) \
             AND ($3 IS NULL OR id < $3) ORDER BY id DESC LIMIT $4";
        let limit = if filter.limit == 0 { base::limits::PAGE_ITEMS_DEFAULT } else { filter.limit };
        let args = args![filter.kind.as_deref(), filter.state.map(JobState::as_str), filter.before, limit];
        self.read().await?.rows(SQL, args).await?.iter().map(job).collect()
    }

    /// One job.
    pub async fn job(&self, id: JobId) -> Result<Option<Job>> {
        self.read().await?.row("SELECT * FROM job WHERE id = $1", args![id]).await?.as_ref().map(job).transpose()
    }

    /// When the next unfinished job is due: how long a worker may sleep.
    pub async fn next_due(&self) -> Result<Option<Time>> {
        const SQL: &str = "SELECT MIN(due_at) AS due FROM job WHERE state IN ('waiting', 'running')";
        self.read().await?.row(SQL, args![]).await?.map_or(Ok(None), |row| row.opt_time("due"))
    }

    /// Forgets jobs that were finished, given up or called off before this, at most `limit`; says how many.
    pub async fn purge_jobs(&self, before: Time, limit: u32) -> Result<u64> {
        const SQL: &str = "DELETE FROM job WHERE id IN (SELECT id FROM job \
             WHERE state IN ('done', 'dead', 'cancelled') AND changed < $1 ORDER BY changed LIMIT $2)";
        let mut tx = self.begin_beside().await?;
        let done = tx.execute(SQL, args![before, limit]).await?;
        tx.commit().await?;
        Ok(done)
    }
}
