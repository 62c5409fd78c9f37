use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use api::{Endpoint, Row};
use base::{Problem, Result};
use futures_util::future::BoxFuture;
use futures_util::{Stream, StreamExt};
use ports::ByteStream;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Answer, Ctx};

/// The endpoints of a capability, each with its handler.
#[derive(Default)]
pub struct Endpoints {
    mounted: Vec<Mounted>,
}

/// One endpoint with its handler, types erased.
pub struct Mounted {
    /// The row of the endpoint table.
    pub row: Row,
    /// The handler.
    pub handler: ErasedHandler,
}

/// A handler with its types erased. It takes a [`Ctx`], which cannot be had without a permit.
pub type ErasedHandler = Arc<dyn Fn(Ctx, RawCall) -> BoxFuture<'static, Result<RawReply>> + Send + Sync>;

/// A request as the server hands it over.
pub struct RawCall {
    /// Parameters of the path, decoded.
    pub path: BTreeMap<String, String>,
    /// The query, without `?`.
    pub query: String,
    /// JSON bodies as text; empty where there is none.
    pub json: Vec<u8>,
    /// Bodies of uploads and raw calls.
    pub stream: Option<ByteStream>,
    /// The rest of the request, for raw calls.
    pub head: http::request::Parts,
    /// `If-Match`.
    pub if_match: Option<i64>,
    /// `Last-Event-ID`.
    pub last_event_id: Option<String>,
}

/// A reply as the server takes it.
pub enum RawReply {
    /// JSON with its version.
    Json(serde_json::Value, Option<i64>),
    /// Server-sent events: id and JSON text.
    Events(EventStream<serde_json::Value>),
    /// Anything else.
    Http(http::Response<ByteStream>),
}

/// A typed request.
pub struct Call<E: Endpoint> {
    /// Parameters of the path.
    pub path: E::Path,
    /// Parameters of the query.
    pub query: E::Query,
    /// The body.
    pub body: E::Body,
    /// The version that the caller wants to change.
    pub if_match: Option<i64>,
    /// The event behind which a stream shall go on.
    pub last_event_id: Option<String>,
}

/// One server-sent event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event<T> {
    /// Resumable id: passing it as `Last-Event-ID` goes on behind this event.
    pub id: Option<String>,
    /// The content.
    pub data: T,
}

/// A stream of events; an error ends it and is sent as the last event.
pub type EventStream<T> = Pin<Box<dyn Stream<Item = Result<Event<T>>> + Send>>;

/// Boxes a stream of events.
pub fn event_stream<T>(stream: impl Stream<Item = Result<Event<T>>> + Send + 'static) -> EventStream<T> {
    Box::pin(stream)
}

