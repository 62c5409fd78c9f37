use std::collections::BTreeMap;
use std::time::Duration;

use api::Access;
use base::{Kind, Problem, Result};
use futures_util::future::BoxFuture;
use futures_util::{Stream, StreamExt, stream};
use kernel::{ByteStream, Credential, Identity, Platform, RawReply, RightsWatch, authorize};

/// Nobody goes on for longer than this without having been looked at, whatever was heard of changes.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// A look that came to nothing, because the database did not answer, is repeated after this.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// Many changes of rights in a row are looked at together.
const BREATH: Duration = Duration::from_millis(100);

/// Whether a caller who was allowed to begin something long still may have it: a token that is
/// revoked, expired or of a person who left must not go on seeing, or finish, what it once began.
#[derive(Clone)]
pub(crate) struct Still {
    pub platform: Platform,
    pub credential: Credential,
    pub access: Access,
    pub params: BTreeMap<String, String>,
    /// The caller as they were when they were allowed.
    pub identity: Identity,
}

impl Still {
    /// The same reply; one that goes on and on ends with the permission.
    pub(crate) fn guard(self, reply: RawReply) -> RawReply {
        match reply {
            RawReply::Json(value, version) => RawReply::Json(value, version),
            RawReply::Events(events) => RawReply::Events(Box::pin(self.until_lost(events))),
            RawReply::Http(response) => {
                RawReply::Http(response.map(|body| Box::pin(self.until_lost(body)) as ByteStream))
            }
        }
    }

    /// The same items, until the permission ends; the refusal is the last one then.
    fn until_lost<T: Send + 'static>(
        self,
        items: impl Stream<Item = Result<T>> + Send + Unpin + 'static,
    ) -> impl Stream<Item = Result<T>> + Send {
        let lost: BoxFuture<'static, Problem> = Box::pin(async move { self.lost().await });
        stream::unfold(Some((items, lost)), |state| async move {
            let (mut items, mut lost) = state?;
            let next: Option<Result<T>> = tokio::select! {
                biased;
                problem = &mut lost => return Some((Err(problem), None)),
                next = items.next() => next,
            };
            Some((next?, Some((items, lost))))
        })
    }

    /// Ends with the refusal, once there is one. A database that does not answer is none.
    pub(crate) async fn lost(&self) -> Problem {
        // Before the first look, so that no change falls between.
        let mut rights = RightsWatch::new(&self.platform);
        loop {
            let next = match self.look().await {
                Ok(next) => next,
                Err(problem) => return problem,
            };
            let clock = &self.platform.ports().clock;
            tokio::select! {
                () = clock.sleep(next) => {}
                () = rights.changed() => clock.sleep(BREATH).await,
            }
        }
    }

    /// When to look again if no change is told: none is of what time alone ends.
    async fn look(&self) -> Result<Duration> {
        match authorize(&self.platform, &self.credential, self.access, &self.params).await {
            // Where no subject was asked about, what is shown was chosen by the rights of then.
            Ok(permit) if self.access == Access::SignedIn && !permit.identity().equals_in_rights(&self.identity) => {
                Err(Problem::forbidden("rights-changed", "your rights have changed since this began")
                    .hint("begin it anew: it shows what you may see now"))
            }
            Ok(permit) => {
                let left = permit.identity().until.map(|until| until.since(self.platform.ports().clock.now()));
                Ok(left.map_or(LOOK_EVERY, |left| left.clamp(BREATH, LOOK_EVERY)))
            }
            Err(problem) if matches!(problem.kind, Kind::Unauthenticated | Kind::Forbidden | Kind::NotFound) => {
                Err(problem)
            }
            Err(_) => Ok(LOOK_AGAIN),
        }
    }
}
