//! In and out. A one-time code or a token becomes a session; the browser holds nothing else.

use api::Nothing;
use api::access::{IssuedToken, NewSession, RevokeToken, SignIn, SignInCode, StartSession, TokenPath};
use askama::Template;
use axum::Router;
use axum::extract::{Query, Request, State};
use axum::response::{IntoResponse as _, Redirect};
use axum::routing::{get, post};
use base::{Kind, Problem};
use http::header::{SET_COOKIE, USER_AGENT};
use http::{HeaderMap, StatusCode, Uri};
use serde::Deserialize;

use super::Outcome;
use crate::client::{Also, Api};
use crate::cookie::Cookie;
use crate::form::{self, Done, Filled};
use crate::links;
use crate::shell::{Shell, html};
use crate::site::Site;
use crate::visit::Visit;

/// How long the browser keeps the cookie, seconds: as long as a session lasts at most.
const KEPT_S: u64 = 7 * 24 * 3600;

pub(crate) fn routes() -> Router<Site> {
    Router::new().route("/sign-in", get(show).post(enter)).route("/sign-out", post(leave))
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    shell: Shell,
    code: String,
    to: String,
    problem: Option<Problem>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Fields {
    code: String,
    token: String,
    to: String,
}

/// The page behind a one-time link. Looking at it uses nothing up: programs that preview links do.
async fn show(State(site): State<Site>, headers: HeaderMap, uri: Uri, Query(asked): Query<Fields>) -> Outcome {
    if asked.code.is_empty() && Visit::of(&site, &headers, &uri).await.is_ok() {
        return Ok(Redirect::to(links::local(&asked.to)).into_response());
    }
    page(&site, &headers, asked, None)
}

fn page(site: &Site, headers: &HeaderMap, asked: Fields, problem: Option<Problem>) -> Outcome {
    let shell = Shell::bare(site, headers, "Sign in");
    html(&SignInPage { shell, code: asked.code, to: links::local(&asked.to).to_owned(), problem })
}

/// Nobody has a session yet, so that this form alone carries no token of one; where it comes from is checked.
async fn enter(State(site): State<Site>, request: Request) -> Outcome {
    let (head, body) = request.into_parts();
    let fields: Fields = form::decode(&form::read(body).await?)?;
    match session(&site, &head.headers, &fields).await {
        Ok(issued) => {
            let said = format!("Signed in as {}.", issued.token.person);
            let mut response = Done::to(&fields.to, said).see(&head.headers);
            if let Some(set) = Cookie::Session.set(&head.headers, Some(&issued.secret), KEPT_S) {
                response.headers_mut().append(SET_COOKIE, set);
            }
            Ok(response)
        }
        Err(problem) if problem.kind == Kind::Internal => Err(problem.into()),
        Err(problem) => {
            let status = StatusCode::from_u16(problem.kind.status()).unwrap_or(StatusCode::BAD_REQUEST);
            // Neither code nor token is shown again.
            let mut response =
                page(&site, &head.headers, Fields { to: fields.to, ..Fields::default() }, Some(problem))?;
            *response.status_mut() = status;
            Ok(response)
        }
    }
}

async fn session(site: &Site, headers: &HeaderMap, fields: &Fields) -> base::Result<IssuedToken> {
    let api = Api::new(site.transport(), None);
    let name = browser(headers);
    let (code, token) = (fields.code.trim(), fields.token.trim());
    let readable = |text: &str| text.len() <= 512 && text.bytes().all(|b| b.is_ascii_graphic());
    if !readable(code) || !readable(token) {
        return Err(Problem::unauthenticated("bad-code", "this is neither a code nor a token"));
    }
    if token.is_empty() {
        let body = SignInCode { code: code.to_owned(), name: Some(name), session: true };
        return Ok(api.call::<SignIn>(&Nothing {}, &Nothing {}, &body, Also::default()).await?.value);
    }
    let also = Also { token: Some(token), ..Also::default() };
    Ok(api.call::<StartSession>(&Nothing {}, &Nothing {}, &NewSession { name }, also).await?.value)
}

/// `Firefox on Linux`: enough to know one's own sessions apart.
fn browser(headers: &HeaderMap) -> String {
    let agent = headers.get(USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let first =
        |words: &[(&'static str, &'static str)]| words.iter().find(|(mark, _)| agent.contains(mark)).map(|(_, w)| *w);
    let program = first(&[
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ]);
    let system = first(&[
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("Linux", "Linux"),
    ]);
    format!("{} on {}", program.unwrap_or("a browser"), system.unwrap_or("some machine"))
}

async fn leave(filled: Filled<Empty>) -> Outcome {
    let Filled { visit, key, .. } = filled;
    let path = TokenPath { token: visit.me.token.token };
    let also = Also { key: Some(&key), ..Also::default() };
    visit.api.call::<RevokeToken>(&path, &Nothing {}, &Nothing {}, also).await?;
    let mut response = Done::to("/sign-in", "").see(visit.headers());
    if let Some(gone) = Cookie::Session.set(visit.headers(), None, 0) {
        response.headers_mut().append(SET_COOKIE, gone);
    }
    Ok(response)
}

/// A form without fields of its own.
#[derive(Deserialize)]
struct Empty {}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(agent: &str, expect: &str) {
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, agent.parse().unwrap());
        assert_eq!(browser(&headers), expect);
    }

    #[test]
    fn sessions_are_named_by_their_browser() {
        check("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux");
        check(
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 Chrome/140.0 Safari/537.36",
            "Chrome on macOS",
        );
        check("curl/8", "a browser on some machine");
    }
}
