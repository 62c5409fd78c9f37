//! One page for everything that goes wrong.

use askama::Template;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base::{Kind, Problem};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, StatusCode, Uri};

use crate::shell::{Section, Shell, html};
use crate::site::Site;
use crate::visit::Visit;

/// Why there is no page. Handlers return it with `?`; [`show`] makes the page of it.
#[derive(Debug, Clone)]
pub(crate) struct Fault(pub Problem);

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.0.to_string()));
        *response.status_mut() =
            StatusCode::from_u16(self.0.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response.extensions_mut().insert(self);
        response
    }
}

/// What of a request decides how its failure is shown.
pub(crate) struct Head {
    uri: Uri,
    headers: HeaderMap,
}

impl Head {
    pub(crate) fn of(request: &Request) -> Self {
        Self { uri: request.uri().clone(), headers: request.headers().clone() }
    }
}

/// Turns failures into the page that shows them.
pub(crate) async fn show(State(site): State<Site>, request: Request, next: Next) -> Response {
    let head = Head::of(&request);
    let is_read = request.method().is_safe();
    let response = next.run(request).await;
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let problem = match response.extensions().get::<Fault>() {
        Some(fault) => fault.0.clone(),
        None if is_page(&response) => return response,
        // Of the framework: an address that is none of ours, or a form that cannot be read.
        None if is_read && status == StatusCode::BAD_REQUEST => {
            Problem::not_found("no-such-page", "there is no such page")
                .hint("look whether the address was cut off or mistyped")
        }
        None => Problem::new(Kind::from_status(status.as_u16()), "bad-address", "this address cannot be read")
            .hint("look whether it was cut off or mistyped"),
    };
    page(&site, head, &problem).await
}

fn is_page(response: &Response) -> bool {
    response.headers().get(CONTENT_TYPE).is_some_and(|v| v.as_bytes().starts_with(b"text/html"))
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    shell: Shell,
    problem: &'a Problem,
    status: u16,
    sign_in: bool,
}

/// The page of a problem, in the surroundings of whoever asked.
pub(crate) async fn page(site: &Site, head: Head, problem: &Problem) -> Response {
    let shown = match problem.kind {
        Kind::Internal => Problem::new(problem.kind, problem.code.clone(), "the platform failed at this")
            .hint("its log has the reason; ask whoever runs the platform"),
        _ => problem.clone(),
    };
    let accepts = head.headers.get(ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let status = StatusCode::from_u16(shown.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if accepts.contains("text/event-stream") {
        return (status, shown.to_string()).into_response();
    }
    let shell = match Visit::of(site, &head.headers, &head.uri).await {
        Ok(visit) => visit.shell(Section::None, title(shown.kind)),
        Err(_) => Shell::bare(site, &head.headers, title(shown.kind)),
    };
    let page = ErrorPage { sign_in: shell.me.is_none(), shell, problem: &shown, status: status.as_u16() };
    match html(&page) {
        Ok(mut response) => {
            *response.status_mut() = status;
            response
        }
        Err(fault) => fault.into_response(),
    }
}

const fn title(kind: Kind) -> &'static str {
    match kind {
        Kind::Unauthenticated => "Sign in first",
        Kind::Forbidden => "Not allowed",
        Kind::NotFound => "Not found",
        Kind::Conflict | Kind::Stale => "Not as it was",
        Kind::Invalid | Kind::Unprocessable | Kind::TooLarge => "Not accepted",
        Kind::TooMany | Kind::Unavailable | Kind::Timeout => "Not at the moment",
        Kind::Internal => "A fault of the platform",
    }
}
