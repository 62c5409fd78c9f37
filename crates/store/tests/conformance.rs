//! One suite, two databases: whatever a capability may rely on holds on both.

mod suite;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use store::testing::Cluster;
use suite::{CASES, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sqlite() {
    run("sqlite", None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn postgres() {
    if let Some(cluster) = Cluster::shared().await {
        run("postgres", Some(cluster)).await;
    }
}

/// Runs every case in a database of its own, a few at once, and names those that fail.
async fn run(backend: &str, cluster: Option<Arc<Cluster>>) {
    let only = std::env::var("ORLOP_TEST_CASE").unwrap_or_default();
    let slots = Arc::new(tokio::sync::Semaphore::new(6));
    let mut running = Vec::new();
    for (name, case) in CASES.iter().filter(|(name, _)| name.contains(&only)) {
        let (cluster, slots) = (cluster.clone(), Arc::clone(&slots));
        let task = tokio::spawn(async move {
            let _slot = slots.acquire_owned().await;
            AssertUnwindSafe(case(World::new(cluster).await)).catch_unwind().await.is_ok()
        });
        running.push((name, task));
    }
    let (mut failed, count) = (Vec::new(), running.len());
    for (name, task) in running {
        if !task.await.unwrap_or(false) {
            failed.push(*name);
        }
    }
    assert!(count > 0 && failed.is_empty(), "{backend}: {} of {count} cases failed: {failed:?}", failed.len());
}
