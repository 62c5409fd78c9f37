use std::sync::{Arc, OnceLock};

use base::{Actor, Digest, Generation, Problem, Result, ServiceName, Time};
use facts::Fact;
use serde::Serialize;
use serde::de::DeserializeOwned;
use store::{NewFact, Read, Reader, Tx};

use crate::{Permit, Platform};

/// The first argument of everything that touches state: who acts, with what permit, on what
/// platform, in the course of which request.
#[derive(Clone)]
pub struct Ctx {
    platform: Platform,
    permit: Permit,
    request: Option<RequestInfo>,
}

/// The API call in whose course something happens.
#[derive(Debug, Clone)]
pub struct RequestInfo {
    /// Id of the request, also in logs and problems.
    pub id: String,
    /// Operation id of the endpoint.
    pub endpoint: &'static str,
    /// What the caller sent as `Idempotency-Key`.
    pub idempotency_key: Option<String>,
    /// Tells a repetition from another request under the same key.
    pub digest: RequestDigest,
}

/// The digest of a request's method, path, query and body. Where the body is streamed, it is known
/// when the body was read to its end, and not before.
#[derive(Debug, Clone, Default)]
pub struct RequestDigest(Arc<OnceLock<Digest>>);

impl From<Digest> for RequestDigest {
    fn from(digest: Digest) -> Self {
        Self(Arc::new(OnceLock::from(digest)))
    }
}

impl RequestDigest {
    /// The body has come to its end. What was settled first stays.
    pub fn settle(&self, digest: Digest) {
        self.0.get_or_init(|| digest);
    }

    /// The digest; an `internal` problem while some of the body was not read.
    pub fn get(&self) -> Result<Digest> {
        let unread = || Problem::internal("body-unread", "a request was answered before its body was read to its end");
        self.0.get().copied().ok_or_else(unread)
    }
}

/// A reply with its version.
#[derive(Debug, Clone)]
pub struct Answer<T> {
    /// The reply.
    pub value: T,
    /// Becomes the ETag.
    pub version: Option<i64>,
}

impl<T> From<T> for Answer<T> {
    fn from(value: T) -> Self {
        Self { value, version: None }
    }
}

impl<T> Answer<T> {
    /// Adds the version.
    #[must_use]
    pub fn at_version(mut self, version: i64) -> Self {
        self.version = Some(version);
        self
    }
}

impl Ctx {
    /// A context; `server` makes one for each request, [`Platform::ctx`] for the platform's own parts.
    pub fn new(platform: Platform, permit: Permit, request: Option<RequestInfo>) -> Self {
        Self { platform, permit, request }
    }

    /// The platform.
    pub fn platform(&self) -> &Platform {
        &self.platform
    }

    /// The permit.
    pub fn permit(&self) -> &Permit {
        &self.permit
    }

    /// Who acts.
    pub fn actor(&self) -> &Actor {
        &self.permit.identity().actor
    }

    /// The request, if there is one.
    pub fn request(&self) -> Option<&RequestInfo> {
        self.request.as_ref()
    }

    /// The wall clock.
    pub fn now(&self) -> Time {
        self.platform.ports().clock.now()
    }

    /// A new id: `ctx.new_id(ReleaseId::new)`.
    pub fn new_id<T>(&self, make: fn(Time, [u8; 10]) -> T) -> T {
        let ports = self.platform.ports();
        ports::new_id(&*ports.clock, &*ports.random, make)
    }

    /// A consistent view of the state.
    pub async fn read(&self) -> Result<Reader> {
        self.platform.store().read().await
    }

    /// A change of the state. Nothing is done until it is committed.
    pub async fn begin(&self) -> Result<Tx> {
        self.platform.store().begin().await
    }

    /// Publishes a fact or wish with the change; its generation is one more than the latest of the same subject.
    pub async fn publish<F: Fact>(&self, tx: &mut Tx, fact: &F) -> Result<Generation> {
        let before = store::fact_latest(tx, F::KIND, &fact.subject()).await?;
        let generation = before.map_or(Generation(1), |b| b.generation.next());
        self.publish_at(tx, fact, generation).await?;
        Ok(generation)
    }

