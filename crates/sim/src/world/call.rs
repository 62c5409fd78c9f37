//! People: requests through the real handlers, repeated under one key until they are answered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::{Digest, Problem, Result, Secret};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use kernel::{Credential, Ctx, Mounted, Platform, RawCall, RawReply, RequestInfo, authorize, idempotency_find};
use serde_json::Value;

use super::{Ended, World};
use crate::Ack;

/// A person repeats a request so often before giving up.
const PATIENCE: u32 = 30;

/// What a person asks for.
#[derive(Debug, Clone)]
pub struct Request {
    /// Operation id.
    pub endpoint: &'static str,
    /// Parameters of the path.
    pub path: BTreeMap<String, String>,
    /// The query, without `?`.
    pub query: String,
    /// The body.
    pub body: Value,
    /// The body of an upload.
    pub upload: Option<Vec<u8>>,
    /// What sort of body, where that matters.
    pub content_type: Option<&'static str>,
    /// Whether success must leave a trace in the ledger.
    pub mutates: bool,
}

impl Request {
    /// A request to an endpoint.
    pub fn to(endpoint: &'static str) -> Self {
        Self {
            endpoint,
            path: BTreeMap::new(),
            query: String::new(),
            body: Value::Null,
            upload: None,
            content_type: None,
            mutates: true,
        }
    }

    /// A request about a service.
    pub fn about(endpoint: &'static str, service: &str) -> Self {
        Self::to(endpoint).at("service", service)
    }

    /// With another parameter in the path.
    #[must_use]
    pub fn at(mut self, name: &str, value: impl ToString) -> Self {
        self.path.insert(name.to_owned(), value.to_string());
        self
    }

    /// With a query.
    #[must_use]
    pub fn query(mut self, query: &str) -> Self {
        query.clone_into(&mut self.query);
        self
    }

    /// With a body.
    #[must_use]
    pub fn body(mut self, body: Value) -> Self {
        self.body = body;
        self
    }

    /// With the bytes of an upload.
    #[must_use]
    pub fn upload(mut self, bytes: Vec<u8>) -> Self {
        self.upload = Some(bytes);
        self
    }

    /// A push, with a body of [`crate::push`]. What it leaves in the ledger has the ids of what it
    /// set in motion.
    #[must_use]
    pub fn push(service: &str, body: Vec<u8>) -> Self {
        let mut request = Self::to("gitReceivePack").at("repository", format!("{service}.git")).upload(body).reads();
        request.content_type = Some("application/x-git-receive-pack-request");
        request
    }

    /// A request that changes nothing.
    #[must_use]
    pub fn reads(mut self) -> Self {
        self.mutates = false;
        self
    }
}

impl World {
    /// The admin asks; repeated under the same key while the platform is away or busy.
    pub async fn call(&mut self, request: Request) -> Result<Value> {
        let mut token =
            self.token.clone().ok_or_else(|| Problem::unauthenticated("no-token", "nobody is signed in"))?;
        let key = self.next_id("key");
        let mut requests = Vec::new();
        let mut last = Problem::unavailable("no-answer", "the platform did not answer");
        for _ in 0..PATIENCE {
            let id = self.next_id("req");
            requests.push(id.clone());
            match self.attempt(&token, &request, &key, &id).await {
                Ended::Killed(_) => {}
                Ended::Done(Ok(value)) => {
                    if request.mutates {
                        self.acks.push(Ack { key, endpoint: request.endpoint.to_owned(), requests });
                    }
                    return Ok(value);
                }
                Ended::Done(Err(problem)) if problem.kind.may_retry() || problem.code == "idempotency-in-flight" => {
                    last = problem;
                    self.clock.advance(Duration::from_millis(500));
                }
                // A clock that was wrong for years ended the token: the person signs in again.
                Ended::Done(Err(problem)) if problem.code == "bad-token" => {
                    last = problem;
                    Box::pin(self.sign_in()).await;
                    token = self.token.clone().unwrap_or(token);
                }
                Ended::Done(Err(problem)) => return Err(problem),
            }
        }
        Err(last)
    }

    /// The admin asks once, as git does.
    pub async fn call_once(&mut self, request: Request) -> Result<Value> {
        let token = self.token.clone().ok_or_else(|| Problem::unauthenticated("no-token", "nobody is signed in"))?;
        self.call_as(&token, request).await
    }

