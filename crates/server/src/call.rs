use std::collections::BTreeMap;
use std::time::Duration;

use api::{Access, Row, Shape};
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use base::limits::{API_BODY_BYTES_MAX, API_DEADLINE, SOURCE_BYTES_MAX};
use base::{Problem, Result};
use bytes::Bytes;
use futures_util::StreamExt;
use http::HeaderMap;
use http::header::{CONTENT_TYPE, IF_MATCH};
use http::request::Parts;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use kernel::{
    ByteStream, Ctx, Mounted, Permit, Platform, RawCall, RawReply, RequestInfo, Stored, authorize, idempotency_find,
};

use crate::still::Still;
use crate::{credential, idempotency, reply};

/// Uploads and pushes may take this long.
const UPLOAD_DEADLINE: Duration = Duration::from_secs(3600);

/// An upload that brings nothing for this long has broken off.
const UPLOAD_SILENCE: Duration = Duration::from_secs(30);

/// Answers one request to one endpoint.
pub(crate) async fn answer(
    platform: &Platform,
    one: &Mounted,
    params: BTreeMap<String, String>,
    request: Request,
) -> Response {
    let id = request_id(platform);
    let row = one.row;
    let deadline = match row.shape {
        Shape::Json | Shape::Events => API_DEADLINE,
        Shape::Upload | Shape::Raw => UPLOAD_DEADLINE,
    };
    let outcome = tokio::select! {
        outcome = carry_out(platform, one, params, request, &id) => outcome,
        () = platform.ports().clock.sleep(deadline) => Err(Problem::timeout(
            "deadline",
            format!("{} took more than {} s", row.id, deadline.as_secs()),
        ).hint("repeat it with the same `Idempotency-Key`: what was done is not done twice")),
    };
    match outcome {
        Ok((reply, replayed)) => reply::of(reply, replayed, &id),
        Err(problem) => {
            if problem.kind == base::Kind::Internal {
                tracing::error!(request = id, endpoint = row.id, %problem, "a call failed");
            }
            reply::refusal(&row, &problem, id)
        }
    }
}

fn request_id(platform: &Platform) -> String {
    let mut bytes = [0u8; 8];
    platform.ports().random.fill(&mut bytes);
    format!("req_{:016x}", u64::from_be_bytes(bytes))
}

/// Decides, then reads, then asks the handler. Nothing of the body is read before the decision.
async fn carry_out(
    platform: &Platform,
    one: &Mounted,
    params: BTreeMap<String, String>,
    request: Request,
    id: &str,
) -> Result<(RawReply, bool)> {
    let row = one.row;
    let (head, body) = request.into_parts();
    let credential = credential::credential(&head);
    let permit = authorize(platform, &credential, row.access, &params).await?;
    let key = match row.method.is_mutating() && row.shape != Shape::Raw {
        true => idempotency::key(head.headers.get("idempotency-key"))?,
        false => None,
    };
    let if_match = if_match(&head.headers)?;
    kernel::room::admit(&row, &platform.config().data)?;
    let (json, stream) = take_body(platform, &row, &head, body).await?;
    let (digest, stream) = idempotency::digested(&head, &json, stream, key.is_some());
    let info = RequestInfo { id: id.to_owned(), endpoint: row.id, digest: digest.clone(), idempotency_key: key };
    let earlier = earlier(platform, &permit, &row, &info).await?;
    let mut call = RawCall {
        path: params,
        query: head.uri.query().unwrap_or_default().to_owned(),
        json,
        stream,
        if_match,
        last_event_id: text(&head.headers, "last-event-id"),
        head,
    };
    let still = Still {
        platform: platform.clone(),
        credential: credential.unattended(),
        access: row.access,
        params: call.path.clone(),
        identity: permit.identity().clone(),
    };
    let ctx = Ctx::new(platform.clone(), permit, Some(info));
    let replayed = earlier.is_some();
    let work = async move {
        match earlier {
            Some(earlier) => idempotency::again(earlier, call.stream.take(), &digest).await,
            None => (one.handler)(ctx, call).await,
        }
    };
    let reply = match row.shape {
        Shape::Json | Shape::Events => work.await?,
        // What takes long to send is not taken any more once its sender has lost the right to it.
        Shape::Upload | Shape::Raw => tokio::select! {
            biased;
            problem = still.lost() => return Err(problem),
            reply = work => reply?,
        },
    };
    Ok((still.guard(reply), replayed))
}

