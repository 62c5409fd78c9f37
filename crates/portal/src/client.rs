use std::pin::Pin;
use std::sync::Arc;

use api::{Endpoint, Nothing, ProblemBody, path_of};
use async_trait::async_trait;
use axum::body::Body;
use base::{Problem, Result, Secret};
use futures_util::{Stream, StreamExt as _, stream};
use http::header::{AUTHORIZATION, CONTENT_TYPE, ETAG, IF_MATCH};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Limited};

use crate::sse::{self, Sse};

/// Largest answer of the API that a page reads, bytes.
const REPLY_BYTES_MAX: usize = 16 << 20;

/// The way to the API in this process.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Sends a request to the API's own router, with a session as its credential where there is one.
    async fn send(&self, session: Option<Session>, request: Request<Body>) -> Response<Body>;
}

/// What the cookie of a signed-in browser holds.
#[derive(Clone)]
pub struct Session {
    /// The secret of the session.
    pub secret: Secret<String>,
    /// Whether a person asks, not a page by itself.
    pub attended: bool,
}

/// The API, as one caller sees it.
#[derive(Clone)]
pub(crate) struct Api {
    transport: Arc<dyn Transport>,
    session: Option<Session>,
}

/// A reply with the version of what it shows.
pub(crate) struct Versioned<T> {
    pub value: T,
    pub version: Option<i64>,
}

/// What else a call says.
#[derive(Default)]
pub(crate) struct Also<'a> {
    /// The key under which it is carried out once.
    pub key: Option<&'a str>,
    /// The version that it wants to change.
    pub version: Option<i64>,
    /// A token instead of the session.
    pub token: Option<&'a str>,
}

pub(crate) type Events<T> = Pin<Box<dyn Stream<Item = Result<T>> + Send>>;

impl Api {
    pub(crate) fn new(transport: Arc<dyn Transport>, session: Option<Session>) -> Self {
        Self { transport, session }
    }

    /// The same API, asked by a page itself: that keeps no session alive.
    pub(crate) fn unattended(&self) -> Self {
        let session = self.session.clone().map(|session| Session { attended: false, ..session });
        Self { transport: Arc::clone(&self.transport), session }
    }

    /// Reads what needs no query.
    pub(crate) async fn get<E: Endpoint<Body = Nothing>>(&self, path: &E::Path) -> Result<E::Reply>
    where
        E::Query: Default,
    {
        self.ask::<E>(path, &E::Query::default()).await
    }

    /// Reads.
    pub(crate) async fn ask<E: Endpoint<Body = Nothing>>(&self, path: &E::Path, query: &E::Query) -> Result<E::Reply> {
        Ok(self.call::<E>(path, query, &Nothing {}, Also::default()).await?.value)
    }

    /// Any call.
    pub(crate) async fn call<E: Endpoint>(
        &self,
        path: &E::Path,
        query: &E::Query,
        body: &E::Body,
        also: Also<'_>,
    ) -> Result<Versioned<E::Reply>> {
        let response = self.send::<E>(path, query, body, also).await?;
        let version = response.headers().get(ETAG).and_then(|v| v.to_str().ok());
        let version = version.and_then(|v| v.trim_matches('"').parse().ok());
        let bytes = whole(response.into_body()).await?;
        let value = serde_json::from_slice(&bytes).map_err(|e| Problem::internal("reply-unreadable", e))?;
        Ok(Versioned { value, version })
    }

    /// Hands over an archive.
    pub(crate) async fn upload<E: Endpoint<Body = Nothing>>(
        &self,
        path: &E::Path,
        query: &E::Query,
        archive: Vec<u8>,
        also: Also<'_>,
    ) -> Result<E::Reply> {
        let content = (Body::from(archive), "application/gzip");
        let response = self.carry::<E>(path, query, Some(content), also).await?;
        let bytes = whole(response.into_body()).await?;
        serde_json::from_slice(&bytes).map_err(|e| Problem::internal("reply-unreadable", e))
    }

    /// Follows a stream of events. What the API says last, where it refuses to go on, is an error.
    pub(crate) async fn events<E: Endpoint<Body = Nothing>>(
        &self,
        path: &E::Path,
        query: &E::Query,
    ) -> Result<Events<E::Reply>> {
        let response = self.send::<E>(path, query, &Nothing {}, Also::default()).await?;
        let start = (response.into_body().into_data_stream(), Sse::default(), Vec::new().into_iter());
        let events = stream::unfold(start, |(mut body, mut sse, mut ready)| async move {
            loop {
                if let Some(event) = ready.next() {
                    return Some((event_of::<E>(event), (body, sse, ready)));
                }
                ready = sse.push(&body.next().await?.ok()?).into_iter();
            }
        });
        Ok(Box::pin(events))
    }

    async fn send<E: Endpoint>(
        &self,
        path: &E::Path,
        query: &E::Query,
        body: &E::Body,
        also: Also<'_>,
    ) -> Result<Response<Body>> {
        let content = match E::METHOD.is_mutating() {
            true => {
                let text = serde_json::to_vec(body).map_err(|e| Problem::internal("call-not-made", e))?;
                Some((Body::from(text), "application/json"))
            }
            false => None,
        };
        self.carry::<E>(path, query, content, also).await
    }

    async fn carry<E: Endpoint>(
        &self,
        path: &E::Path,
        query: &E::Query,
        content: Option<(Body, &'static str)>,
        also: Also<'_>,
    ) -> Result<Response<Body>> {
        let bad = |e: &dyn std::fmt::Display| Problem::internal("call-not-made", e);
        let query = serde_urlencoded::to_string(query).map_err(|e| bad(&e))?;
        let mark = if query.is_empty() { "" } else { "?" };
        let mut request =
            Request::builder().method(E::METHOD.word()).uri(format!("{}{mark}{query}", path_of::<E>(path)));
        if let Some(key) = also.key.filter(|_| E::METHOD.is_mutating()) {
            request = request.header("idempotency-key", key);
        }
        if let Some(version) = also.version {
            request = request.header(IF_MATCH, format!("\"{version}\""));
        }
        if let Some(token) = also.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let content = match content {
            Some((content, kind)) => {
                request = request.header(CONTENT_TYPE, kind);
                content
            }
            None => Body::empty(),
        };
        let session = self.session.clone().filter(|_| also.token.is_none());
        let request = request.body(content).map_err(|e| bad(&e))?;
        let response = self.transport.send(session, request).await;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let bytes = whole(response.into_body()).await?;
        let problem: Option<ProblemBody> = serde_json::from_slice(&bytes).ok();
        Err(problem.map_or_else(
            || {
                Problem::new(
                    base::Kind::from_status(status.as_u16()),
                    "api-refused",
                    format!("the API answered {status}"),
                )
            },
            ProblemBody::into_problem,
        ))
    }
}

async fn whole(body: Body) -> Result<bytes::Bytes> {
    let whole = Limited::new(body, REPLY_BYTES_MAX).collect().await;
    whole.map(http_body_util::Collected::to_bytes).map_err(|e| Problem::internal("reply-broken-off", e))
}

fn event_of<E: Endpoint>(event: sse::Event) -> Result<E::Reply> {
    let unreadable = |e| Problem::internal("event-unreadable", e);
    if event.name == "problem" {
        let body: ProblemBody = serde_json::from_str(&event.data).map_err(unreadable)?;
        return Err(body.into_problem());
    }
    serde_json::from_str(&event.data).map_err(unreadable)
}
