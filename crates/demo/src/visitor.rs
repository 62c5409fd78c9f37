//! A visitor of the service, who never stops asking and notes every answer.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base::{Problem, Result};

/// Between two requests.
const PAUSE: Duration = Duration::from_millis(10);
/// A request may take this long.
const DEADLINE: Duration = Duration::from_secs(5);

/// One answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub status: u16,
    pub release: String,
    pub body: String,
}

/// What a visitor has seen so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notes {
    pub answered: u64,
    pub failed: u64,
    /// The first failure.
    pub failure: String,
}

/// Asks a service again and again until dropped.
pub(crate) struct Visitor {
    notes: Arc<Mutex<Notes>>,
    task: tokio::task::JoinHandle<()>,
}

impl Visitor {
    /// Begins to visit.
    pub(crate) fn begin(gateway: SocketAddr, host: String) -> Result<Self> {
        let http = client()?;
        let notes = Arc::new(Mutex::new(Notes::default()));
        let task = tokio::spawn(visit(http, gateway, host, Arc::clone(&notes)));
        Ok(Self { notes, task })
    }

    /// What was seen.
    pub(crate) fn notes(&self) -> Notes {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn visit(http: reqwest::Client, gateway: SocketAddr, host: String, notes: Arc<Mutex<Notes>>) {
    loop {
        let outcome = ask_with(&http, gateway, &host).await;
        {
            let mut notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
            match outcome {
                Ok(answer) if answer.status < 500 => notes.answered += 1,
                Ok(answer) => note_failure(&mut notes, format!("status {}", answer.status)),
                Err(problem) => note_failure(&mut notes, problem.message),
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn note_failure(notes: &mut Notes, what: String) {
    if notes.failed == 0 {
        notes.failure = what;
    }
    notes.failed += 1;
}

fn client() -> Result<reqwest::Client> {
    let client = reqwest::Client::builder().no_proxy().timeout(DEADLINE).build();
    client.map_err(|e| Problem::internal("no-client", e))
}

/// Asks once: through the gateway's address, for the service's host name.
pub(crate) async fn ask(gateway: SocketAddr, host: &str) -> Result<Answer> {
    ask_with(&client()?, gateway, host).await
}

async fn ask_with(http: &reqwest::Client, gateway: SocketAddr, host: &str) -> Result<Answer> {
    let failed = |e: reqwest::Error| Problem::unavailable("no-answer", e);
    let answer = http.get(format!("http://{gateway}/")).header("host", host).send().await.map_err(failed)?;
    let status = answer.status().as_u16();
    let release = answer.headers().get("orlop-release").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let body = answer.text().await.map_err(failed)?;
    Ok(Answer { status, release, body })
}
