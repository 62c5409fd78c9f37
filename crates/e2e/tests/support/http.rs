//! The API as any client sees it.
#![allow(dead_code, reason = "each test target uses its part")]

use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

use crate::support::{Installation, Up};

/// A client of one installation with one credential.
#[derive(Clone)]
pub struct Api {
    pub url: String,
    pub token: Option<String>,
    client: Client,
}

/// An answer, read whole.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Reply {
    pub async fn of(response: Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        Self { status, headers, text: response.text().await.unwrap_or_default() }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// The code of a problem; empty for everything else.
    pub fn code(&self) -> String {
        if !self.header("content-type").starts_with("application/problem+json") {
            return String::new();
        }
        self.json().get("code").and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    #[track_caller]
    pub fn ok(self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text);
        self.json()
    }
}

impl Api {
    pub fn anonymous(up: &Up) -> Self {
        let client = Client::builder().no_proxy().timeout(Duration::from_secs(40)).build().expect("a client");
        Self { url: up.url.clone(), token: None, client }
    }

    /// The same without a credential.
    pub fn without(&self) -> Self {
        Self { token: None, ..self.clone() }
    }

    pub fn with(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// The same credential at another address.
    pub fn at(&self, up: &Up) -> Self {
        Self { url: up.url.clone(), ..self.clone() }
    }

    /// Signs in with a one-time code.
    pub async fn sign_in(&self, code: &str) -> Self {
        let said = self.send(Method::POST, "/v1/sign-in", Some(json!({ "code": code }))).await.ok();
        self.with(said["secret"].as_str().expect("a token"))
    }

    /// Lets the command line act as the same person, where that is the admin.
    pub async fn sign_in_cli(&self, place: &Installation) {
        let link = self.send(Method::POST, "/v1/people/admin/sign-in", None).await.ok();
        place.orlop(["login", &self.url, "--code", link["code"].as_str().expect("a code")]).ok();
    }

    /// The admin that `orlop up` lets in.
    pub async fn admin(up: &Up) -> Self {
        Self::anonymous(up).sign_in(&up.code).await
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.url));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Reply {
        let request = self.request(method, path);
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        Reply::of(request.send().await.expect("the server answers")).await
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Reply {
        self.send(Method::POST, path, Some(body)).await
    }

    /// Events of a stream: id and data; ends with the stream, or when there are as many as wanted.
    pub async fn events(&self, path: &str, after: Option<&str>, wanted: usize) -> Vec<(String, Value)> {
        let request = self.request(Method::GET, path);
        let request = match after {
            Some(id) => request.header("last-event-id", id),
            None => request,
        };
        let mut response = request.send().await.expect("the server answers");
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let (mut text, mut all) = (String::new(), Vec::new());
        while all.len() < wanted {
            let Ok(Some(chunk)) = response.chunk().await else { break };
            text.push_str(&String::from_utf8_lossy(&chunk));
            while let Some(end) = text.find("\n\n") {
                let event: String = text.drain(..end + 2).collect();
                let field = |name: &str| event.lines().find_map(|l| l.strip_prefix(name)).map(str::trim);
                if let Some(data) = field("data:") {
                    let id = field("id:").unwrap_or_default().to_owned();
                    all.push((id, serde_json::from_str(data).expect("events are JSON")));
                }
            }
        }
        all.truncate(wanted);
        all
    }

    /// The text of a stream as far as it comes within a span: for streams that have no end.
    pub async fn events_for(&self, path: &str, span: Duration) -> String {
        let mut response = self.request(Method::GET, path).send().await.expect("the server answers");
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let mut text = String::new();
        let end = tokio::time::Instant::now() + span;
        while let Ok(Ok(Some(chunk))) = tokio::time::timeout_at(end, response.chunk()).await {
            text.push_str(&String::from_utf8_lossy(&chunk));
        }
        text
    }
}
