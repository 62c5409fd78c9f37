//! A typed client of the API: an endpoint in, its reply or a [`Problem`] out.

mod events;
mod fault;
mod retry;
#[cfg(feature = "fuzzing")]
pub mod sse;
#[cfg(not(feature = "fuzzing"))]
mod sse;
mod upload;

use std::any::TypeId;
use std::time::Duration;

use api::{Endpoint, Nothing, path_of};
use base::{Problem, Result, Secret, limits};
use reqwest::{Method, RequestBuilder, Response, Url, redirect};
use serde::de::DeserializeOwned;

pub use self::events::{Ending, Events};
use self::fault::{not_answered, not_understood, problem_of};
use self::retry::Patience;
pub use self::upload::{BodyMaker, Chunks};
use crate::Host;

/// Longest time until a connection stands.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// Largest reply that is read, bytes.
const REPLY_BYTES_MAX: usize = 64 << 20;

/// A client of one server.
pub struct Client {
    http: reqwest::Client,
    url: Url,
    token: Option<Secret<String>>,
    patience: Patience,
    random: [u8; 16],
    calls: std::sync::atomic::AtomicU64,
}

impl Client {
    /// A client of the server at `url` that shows `token`.
    pub fn new(url: &Url, token: Option<Secret<String>>, host: &dyn Host) -> Result<Self> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("orlop/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_DEADLINE)
            // A redirect would carry the credential to where nobody meant it to go.
            .redirect(redirect::Policy::none());
        if is_local(url) {
            builder = builder.no_proxy();
        }
        let http = builder
            .build()
            .map_err(|e| Problem::internal("no-client", format!("the HTTP client cannot be made: {e}")))?;
        let patience = Patience::new(Duration::from_millis(host.pause_ms()));
        let calls = std::sync::atomic::AtomicU64::new(0);
        Ok(Self { http, url: url.clone(), token, patience, random: host.random(), calls })
    }

    /// The server.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Reads from an endpoint that takes only a path.
    pub async fn get<E: Endpoint<Query = Nothing, Body = Nothing>>(&self, path: &E::Path) -> Result<E::Reply> {
        self.call::<E>(path, &Nothing {}, &Nothing {}).await
    }

    /// Reads from an endpoint that takes a path and a query.
    pub async fn list<E: Endpoint<Body = Nothing>>(&self, path: &E::Path, query: &E::Query) -> Result<E::Reply> {
        self.call::<E>(path, query, &Nothing {}).await
    }

    /// Sends a body to an endpoint that takes no query.
    pub async fn send<E: Endpoint<Query = Nothing>>(&self, path: &E::Path, body: &E::Body) -> Result<E::Reply> {
        self.call::<E>(path, &Nothing {}, body).await
    }

    /// Calls an endpoint. A call that did not reach the server, or that the server asks to repeat,
    /// is repeated a few times with the same idempotency key.
    pub async fn call<E: Endpoint>(&self, path: &E::Path, query: &E::Query, body: &E::Body) -> Result<E::Reply> {
        let key = self.key();
        let has_body = TypeId::of::<E::Body>() != TypeId::of::<Nothing>();
        let response = self
            .patiently(|| {
                let request = self.request::<E>(path, query, &key)?.timeout(limits::API_DEADLINE * 2);
                Ok(if has_body { request.json(body) } else { request })
            })
            .await?;
        reply(response).await
    }

    /// Sends what `make` makes until there is an answer that is not a request to come back later.
    async fn patiently(&self, make: impl Fn() -> Result<RequestBuilder>) -> Result<Response> {
        let mut tried = 0;
        loop {
            tried += 1;
            let sent = make()?.send().await;
            match self.patience.after(&sent, tried) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return self.settle(sent).await,
            }
        }
    }

    async fn settle(&self, sent: reqwest::Result<Response>) -> Result<Response> {
        let response = sent.map_err(|e| not_answered(&e, &self.url))?;
        if response.status().is_success() { Ok(response) } else { Err(problem_of(response, &self.url).await) }
    }

    /// A request with everything but its body.
    fn request<E: Endpoint>(&self, path: &E::Path, query: &E::Query, key: &str) -> Result<RequestBuilder> {
        let url = self
            .url
            .join(&path_of::<E>(path))
            .map_err(|e| Problem::invalid("bad-url", format!("the address of {} cannot be formed: {e}", E::ID)))?;
        let method = Method::from_bytes(E::METHOD.word().as_bytes())
            .map_err(|e| Problem::internal("bad-method", format!("{} has no method: {e}", E::ID)))?;
        let mut request = self.http.request(method, url).query(query);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose());
        }
        if E::METHOD.is_mutating() {
            request = request.header("idempotency-key", key);
        }
        Ok(request)
    }

    /// A key that no other call has: random bytes of this process and a counter.
    fn key(&self) -> String {
        let n = self.calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        format!("{:032x}-{n}", u128::from_be_bytes(self.random))
    }
}

/// Whether the server is on this machine.
pub fn is_local(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Reads a reply within its bound. An empty one is an empty object.
async fn reply<T: DeserializeOwned>(mut response: Response) -> Result<T> {
    let url = response.url().clone();
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| not_answered(&e, &url))? {
        if bytes.len() + chunk.len() > REPLY_BYTES_MAX {
            return Err(Problem::internal("reply-too-large", format!("the reply of {url} is larger than 64 MiB")));
        }
        bytes.extend_from_slice(&chunk);
    }
    let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
    serde_json::from_slice(text).map_err(|e| not_understood(&url, &e))
}
