//! Asks the API in its own types, and services through the gateway.

use std::time::Duration;

use api::{Endpoint, Nothing, ProblemBody, path_of};
use base::{Problem, Result};

/// An answer of a service.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The release that answered; empty where none did.
    pub release: String,
    /// The body as text.
    pub body: String,
}

/// A caller of one installation.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    url: String,
    token: String,
    gateway: String,
}

impl Client {
    /// A caller without a credential.
    pub(crate) fn new(url: &str, gateway: &str) -> Result<Self> {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build();
        let http = http.map_err(|e| Problem::internal("no-client", e))?;
        Ok(Self { http, url: url.to_owned(), token: String::new(), gateway: gateway.to_owned() })
    }

    pub(crate) fn with_token(mut self, token: String) -> Self {
        self.token = token;
        self
    }

    /// The credential.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The address of the API.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The address of the gateway.
    pub fn gateway(&self) -> &str {
        &self.gateway
    }

    /// Calls an endpoint that takes a path only.
    pub async fn get<E: Endpoint<Query = Nothing, Body = Nothing>>(&self, path: &E::Path) -> Result<E::Reply> {
        self.call::<E>(path, &Nothing {}, None).await
    }

    /// Calls an endpoint that takes a path and a query.
    pub async fn list<E: Endpoint<Body = Nothing>>(&self, path: &E::Path, query: &E::Query) -> Result<E::Reply> {
        self.call::<E>(path, query, None).await
    }

    /// Calls an endpoint that takes a body.
    pub async fn send<E: Endpoint<Query = Nothing>>(&self, path: &E::Path, body: &E::Body) -> Result<E::Reply> {
        self.call::<E>(path, &Nothing {}, Some(body)).await
    }

    /// Calls an endpoint.
    pub async fn call<E: Endpoint>(
        &self,
        path: &E::Path,
        query: &E::Query,
        body: Option<&E::Body>,
    ) -> Result<E::Reply> {
        let failed = |e: reqwest::Error| Problem::unavailable("no-answer", format!("{}: {e:?}", E::ID));
        let method =
            reqwest::Method::from_bytes(E::METHOD.word().as_bytes()).map_err(|e| Problem::internal("method", e))?;
        let mut request = self.http.request(method, format!("{}{}", self.url, path_of::<E>(path))).query(query);
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(failed)?;
        let ok = response.status().is_success();
        let text = response.text().await.map_err(failed)?;
        if !ok {
            let body: ProblemBody = parse(&text)?;
            return Err(body.into_problem());
        }
        parse(if text.is_empty() { "{}" } else { &text })
    }

    /// Asks a service through the gateway, as a visitor of its host name would.
    pub async fn ask(&self, host: &str, path: &str) -> Result<Answer> {
        let failed = |e: reqwest::Error| Problem::unavailable("no-answer", format!("{host}{path}: {e:?}"));
        let request = self.http.get(format!("{}{path}", self.gateway)).header("host", host);
        let answer = request.send().await.map_err(failed)?;
        let status = answer.status().as_u16();
        let header = answer.headers().get("orlop-release").and_then(|v| v.to_str().ok());
        let release = header.unwrap_or_default().to_owned();
        Ok(Answer { status, release, body: answer.text().await.map_err(failed)? })
    }
}

fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|e| Problem::internal("foreign-answer", format!("{e}: {text}")))
}
