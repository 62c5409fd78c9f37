//! Problems that are told from several places, and the gates that bound how much happens at once.

use std::sync::Arc;
use std::time::Duration;

use base::{Problem, Result, ServiceName};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Pushes that are received at once.
const RECEIVES_MAX: usize = 16;
/// Blocking pieces of work (checking a pack, reading refs) at once.
const BLOCKING_MAX: usize = 8;
/// Tar streams and upload-packs at once.
const READS_MAX: usize = 8;
/// How long a caller waits for its turn.
const TURN_MAX: Duration = Duration::from_secs(60);

pub(crate) struct Gates {
    receives: Arc<Semaphore>,
    blocking: Arc<Semaphore>,
    reads: Arc<Semaphore>,
}

impl Default for Gates {
    fn default() -> Self {
        Self {
            receives: Arc::new(Semaphore::new(RECEIVES_MAX)),
            blocking: Arc::new(Semaphore::new(BLOCKING_MAX)),
            reads: Arc::new(Semaphore::new(READS_MAX)),
        }
    }
}

impl Gates {
    /// A turn to receive a push.
    pub(crate) async fn receive(&self) -> Result<OwnedSemaphorePermit> {
        turn(&self.receives).await
    }

    /// A turn to read a whole tree or history.
    pub(crate) async fn read(&self) -> Result<OwnedSemaphorePermit> {
        turn(&self.reads).await
    }

    /// Runs blocking work on a thread of its own; the work runs to its end even if nobody waits.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let permit = turn(&self.blocking).await?;
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        done.await.map_err(|e| crate::internal("work on a repository stopped", e))?
    }
}

async fn turn(gate: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit> {
    match tokio::time::timeout(TURN_MAX, Arc::clone(gate).acquire_owned()).await {
        Ok(permit) => permit.map_err(|e| crate::internal("waiting for a turn", e)),
        Err(_) => Err(Problem::unavailable("git-busy", "too many pushes and clones run at the moment")
            .hint("try again in a minute")
            .retry_after(60)),
    }
}

pub(crate) fn git_missing() -> Problem {
    Problem::unavailable("git-missing", "clone and fetch need git on the server, and none is configured there")
        .hint("install git on the server (`apt-get install git`) and start orlop again; pushing works without it")
}

pub(crate) fn nothing_pushed(service: &ServiceName) -> Problem {
    Problem::not_found("source-empty", format!("nothing was ever pushed to service `{service}`"))
        .hint("push first: `git push orlop main`")
}

/// The request is not what git's protocol says.
pub(crate) fn protocol(message: impl std::fmt::Display) -> Problem {
    Problem::invalid("bad-push", format!("this is not a git push: {message}"))
}

/// The pack is refused.
pub(crate) fn pack(message: impl std::fmt::Display) -> Problem {
    Problem::unprocessable("bad-pack", message)
}