impl Endpoints {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A JSON endpoint.
    #[must_use]
    pub fn on<E, H, F>(self, handler: H) -> Self
    where
        E: Endpoint,
        H: Fn(Ctx, Call<E>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Answer<E::Reply>>> + Send + 'static,
    {
        let handler = Arc::new(handler);
        self.mount::<E>(move |ctx, raw| {
            let handler = Arc::clone(&handler);
            Box::pin(async move {
                let answer = handler(ctx, typed::<E>(&raw)?).await?;
                Ok(RawReply::Json(to_json(&answer.value)?, answer.version))
            })
        })
    }

    /// An endpoint that answers with a stream of events.
    #[must_use]
    pub fn on_events<E, H, F>(self, handler: H) -> Self
    where
        E: Endpoint,
        H: Fn(Ctx, Call<E>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<EventStream<E::Reply>>> + Send + 'static,
    {
        let handler = Arc::new(handler);
        self.mount::<E>(move |ctx, raw| {
            let handler = Arc::clone(&handler);
            Box::pin(async move {
                let events = handler(ctx, typed::<E>(&raw)?).await?;
                let events =
                    events.map(|item| item.and_then(|event| Ok(Event { id: event.id, data: to_json(&event.data)? })));
                Ok(RawReply::Events(Box::pin(events)))
            })
        })
    }

    /// An endpoint that takes raw bytes.
    #[must_use]
    pub fn on_upload<E, H, F>(self, handler: H) -> Self
    where
        E: Endpoint,
        H: Fn(Ctx, Call<E>, ByteStream) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Answer<E::Reply>>> + Send + 'static,
    {
        let handler = Arc::new(handler);
        self.mount::<E>(move |ctx, mut raw| {
            let handler = Arc::clone(&handler);
            Box::pin(async move {
                let body = raw.stream.take().ok_or_else(no_body)?;
                let answer = handler(ctx, typed::<E>(&raw)?, body).await?;
                Ok(RawReply::Json(to_json(&answer.value)?, answer.version))
            })
        })
    }

    /// An endpoint that speaks another protocol.
    #[must_use]
    pub fn on_raw<E, H, F>(self, handler: H) -> Self
    where
        E: Endpoint,
        H: Fn(Ctx, Call<E>, http::request::Parts, ByteStream) -> F + Send + Sync + 'static,
        F: Future<Output = Result<http::Response<ByteStream>>> + Send + 'static,
    {
        let handler = Arc::new(handler);
        self.mount::<E>(move |ctx, mut raw| {
            let handler = Arc::clone(&handler);
            Box::pin(async move {
                let body = raw.stream.take().unwrap_or_else(|| Box::pin(futures_util::stream::empty()));
                let call = typed::<E>(&raw)?;
                Ok(RawReply::Http(handler(ctx, call, raw.head, body).await?))
            })
        })
    }

    fn mount<E: Endpoint>(
        mut self,
        handler: impl Fn(Ctx, RawCall) -> BoxFuture<'static, Result<RawReply>> + Send + Sync + 'static,
    ) -> Self {
        if let Some(row) = api::TABLE.iter().find(|row| row.id == E::ID) {
            self.mounted.push(Mounted { row: *row, handler: Arc::new(handler) });
        }
        self
    }

    /// All of them.
    pub fn into_mounted(self) -> Vec<Mounted> {
        self.mounted
    }
}

fn typed<E: Endpoint>(raw: &RawCall) -> Result<Call<E>> {
    let path = serde_urlencoded::to_string(&raw.path).map_err(|e| Problem::internal("path-unreadable", e))?;
    Ok(Call {
        path: from_form(&path, "path")?,
        query: from_form(&raw.query, "query")?,
        body: from_json(&raw.json)?,
        if_match: raw.if_match,
        last_event_id: raw.last_event_id.clone(),
    })
}

fn from_form<T: DeserializeOwned>(text: &str, place: &str) -> Result<T> {
    if text.contains("%00") {
        let what = "it holds the character U+0000, which cannot be stored";
        return Err(Problem::unprocessable("nul-in-text", what).at(place));
    }
    serde_urlencoded::from_str(text).map_err(|e| Problem::unprocessable("bad-parameter", e).at(place))
}

/// A body is one JSON object. Whether it is JSON at all is told first: else a slip behind an unknown
/// key would go by the name of the key.
fn from_json<T: DeserializeOwned>(text: &[u8]) -> Result<T> {
    let text = if text.is_empty() { b"{}" } else { text };
    serde_json::from_slice::<serde::de::IgnoredAny>(text).map_err(|e| bad_body(&e))?;
    // Else the fields of a type could be given by their order, as an array.
    if text.trim_ascii_start().first() != Some(&b'{') {
        return Err(Problem::unprocessable("bad-body", "the body is not a JSON object").at("body:1:1"));
    }
    serde_json::from_slice(text).map_err(|e| bad_body(&e))
}

fn bad_body(e: &serde_json::Error) -> Problem {
    let place = format!("body:{}:{}", e.line(), e.column());
    let shown = e.to_string();
    let message = shown.split(" at line ").next().unwrap_or_default();
    match e.classify() {
        serde_json::error::Category::Data => Problem::unprocessable("bad-body", message).at(place),
        _ => Problem::invalid("bad-json", message).at(place),
    }
}

fn to_json<T: Serialize>(value: &T) -> Result<serde_json::Value> {
    serde_json::to_value(value).map_err(|e| Problem::internal("reply-not-json", e))
}

fn no_body() -> Problem {
    Problem::invalid("no-body", "the request has no body").hint("send a gzip-compressed tar")
}