    /// Somebody else asks, once.
    pub async fn call_as(&mut self, token: &Secret<String>, request: Request) -> Result<Value> {
        let (key, id) = (self.next_id("key"), self.next_id("req"));
        match self.attempt(token, &request, &key, &id).await {
            Ended::Done(answer) => answer,
            Ended::Killed(at) => Err(Problem::unavailable("died", format!("the control plane died at {at}"))),
        }
    }

    async fn attempt(
        &mut self,
        token: &Secret<String>,
        request: &Request,
        key: &str,
        id: &str,
    ) -> Ended<Result<Value>> {
        let serve = match self.prepared(token, request, key, id) {
            Ok(serve) => serve,
            Err(problem) => return Ended::Done(Err(problem)),
        };
        let ended = self.run(serve).await;
        self.after(ended).await
    }

    /// The admin asks while the control plane is in the middle of something else.
    pub(super) async fn interrupt(&mut self, request: Request) -> Result<Value> {
        let token = self.token.clone().ok_or_else(|| Problem::unauthenticated("no-token", "nobody is signed in"))?;
        let (key, id) = (self.next_id("key"), self.next_id("req"));
        let value = self.prepared(&token, &request, &key, &id)?.await?;
        if request.mutates {
            self.acks.push(Ack { key, endpoint: request.endpoint.to_owned(), requests: vec![id] });
        }
        Ok(value)
    }

    fn prepared(
        &self,
        token: &Secret<String>,
        request: &Request,
        key: &str,
        id: &str,
    ) -> Result<impl Future<Output = Result<Value>> + 'static> {
        let life = self.life.as_ref().ok_or_else(|| Problem::unavailable("down", "the control plane is down"))?;
        let mounted = life
            .handlers
            .get(request.endpoint)
            .cloned()
            .ok_or_else(|| Problem::not_found("no-endpoint", format!("nobody answers {}", request.endpoint)))?;
        let info = RequestInfo {
            id: id.to_owned(),
            endpoint: mounted.row.id,
            idempotency_key: Some(key.to_owned()).filter(|_| mounted.row.method.is_mutating()),
            digest: Digest::of(format!("{request:?}").as_bytes()).into(),
        };
        let credential = Credential::Token(token.clone());
        Ok(serve(life.platform.clone(), mounted, credential, request.clone(), info))
    }

    fn next_id(&mut self, kind: &str) -> String {
        self.requests += 1;
        format!("{kind}_{}_{}", self.seed, self.requests)
    }
}

/// What the server does with a request: decides, looks for an earlier answer, asks the handler.
async fn serve(
    platform: Platform,
    mounted: Arc<Mounted>,
    credential: Credential,
    request: Request,
    info: RequestInfo,
) -> Result<Value> {
    let permit = authorize(&platform, &credential, mounted.row.access, &request.path).await?;
    if let Some(key) = &info.idempotency_key {
        let mut read = platform.store().read().await?;
        let actor = permit.identity().actor.to_string();
        if let Some(stored) = idempotency_find(&mut read, &actor, info.endpoint, key).await? {
            if stored.body.is_empty() {
                return Err(Problem::conflict("already-done", "this was done before, and its answer was shown once"));
            }
            return serde_json::from_str(&stored.body).map_err(|e| Problem::internal("reply-unreadable", e));
        }
    }
    let mut head = http::Request::builder();
    if let Some(kind) = request.content_type {
        head = head.header(http::header::CONTENT_TYPE, kind);
    }
    let (head, ()) = head.body(()).map_err(|e| Problem::internal("bad-head", e))?.into_parts();
    let upload = request.upload.map(|bytes| -> kernel::ByteStream { Box::pin(stream::iter([Ok(Bytes::from(bytes))])) });
    let json = if request.body.is_null() { Vec::new() } else { request.body.to_string().into_bytes() };
    let call = RawCall {
        path: request.path,
        query: request.query,
        json,
        stream: upload,
        head,
        if_match: None,
        last_event_id: None,
    };
    match (mounted.handler)(Ctx::new(platform, permit, Some(info)), call).await? {
        RawReply::Json(value, _) => Ok(value),
        RawReply::Http(reply) => read_to_end(reply.into_body()).await,
        RawReply::Events(_) => Err(Problem::internal("not-json", "this world's people do not follow streams")),
    }
}

async fn read_to_end(mut body: kernel::ByteStream) -> Result<Value> {
    let mut all = Vec::new();
    while let Some(piece) = body.next().await {
        all.extend_from_slice(&piece?);
    }
    Ok(Value::String(String::from_utf8_lossy(&all).into_owned()))
}
