//! Visitors who never stop asking, and tell what went wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;

/// Visitors at once.
const VISITORS: usize = 4;

pub struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    visitors: Vec<JoinHandle<Vec<String>>>,
}

impl Load {
    pub fn begin(gateway: &str, host: &'static str) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().unwrap();
        let url = format!("{gateway}/");
        let visitors = (0..VISITORS)
            .map(|_| {
                let (stop, answered, client, url) = (stop.clone(), answered.clone(), client.clone(), url.clone());
                tokio::spawn(async move {
                    let mut failed = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        match client.get(&url).header("host", host).send().await {
                            Ok(answer) if answer.status() == 200 => {
                                answered.fetch_add(1, Ordering::Relaxed);
                            }
                            Ok(answer) => failed.push(format!("{}", answer.status())),
                            Err(e) => failed.push(format!("{e:?}")),
                        }
                        tokio::time::sleep(Duration::from_millis(2)).await;
                    }
                    failed
                })
            })
            .collect();
        Self { stop, answered, visitors }
    }

    /// Waits until a good many more requests were answered.
    pub async fn more(&self) {
        let goal = self.answered.load(Ordering::Relaxed) + 100;
        for _ in 0..6000 {
            if self.answered.load(Ordering::Relaxed) >= goal || self.visitors.iter().all(JoinHandle::is_finished) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("nobody answers any more");
    }

    /// What failed.
    pub async fn end(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        let mut failed = Vec::new();
        for visitor in self.visitors {
            failed.extend(visitor.await.unwrap());
        }
        assert!(self.answered.load(Ordering::Relaxed) > 0, "not one request was answered");
        failed
    }
}
