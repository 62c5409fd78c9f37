//! The few pages of the API's own address: what this is, and signing in with a one-time link.

use std::collections::BTreeMap;

use axum::Form;
use axum::extract::{Query, State as AxumState};
use axum::response::{Html, IntoResponse, Response};
use base::Problem;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use kernel::{Credential, Ctx, ErasedHandler, Platform, RawCall, RawReply, authorize};

use crate::reply;

/// What the pages need.
#[derive(Clone)]
pub(crate) struct State {
    platform: Platform,
    /// The handler of the endpoint `signIn`.
    sign_in: Option<ErasedHandler>,
}

impl State {
    pub(crate) const fn new(platform: Platform, sign_in: Option<ErasedHandler>) -> Self {
        Self { platform, sign_in }
    }
}

type Fields = BTreeMap<String, String>;

pub(crate) async fn openapi() -> Response {
    cached("application/json", api::document_json())
}

pub(crate) async fn manifest_schema() -> Response {
    let schema = api::manifest::schema().to_string();
    ([(CONTENT_TYPE, "application/schema+json")], schema).into_response()
}

pub(crate) async fn style() -> Response {
    cached("text/css; charset=utf-8", include_str!("style.css"))
}

fn cached(media: &'static str, text: &'static str) -> Response {
    ([(CONTENT_TYPE, media), (CACHE_CONTROL, "max-age=60")], text).into_response()
}

pub(crate) async fn front() -> Html<String> {
    page(
        "Orlop",
        "<p>This is the API of an Orlop installation.</p>\
         <ul><li><a href=\"/openapi.json\">/openapi.json</a>: every endpoint</li>\
         <li><a href=\"/v1/manifest/schema\">/v1/manifest/schema</a>: the keys of <code>orlop.yaml</code></li>\
         <li><a href=\"/sign-in\">/sign-in</a>: trade a one-time code for a token</li></ul>\
         <p>In a terminal: <code>orlop --help</code></p>",
    )
}

/// The page behind a one-time link. Looking at it uses nothing up: programs that preview links do.
pub(crate) async fn sign_in(Query(query): Query<Fields>) -> Html<String> {
    let code = escape(query.get("code").map_or("", String::as_str));
    page(
        "Sign in",
        &format!(
            "<form method=\"post\" action=\"/sign-in\">\
             <label for=\"code\">One-time code</label>\
             <input id=\"code\" name=\"code\" value=\"{code}\" autocomplete=\"off\" required>\
             <button>Sign in</button></form>\
             <p>The code works once and for a short time. <code>orlop up</code> prints a fresh one.</p>"
        ),
    )
}

pub(crate) async fn sign_in_done(AxumState(state): AxumState<State>, Form(fields): Form<Fields>) -> Response {
    let code = fields.get("code").cloned().unwrap_or_default();
    match trade(&state, code.trim()).await {
        Ok(secret) => page("Signed in", &signed_in(&secret)).into_response(),
        Err(problem) => {
            let text = format!(
                "<p role=\"alert\">{}</p><p><a href=\"/sign-in\">Try again</a></p>",
                escape(&problem.to_string())
            );
            (crate::router::status_of(&problem), page("Not signed in", &text)).into_response()
        }
    }
}

fn signed_in(secret: &str) -> String {
    let secret = escape(secret);
    format!(
        "<p>This is your token. It is shown this once.</p><pre>{secret}</pre>\
         <p>In a terminal:</p><pre>orlop login --token</pre>\
         <p>and paste it. For git, it is the password; any user name will do.</p>"
    )
}

/// Calls the endpoint `signIn`, as any client would.
async fn trade(state: &State, code: &str) -> base::Result<String> {
    let handler =
        state.sign_in.clone().ok_or_else(|| Problem::unavailable("not-ready", "signing in is not possible yet"))?;
    let permit = authorize(&state.platform, &Credential::None, api::Access::Public, &Fields::new()).await?;
    let (head, ()) = http::Request::new(()).into_parts();
    let call = RawCall {
        path: Fields::new(),
        query: String::new(),
        json: serde_json::json!({ "code": code, "name": "browser" }).to_string().into_bytes(),
        stream: None,
        head,
        if_match: None,
        last_event_id: None,
    };
    match handler(Ctx::new(state.platform.clone(), permit, None), call).await? {
        RawReply::Json(value, _) => Ok(value.get("secret").and_then(|s| s.as_str()).unwrap_or_default().to_owned()),
        RawReply::Events(_) | RawReply::Http(_) => Err(Problem::internal("sign-in-shape", "signing in gave no token")),
    }
}

fn page(title: &str, body: &str) -> Html<String> {
    Html(format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title} · Orlop</title>\
         <link rel=\"stylesheet\" href=\"/style.css\"></head><body><main><h1>{title}</h1>{body}</main></body></html>"
    ))
}

/// Text as HTML, also inside quoted attributes.
fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
        out
    })
}

/// The fallback for everything that is no endpoint.
pub(crate) fn nothing_here() -> Response {
    let problem = Problem::not_found("no-such-endpoint", "there is no such endpoint");
    reply::problem(&problem.hint("GET /openapi.json lists all of them"), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_code_becomes_markup() {
        assert_eq!(escape("\"><script>'&"), "&quot;&gt;&lt;script&gt;&#39;&amp;");
    }
}
