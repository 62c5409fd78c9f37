//! Light or dark: kept in a cookie of the reader's browser.

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::post;
use http::header::SET_COOKIE;
use serde::Deserialize;

use super::Outcome;
use crate::cookie::Cookie;
use crate::form::{self, Done};
use crate::site::Site;

/// A year, seconds.
const KEPT_S: u64 = 365 * 24 * 3600;

pub(crate) fn routes() -> Router<Site> {
    Router::new().route("/theme", post(choose))
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    theme: String,
    #[serde(default)]
    to: String,
}

/// It changes nothing but the look, so that nobody has to be signed in.
async fn choose(request: Request) -> Outcome {
    let (head, body) = request.into_parts();
    let choice: Choice = form::decode(&form::read(body).await?)?;
    let theme = ["dark", "light"].into_iter().find(|known| *known == choice.theme);
    let mut response: Response = Done::to(choice.to, "").see(&head.headers);
    if let Some(set) = Cookie::Theme.set(&head.headers, theme, KEPT_S) {
        response.headers_mut().append(SET_COOKIE, set);
    }
    Ok(response)
}
