use std::time::Duration;

use base::FactSeq;
use serde_json::json;
use store::{ANYTHING, JOB_WAKE, NewJob, Wake};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;

use super::{World, fact, say};

/// The next wake-up that is about something.
async fn next(wakes: &mut Receiver<Wake>) -> (String, String, i64) {
    loop {
        let wake = tokio::time::timeout(Duration::from_secs(20), wakes.recv()).await.expect("a wake-up").unwrap();
        if &*wake.kind != ANYTHING {
            return (wake.kind.to_string(), wake.subject.to_string(), wake.seq.0);
        }
    }
}

fn nothing(wakes: &mut Receiver<Wake>) -> bool {
    loop {
        match wakes.try_recv() {
            Ok(wake) if &*wake.kind == ANYTHING => {}
            other => return other == Err(TryRecvError::Empty),
        }
    }
}

pub async fn after_the_commit_only(w: World) {
    let store = w.open().await;
    let mut wakes = store.wakes();
    let mut tx = store.begin().await.unwrap();
    tx.append(fact("a.b", "dropped")).await.unwrap();
    drop(tx);
    let mut tx = store.begin().await.unwrap();
    assert_eq!(tx.append(fact("a.b", "kept")).await.unwrap(), FactSeq(1));
    tx.enqueue(NewJob { kind: "build", key: None, payload: json!(null), run_at: None, max_attempts: 1 }).await.unwrap();
    assert!(nothing(&mut wakes));
    tx.commit().await.unwrap();
    assert_eq!(next(&mut wakes).await, ("a.b".into(), "kept".into(), 1));
    assert_eq!(next(&mut wakes).await, (JOB_WAKE.into(), "build".into(), 0));
    assert!(nothing(&mut wakes), "each once, also where the database tells its own back");
}

/// Two stores on one database are two processes to it. On SQLite there is only one process.
pub async fn from_another_process(w: World) {
    if !w.on_postgres() {
        return;
    }
    let (here, there) = (w.open().await, w.open().await);
    let mut wakes = there.wakes();
    // The other side listens once it says that anything may have changed.
    let ready = w.open().await;
    let mut heard = there.wakes();
    for _ in 0..200 {
        say(&ready, "warm.up", "x").await;
        if matches!(tokio::time::timeout(Duration::from_millis(50), heard.recv()).await, Ok(Ok(w)) if &*w.kind == "warm.up")
        {
            break;
        }
    }
    say(&here, "a.b", "quo\"ted ü").await;
    loop {
        let (kind, subject, seq) = next(&mut wakes).await;
        if kind == "a.b" {
            assert!(subject == "quo\"ted ü" && seq > 1);
            break;
        }
    }
}
