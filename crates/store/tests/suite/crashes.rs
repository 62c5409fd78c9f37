#![expect(clippy::disallowed_methods, reason = "starts this test program again, to kill it")]

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use store::{CommitHook, Options, Read, Store, args};
use tokio::sync::Notify;

use super::{World, fact, say};

/// Stops the world for ever at the n-th call, counted over both sides of all commits.
struct StopAt {
    left: AtomicI64,
    stopped: Notify,
}

impl StopAt {
    fn nth(n: i64) -> Arc<Self> {
        Arc::new(Self { left: AtomicI64::new(n), stopped: Notify::new() })
    }

    async fn pass(&self) {
        if self.left.fetch_sub(1, Ordering::SeqCst) == 0 {
            self.stopped.notify_one();
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl CommitHook for StopAt {
    async fn before_commit(&self) {
        self.pass().await;
    }
    async fn after_commit(&self) {
        self.pass().await;
    }
}

/// State and fact in one transaction: neither is ever there without the other.
async fn work(store: &Store, i: i64) -> Result<(), base::Problem> {
    let mut tx = store.begin().await?;
    tx.execute("INSERT INTO thing (name, count) VALUES ($1, $2)", args![format!("t{i}"), i]).await?;
    tx.append(fact("shop.thing", &format!("t{i}"))).await?;
    tx.append(fact("shop.count", "all")).await?;
    tx.commit().await
}

/// Things, and that the log agrees with them.
async fn sound(store: &Store) -> i64 {
    let mut r = store.read().await.unwrap();
    let sql = "SELECT (SELECT COUNT(*) FROM thing) AS things, (SELECT COUNT(*) FROM fact) AS facts, \
         (SELECT COUNT(*) FROM thing t JOIN fact_head h ON h.kind = 'shop.thing' AND h.subject = t.name) AS both";
    let row = r.row(sql, args![]).await.unwrap().unwrap();
    let (things, facts, both) = (row.int("things").unwrap(), row.int("facts").unwrap(), row.int("both").unwrap());
    drop(r);
    assert_eq!((facts, both), (things * 2, things));
    let checked = store.verify_facts().await.unwrap();
    assert!(checked.ok, "{checked:?}");
    things
}

/// Works until the hook stops the world, then leaves nothing of that process but the database.
async fn crash(w: &World, at: i64) -> i64 {
    w.open().await.close().await;
    let hook = StopAt::nth(i64::MAX);
    let store = w.open_with(Arc::clone(&hook) as Arc<dyn CommitHook>).await;
    hook.left.store(at, Ordering::SeqCst);
    let acknowledged = Arc::new(AtomicI64::new(0));
    let count = Arc::clone(&acknowledged);
    let task = tokio::spawn(async move {
        for i in 0..5 {
            work(&store, i).await.unwrap();
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    tokio::time::timeout(Duration::from_secs(60), hook.stopped.notified()).await.expect("the world stops");
    task.abort();
    let _ = task.await;
    acknowledged.load(Ordering::SeqCst)
}

pub async fn before_the_commit_nothing_is_there(w: World) {
    assert_eq!(crash(&w, 0).await, 0);
    let store = w.open().await;
    assert_eq!(sound(&store).await, 0);
    assert_eq!(say(&store, "shop.thing", "x").await, 1);
}

pub async fn after_the_commit_everything_is_there(w: World) {
    assert_eq!(crash(&w, 1).await, 0);
    let store = w.open().await;
    assert_eq!(sound(&store).await, 1, "committed, though nobody was told");
    work(&store, 77).await.unwrap();
    assert_eq!(sound(&store).await, 2);
}

pub async fn at_every_commit(w: World) {
    for at in 0..10 {
        let w = w.another().await;
        let acknowledged = crash(&w, at).await;
        let store = w.open().await;
        let there = sound(&store).await;
        assert_eq!((acknowledged, there), (at / 2, (at + 1) / 2), "stopped at call {at}");
        work(&store, 99).await.unwrap();
        assert_eq!(sound(&store).await, there + 1);
    }
}

const CHILD_URL: &str = "ORLOP_TEST_CRASH_URL";

/// A real process that is killed while it writes: whatever it had said was written, is.
pub async fn a_killed_process_loses_nothing_it_acknowledged(w: World) {
    w.open().await.close().await;
    for round in 0..3i64 {
        let url = w.url.clone();
        let said = tokio::task::spawn_blocking(move || {
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "suite::crashes::child", "--nocapture", "--ignored"])
                .env(CHILD_URL, url)
                .env("ORLOP_TEST_ROUND", round.to_string())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
            let mut said = Vec::new();
            while said.len() < 15 {
                let line = lines.next().expect("the child writes on").unwrap();
                said.extend(line.strip_prefix("wrote ").map(str::to_owned));
            }
            child.kill().unwrap();
            child.wait().unwrap();
            said.extend(lines.map_while(Result::ok).filter_map(|l| l.strip_prefix("wrote ").map(str::to_owned)));
            said
        })
        .await
        .unwrap();
        let store = w.open().await;
        let there = sound(&store).await;
        for name in &said {
            let row = store.read().await.unwrap().row("SELECT name FROM thing WHERE name = $1", args![name]).await;
            assert!(row.unwrap().is_some(), "{name} was acknowledged and is not there");
        }
        assert!(there >= 15 * (round + 1));
        store.close().await;
    }
}

/// Not a test of its own: the process that is killed.
#[tokio::test]
#[ignore = "started by a_killed_process_loses_nothing_it_acknowledged"]
async fn child() {
    let Ok(url) = std::env::var(CHILD_URL) else { return };
    let round: i64 = std::env::var("ORLOP_TEST_ROUND").unwrap().parse().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let w = World { url, clock: store::testing::TestClock::at(1), cluster: None, folder };
    let store = Store::open(Options { ..w.options() }).await.unwrap();
    for i in 0..100_000i64 {
        work(&store, round * 1_000_000 + i).await.unwrap();
        let mut out = std::io::stdout().lock();
        writeln!(out, "wrote t{}", round * 1_000_000 + i).unwrap();
        out.flush().unwrap();
    }
}
