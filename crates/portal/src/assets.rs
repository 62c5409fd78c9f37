//! The style sheet and the script: one file each, under addresses that change with their content.

use std::sync::LazyLock;

use axum::Router;
use axum::extract::Path;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use base::Digest;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};

use crate::site::Site;

const CSS: &str = concat!(include_str!("../assets/portal.css"), include_str!("../assets/pages.css"));
const JS: &str = concat!(include_str!("../assets/portal.js"), include_str!("../assets/palette.js"));
const ICON: &str = include_str!("../assets/icon.svg");

static CSS_PATH: LazyLock<String> = LazyLock::new(|| path("portal", "css", CSS));
static JS_PATH: LazyLock<String> = LazyLock::new(|| path("portal", "js", JS));

pub(crate) fn css() -> &'static str {
    &CSS_PATH
}

pub(crate) fn js() -> &'static str {
    &JS_PATH
}

fn path(name: &str, kind: &str, text: &str) -> String {
    let hash: String = Digest::of(text.as_bytes()).to_string().chars().rev().take(16).collect();
    format!("/assets/{name}-{hash}.{kind}")
}

pub(crate) fn routes() -> Router<Site> {
    // Browsers ask for it on their own where what they show is no page of ours.
    Router::new()
        .route("/favicon.ico", get(async || one(Path("icon.svg".to_owned())).await))
        .route("/assets/{name}", get(one))
        .layer(tower_http::compression::CompressionLayer::new())
}

/// An old address is answered with what there is now, and not kept: a page from before an upgrade still works.
async fn one(Path(name): Path<String>) -> Response {
    let (text, media, current) = match name.rsplit_once('.') {
        Some((_, "css")) => (CSS, "text/css; charset=utf-8", css()),
        Some((_, "js")) => (JS, "text/javascript; charset=utf-8", js()),
        Some(("icon", "svg")) => (ICON, "image/svg+xml", "/assets/icon.svg"),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    let is_current = current.strip_prefix("/assets/") == Some(name.as_str());
    let cache = match (is_current, media) {
        (true, "image/svg+xml") => "public, max-age=86400",
        (true, _) => "public, max-age=31536000, immutable",
        (false, _) => "no-store",
    };
    ([(CONTENT_TYPE, media), (CACHE_CONTROL, cache), (X_CONTENT_TYPE_OPTIONS, "nosniff")], text).into_response()
}
