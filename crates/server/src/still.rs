use std::collections::BTreeMap;
use std::time::Duration;

use api::Access;
use base::{Problem, Result};
use futures_util::future::BoxFuture;
use futures_util::{StreamExt, stream};
use kernel::{Credential, Event, EventStream, Platform, authorize};
use serde_json::Value;

/// A stream ends at most this long after its caller lost the right to it.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Whether a caller who was allowed to watch still is: a token that is revoked, expired or of a
/// person who left must not go on seeing what it once was shown.
pub(crate) struct Still {
    pub platform: Platform,
    pub credential: Credential,
    pub access: Access,
    pub params: BTreeMap<String, String>,
}

impl Still {
    /// The same events, until the permission ends; the refusal is the last one then.
    pub(crate) fn watch(self, events: EventStream<Value>) -> EventStream<Value> {
        let lost: BoxFuture<'static, Problem> = Box::pin(async move { self.lost().await });
        let state = Some((events, lost));
        Box::pin(stream::unfold(state, |state| async move {
            let (mut events, mut lost) = state?;
            let next: Option<Result<Event<Value>>> = tokio::select! {
                biased;
                problem = &mut lost => return Some((Err(problem), None)),
                next = events.next() => next,
            };
            Some((next?, Some((events, lost))))
        }))
    }

    /// Ends with the refusal, once there is one. A database that does not answer is none.
    async fn lost(self) -> Problem {
        loop {
            self.platform.ports().clock.sleep(LOOK_EVERY).await;
            let outcome = authorize(&self.platform, &self.credential, self.access, &self.params).await;
            if let Err(problem) = outcome
                && matches!(problem.kind, base::Kind::Unauthenticated | base::Kind::Forbidden | base::Kind::NotFound)
            {
                return problem;
            }
        }
    }
}
