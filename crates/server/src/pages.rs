//! The documents about the API itself.

use axum::response::{IntoResponse, Response};
use base::Problem;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

use crate::reply;

pub(crate) async fn openapi() -> Response {
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "max-age=60")], api::document_json()).into_response()
}

pub(crate) async fn manifest_schema() -> Response {
    let schema = api::manifest::schema().to_string();
    ([(CONTENT_TYPE, "application/schema+json")], schema).into_response()
}

/// The fallback for everything that is no endpoint.
pub(crate) fn nothing_here() -> Response {
    let problem = Problem::not_found("no-such-endpoint", "there is no such endpoint");
    reply::problem(&problem.hint("GET /openapi.json lists all of them"), None)
}
