//! A client that never gives up: it repeats a call under the same idempotency key until it has an answer.

use std::io::Write as _;
use std::time::Duration;

use base::{Problem, Result};
use reqwest::Method;
use serde_json::Value;

use crate::client::Client;

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(50);
/// After so long without an answer something is broken.
const PATIENCE: Duration = Duration::from_secs(90);

/// A client whose calls survive the end of the server.
#[derive(Clone)]
pub struct Steady {
    http: reqwest::Client,
    url: String,
    token: String,
}

/// What came of a call in the end.
#[derive(Debug, Clone)]
pub struct Answered {
    /// HTTP status.
    pub status: u16,
    /// The body.
    pub body: Value,
    /// How often it was sent.
    pub attempts: u32,
    /// Whether the answer was one that had been given before.
    pub replayed: bool,
}

impl Steady {
    /// A client with the credential of another one.
    pub fn of(client: &Client) -> Result<Self> {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build();
        let http = http.map_err(|e| Problem::internal("no-client", e))?;
        Ok(Self { http, url: client.url().to_owned(), token: client.token().to_owned() })
    }

    /// Calls until there is an answer that is no fault of the server's. A call of one key that is
    /// carried out elsewhere at this moment (409 `idempotency-in-flight`) is asked for again.
    pub async fn call(&self, method: Method, path: &str, key: Option<&str>, body: Body<'_>) -> Result<Answered> {
        let begun = tokio::time::Instant::now();
        let mut last = String::new();
        for attempts in 1.. {
            match self.once(method.clone(), path, key, body).await {
                Ok(mut answered) if answered.is_final() => {
                    answered.attempts = attempts;
                    return Ok(answered);
                }
                Ok(answered) => last = format!("{} {}", answered.status, answered.body),
                Err(error) => last = format!("{error:?}"),
            }
            if begun.elapsed() > PATIENCE {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(Problem::timeout("no-answer", format!("{method} {path}: no answer within {PATIENCE:?}; last: {last}")))
    }

    /// Calls once, whatever the answer is.
    pub async fn attempt(&self, method: Method, path: &str, body: Body<'_>) -> Result<Answered> {
        let answered = self.once(method.clone(), path, None, body).await;
        answered.map_err(|e| Problem::unavailable("no-answer", format!("{method} {path}: {e:?}")))
    }

    /// Reads until there is an answer.
    pub async fn get(&self, path: &str) -> Result<Value> {
        let answered = self.call(Method::GET, path, None, Body::None).await?;
        match answered.status {
            200 => Ok(answered.body),
            status => Err(Problem::internal("refused", format!("GET {path}: {status} {}", answered.body))),
        }
    }

    async fn once(
        &self,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: Body<'_>,
    ) -> std::result::Result<Answered, reqwest::Error> {
        let mut request = self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        request = match body {
            Body::None => request,
            Body::Json(value) => request.json(value),
            Body::Bytes(bytes) => request.body(bytes.to_vec()),
        };
        let answer = request.send().await?;
        let (status, replayed) = (answer.status().as_u16(), answer.headers().contains_key("idempotency-replayed"));
        let text = answer.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok(Answered { status, body, attempts: 0, replayed })
    }
}

/// What a call carries.
#[derive(Debug, Clone, Copy)]
pub enum Body<'a> {
    /// Nothing.
    None,
    /// JSON.
    Json(&'a Value),
    /// An upload.
    Bytes(&'a [u8]),
}

impl Answered {
    fn is_final(&self) -> bool {
        self.status < 500 && self.status != 429 && self.code() != "idempotency-in-flight"
    }

    /// The code of a problem.
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }
}

/// A working tree as it is uploaded: a gzip-compressed tar of these files.
pub fn upload(files: &[(&str, &str)]) -> Result<Vec<u8>> {
    let failed = |e: std::io::Error| Problem::internal("archive", e);
    let mut archive = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for (path, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, path, text.as_bytes()).map_err(failed)?;
    }
    let mut packed = archive.into_inner().map_err(failed)?;
    packed.flush().map_err(failed)?;
    packed.finish().map_err(failed)
}