    /// Publishes a fact that speaks about a given generation of an intent.
    pub async fn publish_at<F: Fact>(&self, tx: &mut Tx, fact: &F, generation: Generation) -> Result<()> {
        let body = serde_json::to_value(fact).map_err(|e| Problem::internal("fact-not-json", e))?;
        let fact = NewFact {
            kind: F::KIND.to_owned(),
            subject: fact.subject(),
            generation,
            actor: self.actor().clone(),
            cause: self.request.as_ref().map(|r| r.id.clone()),
            body,
        };
        tx.append(fact).await?;
        Ok(())
    }

    /// Publishes a fact only if it says something new about its subject. Returns whether it did.
    pub async fn publish_if_new<F: Fact + PartialEq>(
        &self,
        tx: &mut Tx,
        fact: &F,
        generation: Generation,
    ) -> Result<bool> {
        if let Some(before) = latest_with::<F>(tx, &fact.subject()).await?
            && before.0 == *fact
            && before.1 == generation
        {
            return Ok(false);
        }
        self.publish_at(tx, fact, generation).await?;
        Ok(true)
    }

    /// Commits the change that a call made, together with its reply under the caller's idempotency key.
    pub async fn commit<T: Serialize>(&self, tx: Tx, value: T) -> Result<Answer<T>> {
        let body = serde_json::to_string(&value).map_err(|e| Problem::internal("reply-not-json", e))?;
        self.commit_keeping(tx, &body).await?;
        Ok(value.into())
    }

    /// As [`Ctx::commit`], for a reply that must not be kept: a repetition is told that it has happened.
    pub async fn commit_unkept<T>(&self, tx: Tx, value: T) -> Result<Answer<T>> {
        self.commit_keeping(tx, "").await?;
        Ok(value.into())
    }

    async fn commit_keeping(&self, mut tx: Tx, body: &str) -> Result<()> {
        if let Some(request) = &self.request
            && let Some(key) = &request.idempotency_key
        {
            tx.idempotency_put(store::Answer {
                actor: self.actor().to_string(),
                endpoint: request.endpoint.to_owned(),
                key: key.clone(),
                request_digest: request.digest.get()?.to_string(),
                status: 200,
                body: body.to_owned(),
            })
            .await?;
        }
        tx.commit().await
    }

    /// Whether the caller may see something of this team (and service) in a list.
    pub fn may_see(&self, team: &base::TeamName, service: Option<&base::ServiceName>) -> bool {
        self.platform.authority().may_see(self.permit.identity(), team, service)
    }

    /// Whether the caller may see everything of every team in a list.
    pub fn sees_all(&self) -> bool {
        self.platform.authority().sees_all(self.permit.identity())
    }
}

/// The latest fact of a kind about a subject.
pub async fn latest<F: Fact>(read: &mut impl Read, subject: &str) -> Result<Option<F>> {
    Ok(latest_with(read, subject).await?.map(|(fact, _)| fact))
}

/// The latest fact of a kind about a subject, with its generation.
pub async fn latest_with<F: Fact>(read: &mut impl Read, subject: &str) -> Result<Option<(F, Generation)>> {
    match store::fact_latest(read, F::KIND, subject).await? {
        Some(stored) => Ok(Some((decode(stored.body)?, stored.generation))),
        None => Ok(None),
    }
}

/// The latest facts of a kind, one for each subject, with their generations.
pub async fn all_latest<F: Fact>(read: &mut impl Read) -> Result<Vec<(F, Generation)>> {
    store::facts_latest(read, F::KIND)
        .await?
        .into_iter()
        .map(|stored| Ok((decode(stored.body)?, stored.generation)))
        .collect()
}

/// The latest facts of a kind about a service, one for each environment, with their generations.
pub async fn latest_of<F: Fact>(read: &mut impl Read, service: &ServiceName) -> Result<Vec<(F, Generation)>> {
    store::facts_latest_beneath(read, F::KIND, service.as_str())
        .await?
        .into_iter()
        .map(|stored| Ok((decode(stored.body)?, stored.generation)))
        .collect()
}

fn decode<T: DeserializeOwned>(body: serde_json::Value) -> Result<T> {
    serde_json::from_value(body).map_err(|e| Problem::internal("fact-unreadable", e))
}
