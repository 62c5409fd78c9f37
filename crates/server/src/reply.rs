use std::convert::Infallible;
use std::time::Duration;

use api::{ProblemBody, Row, Shape};
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use base::{Kind, Problem};
use futures_util::{Stream, StreamExt};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, HeaderValue, StatusCode};
use kernel::{EventStream, RawReply};

use crate::router::status_of;

const REQUEST_ID: HeaderName = HeaderName::from_static("orlop-request");
/// A comment on a silent stream this often, so that nothing in between cuts it.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The response to a call that was carried out.
pub(crate) fn of(reply: RawReply, replayed: bool, id: &str) -> Response {
    let mut response = match reply {
        RawReply::Json(value, version) => json(&value, version),
        RawReply::Events(events) => sse(events).into_response(),
        RawReply::Http(response) => response.map(Body::from_stream).into_response(),
    };
    if replayed {
        response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
    }
    with_id(response, id)
}

fn json(value: &serde_json::Value, version: Option<i64>) -> Response {
    let mut response = Response::new(Body::from(value.to_string()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(tag) = version.and_then(|v| HeaderValue::from_str(&format!("\"{v}\"")).ok()) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

/// Server-sent events (WHATWG HTML §9.2). A problem on the way is the last event, named `problem`.
fn sse(events: EventStream<serde_json::Value>) -> Sse<impl Stream<Item = Result<SseEvent, Infallible>>> {
    let events = events.map(|item| {
        Ok(match item {
            Ok(event) => {
                let out = SseEvent::default().data(event.data.to_string());
                match event.id {
                    Some(id) => out.id(id),
                    None => out,
                }
            }
            Err(problem) => {
                let body = ProblemBody::of(&problem, None);
                SseEvent::default().event("problem").data(serde_json::to_string(&body).unwrap_or_default())
            }
        })
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

/// The response to a call that was refused or failed.
pub(crate) fn refusal(row: &Row, shown: &Problem, id: String) -> Response {
    let way_on = || shown.clone().hint(way_on(row, shown.kind));
    let mut response = match shown.hint {
        Some(_) => problem(shown, Some(id.clone())),
        None => problem(&way_on(), Some(id.clone())),
    };
    if shown.kind == Kind::Unauthenticated {
        // git asks for a password only when it is offered `Basic` (RFC 7617).
        let offer = if row.shape == Shape::Raw { "Basic realm=\"orlop\"" } else { "Bearer realm=\"orlop\"" };
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(offer));
    }
    with_id(response, &id)
}

/// What to do, where the one who refused did not say.
fn way_on(row: &Row, kind: Kind) -> String {
    match kind {
        Kind::Invalid | Kind::Unprocessable | Kind::TooLarge => {
            format!("`{}` in GET /openapi.json says what it takes", row.id)
        }
        Kind::Unauthenticated => "`orlop login`, or send `Authorization: Bearer TOKEN`".to_owned(),
        Kind::Forbidden => "ask an owner of the team or a platform admin".to_owned(),
        Kind::NotFound => "look at the list of what there is".to_owned(),
        Kind::Conflict => "look at how it is now, and decide anew".to_owned(),
        Kind::Stale => "read it again, and send the ETag of that answer as `If-Match`".to_owned(),
        Kind::Internal => "ask whoever runs the platform, and name this request's id".to_owned(),
        Kind::TooMany | Kind::Unavailable | Kind::Timeout => {
            "repeat it after a moment, with the same `Idempotency-Key`: what was done is not done twice".to_owned()
        }
    }
}

/// A problem as `application/problem+json` (RFC 9457). What went wrong inside stays inside.
pub(crate) fn problem(shown: &Problem, id: Option<String>) -> Response {
    let mut body = ProblemBody::of(shown, id);
    if shown.kind == Kind::Internal {
        body.detail = "the platform failed at this; its log has the reason under this request's id".to_owned();
    }
    let status = status_of(shown);
    body.status = status.as_u16();
    let text = serde_json::to_string(&body).unwrap_or_default();
    let mut response = (status, text).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if let Some(after) = shown.retry_after_s.or((status == StatusCode::SERVICE_UNAVAILABLE).then_some(1)) {
        headers.insert(RETRY_AFTER, HeaderValue::from(after));
    }
    response
}

fn with_id(mut response: Response, id: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// What every response carries: nothing is cached unless it says so, nothing is sniffed or framed.
pub(crate) async fn harden(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert("x-frame-options", HeaderValue::from_static("DENY"));
    headers.insert("referrer-policy", HeaderValue::from_static("no-referrer"));
    headers.insert(
        "content-security-policy",
        HeaderValue::from_static("default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"),
    );
    response
}
