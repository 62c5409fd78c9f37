//! Visitors who ask a service again and again and note every answer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base::{Problem, Result};

use crate::client::Client;

/// Between two requests of one visitor.
const PAUSE: Duration = Duration::from_millis(10);

/// What all visitors have seen.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// How often each body came with a good status.
    pub bodies: BTreeMap<String, u64>,
    /// The requests (`/?n=17`) that were answered well.
    pub answered: Vec<String>,
    /// What went wrong, each time.
    pub failures: Vec<String>,
}

impl Seen {
    /// Not one request failed, and there were some.
    pub fn all_well(&self) -> Result<()> {
        if self.failures.is_empty() && !self.answered.is_empty() {
            return Ok(());
        }
        let some: Vec<_> = self.failures.iter().take(3).collect();
        let found = format!(
            "{} of {} requests failed: {some:?}",
            self.failures.len(),
            self.answered.len() + self.failures.len()
        );
        Err(Problem::internal("visitors-unhappy", found))
    }

    /// Whether an answer had this text.
    pub fn saw(&self, text: &str) -> bool {
        self.bodies.keys().any(|body| body.contains(text))
    }
}

/// Visitors of one host; they leave when this is dropped.
pub struct Visitors {
    seen: Arc<Mutex<Seen>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    stop: Arc<std::sync::atomic::AtomicBool>,
}

impl Visitors {
    /// So many visitors begin to ask.
    pub fn begin(client: &Client, host: &str, count: usize) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let visit = |visitor| {
            tokio::spawn(visit(client.clone(), host.to_owned(), visitor, Arc::clone(&seen), Arc::clone(&stop)))
        };
        let tasks = (0..count).map(visit).collect();
        Self { seen, tasks, stop }
    }

    /// What they have seen so far.
    pub fn seen(&self) -> Seen {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// They finish their last request and leave.
    pub async fn leave(mut self) -> Seen {
        self.stop.store(true, std::sync::atomic::Ordering::Relaxed);
        for task in self.tasks.drain(..) {
            let _ = task.await;
        }
        self.seen()
    }
}

impl Drop for Visitors {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

async fn visit(
    client: Client,
    host: String,
    visitor: usize,
    seen: Arc<Mutex<Seen>>,
    stop: Arc<std::sync::atomic::AtomicBool>,
) {
    for n in 0_u64.. {
        if stop.load(std::sync::atomic::Ordering::Relaxed) {
            return;
        }
        let path = format!("/?n={visitor}-{n}");
        let outcome = client.ask(&host, &path).await;
        {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            match outcome {
                Ok(answer) if answer.status < 400 => {
                    *seen.bodies.entry(answer.body).or_default() += 1;
                    seen.answered.push(path);
                }
                Ok(answer) => seen.failures.push(format!("{path}: {} {}", answer.status, answer.body)),
                Err(problem) => seen.failures.push(format!("{path}: {problem}")),
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}
