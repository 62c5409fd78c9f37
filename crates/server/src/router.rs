use std::sync::Arc;

use api::Method;
use axum::Router;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter, get, on};
use base::Problem;
use kernel::{Mounted, Platform};

use crate::{call, pages, reply};

/// The routes of all endpoints, and the documents that belong to no capability.
pub fn router(platform: &Platform, mounted: Vec<Mounted>) -> Router {
    let mut router = Router::new()
        .route("/openapi.json", get(pages::openapi))
        .route("/v1/manifest/schema", get(pages::manifest_schema));
    for one in mounted {
        router = router.route(one.row.path, route(platform.clone(), one));
    }
    router
        .fallback(async || pages::nothing_here())
        .method_not_allowed_fallback(async || reply::problem(&method_not_allowed(), None))
        .layer(axum::middleware::from_fn(reply::harden))
}

fn route(platform: Platform, one: Mounted) -> MethodRouter {
    let one = Arc::new(one);
    let filter = match one.row.method {
        Method::Get => MethodFilter::GET,
        Method::Post => MethodFilter::POST,
        Method::Put => MethodFilter::PUT,
        Method::Patch => MethodFilter::PATCH,
        Method::Delete => MethodFilter::DELETE,
    };
    on(filter, move |params: Result<RawPathParams, RawPathParamsRejection>, request: Request| {
        let (platform, one) = (platform.clone(), Arc::clone(&one));
        async move {
            match params {
                Ok(params) => answer(platform, one, &params, request).await,
                Err(_) => reply::problem(&path_unreadable(), None),
            }
        }
    })
}

async fn answer(platform: Platform, one: Arc<Mounted>, params: &RawPathParams, request: Request) -> Response {
    let params = params.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    call::answer(&platform, &one, params, request).await
}

fn method_not_allowed() -> Problem {
    Problem::new(base::Kind::NotFound, "method-not-allowed", "this path does not take this method")
        .hint("GET /openapi.json lists the methods of every path")
}

fn path_unreadable() -> Problem {
    Problem::invalid("bad-path", "the path is not UTF-8 once it is percent-decoded")
        .at("path")
        .hint("GET /openapi.json lists all paths and what their parameters are")
}

/// The status of a problem, where it is not the one of its kind (RFC 9110 §15.5.6, §15.5.16).
pub(crate) fn status_of(problem: &Problem) -> StatusCode {
    match &*problem.code {
        "method-not-allowed" => return StatusCode::METHOD_NOT_ALLOWED,
        "not-json" => return StatusCode::UNSUPPORTED_MEDIA_TYPE,
        _ => {}
    }
    StatusCode::from_u16(problem.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