/// What was answered before under the request's key. A public call has no actor whose key it could be.
async fn earlier(platform: &Platform, permit: &Permit, row: &Row, info: &RequestInfo) -> Result<Option<Stored>> {
    let (false, Some(key)) = (matches!(row.access, Access::Public), &info.idempotency_key) else { return Ok(None) };
    let actor = permit.identity().actor.to_string();
    idempotency_find(&mut platform.store().read().await?, &actor, row.id, key).await
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned)
}

/// `If-Match: "3"` (RFC 9110 §13.1.1); `*` matches anything that exists.
fn if_match(headers: &HeaderMap) -> Result<Option<i64>> {
    let Some(value) = headers.get(IF_MATCH).and_then(|v| v.to_str().ok()) else { return Ok(None) };
    if value == "*" {
        return Ok(None);
    }
    value
        .trim_matches('"')
        .parse()
        .map(Some)
        .map_err(|_| Problem::stale("bad-if-match", "`If-Match` is not an ETag that this API gave"))
}

async fn take_body(platform: &Platform, row: &Row, head: &Parts, body: Body) -> Result<(Vec<u8>, Option<ByteStream>)> {
    match row.shape {
        Shape::Upload | Shape::Raw => Ok((Vec::new(), Some(limited(body, platform.clone())))),
        Shape::Json | Shape::Events if row.method.is_mutating() => {
            let bytes = collect(body).await?;
            if !bytes.is_empty() {
                require_json(&head.headers)?;
            }
            Ok((bytes, None))
        }
        Shape::Json | Shape::Events => Ok((Vec::new(), None)),
    }
}

fn require_json(headers: &HeaderMap) -> Result<()> {
    let value = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let media = value.split(';').next().unwrap_or_default().trim();
    if media.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Problem::invalid("not-json", format!("the body's media type is `{media}`"))
        .at("header Content-Type")
        .hint("send `Content-Type: application/json`"))
}

async fn collect(body: Body) -> Result<Vec<u8>> {
    match Limited::new(body, API_BODY_BYTES_MAX).collect().await {
        Ok(collected) => Ok(collected.to_bytes().to_vec()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(Problem::too_large("body-too-large", format!("the body is larger than {API_BODY_BYTES_MAX} bytes")))
        }
        Err(error) => {
            Err(Problem::invalid("body-broken-off", format!("the body could not be read to its end: {error}")))
        }
    }
}

/// The body of an upload as a stream that ends with a problem when it is too large, breaks off or
/// stops coming.
fn limited(body: Body, platform: Platform) -> ByteStream {
    let start = Some((body.into_data_stream(), SOURCE_BYTES_MAX));
    Box::pin(futures_util::stream::unfold(start, move |state| {
        let platform = platform.clone();
        async move {
            let (mut body, left) = state?;
            let chunk = tokio::select! {
                chunk = body.next() => chunk?,
                () = platform.ports().clock.sleep(UPLOAD_SILENCE) => return Some((Err(stopped()), None)),
            };
            match counted(chunk, left) {
                Ok((chunk, left)) => Some((Ok(chunk), Some((body, left)))),
                Err(problem) => Some((Err(problem), None)),
            }
        }
    }))
}

fn stopped() -> Problem {
    let text = format!("the upload brought nothing for {} s", UPLOAD_SILENCE.as_secs());
    Problem::timeout("body-timeout", text).hint("send it again")
}

/// A piece of an upload, and how much may still come.
fn counted(chunk: std::result::Result<Bytes, axum::Error>, left: u64) -> Result<(Bytes, u64)> {
    let chunk = chunk
        .map_err(|e| Problem::invalid("body-broken-off", format!("the upload could not be read to its end: {e}")))?;
    let length = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
    let left = left.checked_sub(length).ok_or_else(|| {
        Problem::too_large("source-too-large", format!("the upload is larger than {SOURCE_BYTES_MAX} bytes"))
            .hint("leave build results and data out: name them in .gitignore or .orlopignore")
    })?;
    Ok((chunk, left))
}
