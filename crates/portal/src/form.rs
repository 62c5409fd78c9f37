//! Forms that change something: what they must carry, and what follows them.

use axum::extract::{FromRequest, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base::Problem;
use http::header::{CONTENT_TYPE, LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use serde::de::DeserializeOwned;

use crate::cookie::Cookie;
use crate::fault::Fault;
use crate::links;
use crate::site::Site;
use crate::visit::Visit;

/// Largest form, bytes: a setting of 64 KiB, percent-encoded.
const FORM_BYTES_MAX: usize = 256 << 10;
/// What a page says first is forgotten after this long, seconds.
const SAID_FOR_S: u64 = 30;

/// A form that a signed-in person sent from a page of their own session.
pub(crate) struct Filled<T> {
    pub visit: Visit,
    /// The key under which it is carried out once, however often it is sent.
    pub key: String,
    pub fields: T,
}

#[derive(serde::Deserialize)]
struct Proof {
    #[serde(rename = "form-token", default)]
    token: String,
    #[serde(rename = "form-key", default)]
    key: String,
}

impl<T: DeserializeOwned> FromRequest<Site> for Filled<T> {
    type Rejection = Response;

    async fn from_request(request: Request, site: &Site) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let visit = <Visit as axum::extract::FromRequestParts<Site>>::from_request_parts(&mut parts, site).await?;
        let text = read(body).await.map_err(IntoResponse::into_response)?;
        filled(visit, &text).map_err(IntoResponse::into_response)
    }
}

/// The text of a form, within its bounds.
pub(crate) async fn read(body: axum::body::Body) -> Result<String, Fault> {
    let unreadable = || Fault(Problem::invalid("bad-form", "the form is too large or broken off"));
    let bytes = Limited::new(body, FORM_BYTES_MAX).collect().await.map_err(|_| unreadable())?.to_bytes();
    String::from_utf8(bytes.to_vec()).map_err(|_| unreadable())
}

fn filled<T: DeserializeOwned>(visit: Visit, text: &str) -> Result<Filled<T>, Fault> {
    let proof: Proof = decode(text)?;
    if base::Digest::of(proof.token.as_bytes()) != base::Digest::of(visit.form_token.as_bytes()) {
        return Err(Fault(
            Problem::forbidden("form-of-another-session", "this form belongs to another session, or to none")
                .hint("open its page again, and send it from there"),
        ));
    }
    // The same form sent twice is carried out once; one that was changed on the way back is another one.
    let content: String = base::Digest::of(text.as_bytes()).to_string().chars().rev().take(16).collect();
    let key: String = proof.key.chars().filter(char::is_ascii_graphic).take(64).chain(content.chars()).collect();
    Ok(Filled { visit, key, fields: decode(text)? })
}

/// Reads the fields of a form. A checkbox that is not ticked is absent, an empty field is an empty text.
pub(crate) fn decode<T: DeserializeOwned>(text: &str) -> Result<T, Fault> {
    serde_urlencoded::from_str(text)
        .map_err(|e| Fault(Problem::unprocessable("bad-form", e).hint("fill in every field")))
}

/// Where a form leads when it was carried out, and what is said there first.
pub(crate) struct Done {
    to: String,
    said: String,
}

impl Done {
    /// Leads to a path of the portal. A path that is not local leads home.
    pub(crate) fn to(path: impl AsRef<str>, said: impl Into<String>) -> Self {
        Self { to: links::local(path.as_ref()).to_owned(), said: said.into() }
    }

    /// 303: what was sent is not sent again by a reload (RFC 9110 §15.4.4).
    pub(crate) fn see(self, headers: &HeaderMap) -> Response {
        let mut response = StatusCode::SEE_OTHER.into_response();
        let to = HeaderValue::from_str(&self.to).unwrap_or(HeaderValue::from_static("/"));
        response.headers_mut().insert(LOCATION, to);
        let said: String = self.said.chars().take(120).collect();
        let said = serde_urlencoded::to_string([("t", said)]).unwrap_or_default();
        if let Some(set) = Cookie::Said.set(headers, said.strip_prefix("t="), SAID_FOR_S) {
            response.headers_mut().append(SET_COOKIE, set);
        }
        response
    }
}

/// What was said on a page is not said again on the next one.
pub(crate) async fn say_once(request: Request, next: Next) -> Response {
    let head = Cookie::Said.read(request.headers()).map(|_| request.headers().clone());
    let mut response = next.run(request).await;
    let is_page = response.headers().get(CONTENT_TYPE).is_some_and(|v| v.as_bytes().starts_with(b"text/html"));
    // A page that lives in a stream, or a redirect that says something else, leaves it as it is.
    if let Some(forget) = head.filter(|_| is_page).and_then(|head| Cookie::Said.set(&head, None, 0)) {
        response.headers_mut().append(SET_COOKIE, forget);
    }
    response
}

/// What the page before wanted said.
pub(crate) fn said(headers: &HeaderMap) -> Option<String> {
    let text = Cookie::Said.read(headers)?;
    let fields: Vec<(String, String)> = serde_urlencoded::from_str(&format!("t={text}")).ok()?;
    fields.into_iter().next().map(|(_, said)| said).filter(|said| !said.is_empty())
}
