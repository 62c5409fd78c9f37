use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use base::Kind;
use futures_util::FutureExt;
use sqlx::Connection;
use store::testing::Cluster;
use store::{ANYTHING, Backend, CommitHook, Options, Read, Store, args};

use super::{World, code, fact, say};

const PUT: &str = "INSERT INTO thing (name, count) VALUES ($1, 1)";

async fn things(store: &Store) -> i64 {
    let row = store.read().await.unwrap().row("SELECT COUNT(*) AS n FROM thing", args![]).await.unwrap();
    row.unwrap().int("n").unwrap()
}

pub async fn constraints_have_names_and_no_values(w: World) {
    let store = w.open().await;
    let cases: &[(&'static str, &str, &str)] = &[
        ("INSERT INTO thing (name, count) VALUES ('hunter2', 1), ('hunter2', 2)", "already-exists", "thing"),
        ("INSERT INTO part (id, thing) VALUES (1, 'hunter2')", "reference-broken", ""),
        ("INSERT INTO thing (name, count) VALUES (NULL, 1)", "constraint-broken", ""),
        ("INSERT INTO nowhere (name) VALUES ('hunter2')", "bad-statement", "nowhere"),
        ("SELEKT 'hunter2'", "bad-statement", ""),
    ];
    for (sql, want, names) in cases {
        let mut tx = store.begin().await.unwrap();
        let problem = tx.execute(sql, args![]).await.unwrap_err();
        assert_eq!(problem.code, *want, "{sql}: {problem}");
        assert!(!problem.to_string().contains("hunter2") && problem.message.contains(names), "{problem}");
    }
    let mut tx = store.begin().await.unwrap();
    tx.execute(PUT, args!["hunter2"]).await.unwrap();
    let problem = tx.execute(PUT, args!["hunter2"]).await.unwrap_err();
    assert!(problem.code == "already-exists" && !problem.to_string().contains("hunter2"), "{problem}");
}

pub async fn a_broken_transaction_stays_broken(w: World) {
    let store = w.open().await;
    let mut tx = store.begin().await.unwrap();
    tx.execute(PUT, args!["a"]).await.unwrap();
    assert_eq!(code(tx.execute(PUT, args!["a"]).await), "already-exists");
    assert_eq!(code(tx.execute(PUT, args!["b"]).await), "transaction-broken");
    assert_eq!(code(tx.append(fact("a.b", "x")).await), "transaction-broken");
    assert_eq!(code(tx.commit().await), "transaction-broken");
    assert_eq!(things(&store).await, 0);
}

pub async fn a_statement_that_was_given_up_breaks(w: World) {
    let store = w.open().await;
    let mut tx = store.begin().await.unwrap();
    // The database may be quicker than the first look, but not every time.
    let mut names = 0..10_000i64;
    let given_up = names.any(|i| tx.execute(PUT, args![format!("t{i}")]).now_or_never().is_none());
    assert!(given_up);
    assert_eq!(code(tx.commit().await), "transaction-broken");
    assert_eq!(things(&store).await, 0);
    say(&store, "a.b", "x").await;
}

/// A rule that is checked at the end makes COMMIT itself fail.
pub async fn a_failing_commit_is_not_acknowledged(w: World) {
    let store = w.open().await;
    let mut wakes = store.wakes();
    while wakes.try_recv().is_ok() {}
    for _ in 0..2 {
        let mut tx = store.begin().await.unwrap();
        tx.execute(PUT, args!["a"]).await.unwrap();
        tx.append(fact("a.b", "x")).await.unwrap();
        tx.execute("INSERT INTO late (id, thing) VALUES (1, 'nobody')", args![]).await.unwrap();
        assert_eq!(code(tx.commit().await), "reference-broken");
        assert_eq!(things(&store).await, 0);
    }
    assert!(!std::iter::from_fn(|| wakes.try_recv().ok()).any(|wake| &*wake.kind == "a.b"));
    let mut tx = store.begin().await.unwrap();
    tx.execute("INSERT INTO late (id, thing) VALUES (1, 'later')", args![]).await.unwrap();
    tx.execute(PUT, args!["later"]).await.unwrap();
    assert_eq!(tx.append(fact("a.b", "x")).await.unwrap().0, 1);
    tx.commit().await.unwrap();
    assert_eq!(things(&store).await, 1);
}

/// Ends every other connection to the database between the last statement and COMMIT.
struct Cut {
    url: String,
    armed: AtomicBool,
}

#[async_trait]
impl CommitHook for Cut {
    async fn before_commit(&self) {
        if self.armed.swap(false, Ordering::SeqCst) {
            let mut other = sqlx::PgConnection::connect(&self.url).await.unwrap();
            let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE pid <> pg_backend_pid() AND datname = current_database()";
            sqlx::raw_sql(sql).execute(&mut other).await.unwrap();
        }
    }
    async fn after_commit(&self) {}
}

pub async fn a_lost_connection_is_not_acknowledged(w: World) {
    if !w.on_postgres() {
        return;
    }
    let hook = Arc::new(Cut { url: w.url.clone(), armed: AtomicBool::new(false) });
    let store = w.open_with(Arc::clone(&hook) as Arc<dyn CommitHook>).await;
    hook.armed.store(true, Ordering::SeqCst);
    let mut tx = store.begin().await.unwrap();
    tx.execute(PUT, args!["lost"]).await.unwrap();
    let problem = tx.commit().await.unwrap_err();
    assert!(problem.kind == Kind::Unavailable, "{problem:?}");
    let mut tx = store.begin().await.unwrap();
    tx.execute(PUT, args!["found"]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(things(&store).await, 1);
}

/// What was acknowledged is there, and the same store goes on without being opened again.
pub async fn a_server_that_crashes_is_found_again(w: World) {
    if !w.on_postgres() {
        return;
    }
    let mut cluster = Cluster::own().await.expect("it was there a moment ago");
    let store = Store::open(Options { url: cluster.database().await, ..w.options() }).await.unwrap();
    for _ in 0..3 {
        say(&store, "a.b", "x").await;
    }
    let mut open = store.begin().await.unwrap();
    open.append(fact("a.b", "lost")).await.unwrap();
    // It listens once it has said that anything may have changed.
    let mut wakes = store.wakes();
    cluster.crash().await;
    assert_eq!(store::Read::rows(&mut open, "SELECT 1 AS one", args![]).await.unwrap_err().kind, Kind::Unavailable);
    assert_eq!(code(open.commit().await), "transaction-broken");
    let mut tries = 0;
    while let Err(problem) = store.begin().await {
        assert!(problem.kind == Kind::Unavailable && tries < 100, "{problem:?}");
        tries += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(say(&store, "a.b", "y").await, 4);
    assert!(store.verify_facts().await.unwrap().ok);
    let anything = async { while &*wakes.recv().await.unwrap().kind != ANYTHING {} };
    tokio::time::timeout(Duration::from_secs(30), anything).await.expect("who missed wake-ups is told");
}

/// SQLite reports its page limit exactly as it reports a full disk.
pub async fn a_full_disk_is_not_acknowledged(w: World) {
    const LIMIT: &str = "PRAGMA max_page_count = 1";
    if w.on_postgres() {
        return;
    }
    let store = w.open().await;
    say(&store, "a.b", "before").await;
    let mut tx = store.begin().await.unwrap();
    // The limit cannot go below what is in use, so it becomes exactly that.
    tx.rows(LIMIT, args![]).await.unwrap();
    let mut refused = None;
    for i in 0..2000i64 {
        if let Err(problem) = tx.execute(PUT, args![format!("{i}{}", "x".repeat(500))]).await {
            refused = Some(problem);
            break;
        }
    }
    let problem = refused.expect("the file may not grow");
    assert_eq!((&*problem.code, problem.kind), ("storage-full", Kind::Unavailable));
    assert_eq!(code(tx.execute(PUT, args!["alone"]).await), "transaction-broken");
    assert_eq!(code(tx.commit().await), "transaction-broken");
    assert_eq!(things(&store).await, 0, "not even the statement after the failed one");
    let mut tx = store.begin().await.unwrap();
    tx.rows("PRAGMA max_page_count = 100000", args![]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(say(&store, "a.b", "after").await, 2);
    assert!(store.verify_facts().await.unwrap().ok);
}

pub async fn waiting_has_an_end(w: World) {
    let (store, other) = (w.open().await, w.open().await);
    let tx = store.begin().await.unwrap();
    let (same, beside) = tokio::join!(store.begin(), other.begin());
    assert_eq!((code(same), code(beside)), ("store-busy".into(), "store-busy".into()));
    drop(tx);
    say(&store, "a.b", "x").await;
    say(&other, "a.b", "x").await;
}

pub async fn a_closed_store_says_so(w: World) {
    let store = w.open().await;
    store.clone().close().await;
    assert_eq!(code(store.read().await), "store-closed");
    assert_eq!(code(store.begin().await), "store-closed");
}

pub async fn checks(w: World) {
    let store = w.open().await;
    say(&store, "a.b", "x").await;
    let found = store.check(true).await.unwrap();
    if store.kind() == Backend::Postgres {
        assert!(found.starts_with("PostgreSQL ") && found.contains("fsync is off"), "{found}");
        let row = store.begin().await.unwrap().row("SELECT current_setting('synchronous_commit') AS s", args![]).await;
        assert_eq!(row.unwrap().unwrap().text("s").unwrap(), "on", "whatever the server's default is");
        return;
    }
    assert!(found.starts_with("SQLite 3.") && found.ends_with("ok"), "{found}");
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(w.folder.path().join("orlop.db")).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "others may not read it");
}
