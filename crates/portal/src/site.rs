use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::Response;
use base::{Problem, Time};
use http::Method;
use http::header::ACCEPT;
use tower_http::compression::CompressionLayer;

use crate::client::Transport;
use crate::{assets, fault, form, guard, live, pages};

/// What the portal is given.
#[derive(Clone)]
pub struct Options {
    /// The way to the API.
    pub transport: Arc<dyn Transport>,
    /// The platform's clock.
    pub now: fn_of::Now,
    /// The platform's chance.
    pub random: fn_of::Fill,
    /// Names, besides `localhost` and addresses, under which the portal may be asked for.
    pub hosts: Vec<String>,
}

/// Clock and chance as functions: the portal may not know their ports.
pub mod fn_of {
    use std::sync::Arc;

    /// Tells the time.
    pub type Now = Arc<dyn Fn() -> base::Time + Send + Sync>;
    /// Fills with random bytes.
    pub type Fill = Arc<dyn Fn(&mut [u8]) + Send + Sync>;
}

/// What every page can reach. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Site {
    options: Arc<Options>,
}

impl Site {
    pub(crate) fn transport(&self) -> Arc<dyn Transport> {
        Arc::clone(&self.options.transport)
    }

    pub(crate) fn now(&self) -> Time {
        (self.options.now)()
    }

    /// A text that nobody can guess: the key under which a form is carried out once.
    pub(crate) fn key(&self) -> String {
        use base64::Engine as _;
        let mut bytes = [0u8; 18];
        (self.options.random)(&mut bytes);
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
    }

    pub(crate) fn hosts(&self) -> &[String] {
        &self.options.hosts
    }
}

/// The whole address of the platform: the portal's pages, and behind them whatever the API answers.
pub fn router(options: Options) -> Router {
    let site = Site { options: Arc::new(options) };
    Router::new()
        .merge(pages::routes())
        .merge(live::routes())
        .layer(from_fn(guard::same_origin))
        .layer(from_fn_with_state(site.clone(), guard::known_host))
        .layer(from_fn_with_state(site.clone(), fault::show))
        .layer(from_fn(form::say_once))
        .layer(CompressionLayer::new())
        .layer(from_fn(guard::harden))
        .merge(assets::routes())
        .fallback(elsewhere)
        .with_state(site)
}

/// What is no page goes to the API. Only people who follow a link into nowhere get a page for that.
async fn elsewhere(State(site): State<Site>, request: Request) -> Response {
    let path = request.uri().path();
    let api = ["/v1/", "/git/"].iter().any(|prefix| path.starts_with(prefix));
    let accept = request.headers().get(ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let person = !api && request.method() == Method::GET && accept.contains("text/html");
    let head = person.then(|| fault::Head::of(&request));
    let response = site.transport().send(None, request).await;
    match head {
        Some(head) if response.status() == http::StatusCode::NOT_FOUND => {
            let problem = Problem::not_found("no-such-page", "there is no such page")
                .hint("the menu leads to everything there is, and Ctrl-K finds it by name");
            guard::hardened(fault::page(&site, head, &problem).await)
        }
        _ => response,
    }
}
