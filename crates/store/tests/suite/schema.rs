use base::Secret;
use store::{Migration, Options, Read, Store, args};

use super::{TABLES, World, code, say};

async fn open(w: &World, migrations: Vec<Migration>) -> Result<Store, base::Problem> {
    Store::open(Options { migrations, ..w.options() }).await
}

fn more(sql: &'static str) -> Vec<Migration> {
    let mut list = TABLES.to_vec();
    list.push(Migration { capability: "shop", number: 3, name: "more", sql });
    list
}

pub async fn a_second_start_changes_nothing(w: World) {
    w.open().await.close().await;
    let store = w.open().await;
    let mut r = store.read().await.unwrap();
    let rows = r.rows("SELECT capability, number, at FROM store_migration", args![]).await.unwrap();
    assert_eq!(rows.len(), 7);
    drop(r);
    store.close().await;
    let store = open(&w, more("CREATE TABLE extra (id BIGINT NOT NULL PRIMARY KEY)")).await.unwrap();
    let mut r = store.read().await.unwrap();
    assert!(r.rows("SELECT id FROM extra", args![]).await.unwrap().is_empty());
}

/// A table more is nothing to who does not know it; another shape of a known one is.
pub async fn newer_data_is_refused(w: World) {
    open(&w, more("CREATE TABLE extra (id BIGINT)")).await.unwrap().close().await;
    assert_eq!(code(open(&w, TABLES.to_vec()).await), "ok");
    let w = w.another().await;
    open(&w, more("-- breaks the version before: it reads the note.\nALTER TABLE thing DROP COLUMN note"))
        .await
        .unwrap()
        .close()
        .await;
    assert_eq!(code(open(&w, TABLES.to_vec()).await), "data-from-newer-version");
}

pub async fn an_edited_migration_is_refused(w: World) {
    open(&w, more("CREATE TABLE extra (id BIGINT)")).await.unwrap().close().await;
    assert_eq!(code(open(&w, more("CREATE TABLE extra (id BIGINT NOT NULL)")).await), "migration-changed");
}

pub async fn a_failing_migration_leaves_nothing(w: World) {
    let bad = more("CREATE TABLE extra (id BIGINT); CREATE TABLE thing (name TEXT);");
    let problem = open(&w, bad).await.err().unwrap();
    assert_eq!((&*problem.code, problem.place.as_deref()), ("bad-statement", Some("shop/0003 more")));
    let store = open(&w, more("CREATE TABLE extra (id BIGINT)")).await.unwrap();
    assert!(store.read().await.unwrap().rows("SELECT id FROM extra", args![]).await.unwrap().is_empty());
    assert_eq!(code(open(&w.another().await, more("CREATE TABLE e (id SERIAL)")).await), "migration-not-portable");
}

pub async fn two_processes_may_start_at_once(w: World) {
    for _ in 0..if w.on_postgres() { 3 } else { 40 } {
        let w = std::sync::Arc::new(w.another().await);
        let starting: Vec<_> = (0..6)
            .map(|_| {
                let w = std::sync::Arc::clone(&w);
                tokio::spawn(async move { say(&w.open().await, "a.b", "x").await })
            })
            .collect();
        let mut places = Vec::new();
        for start in starting {
            places.push(start.await.unwrap());
        }
        places.sort_unstable();
        assert_eq!(places, [1, 2, 3, 4, 5, 6]);
    }
}

/// Somebody reads the file while it is to become a WAL database.
pub async fn a_file_in_use_is_waited_for(w: World) {
    use sqlx::Connection;
    if w.on_postgres() {
        return;
    }
    let file = w.url.replace("sqlite:", "sqlite://") + "?mode=rwc";
    let mut other = sqlx::SqliteConnection::connect(&file).await.unwrap();
    sqlx::raw_sql("CREATE TABLE x (a TEXT); BEGIN; SELECT * FROM x;").execute(&mut other).await.unwrap();
    let w = std::sync::Arc::new(w);
    let opening = {
        let w = std::sync::Arc::clone(&w);
        tokio::spawn(async move { Store::open(w.options()).await.map(drop) })
    };
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    other.close().await.unwrap();
    assert_eq!(code(opening.await.unwrap()), "ok");
}

pub async fn a_foreign_audit_key_is_refused(w: World) {
    let with = |key: Vec<u8>| Options { audit_key: Secret::new(key), ..w.options() };
    assert_eq!(code(Store::open(with(vec![1; 31])).await), "audit-key-short");
    let store = w.open().await;
    say(&store, "a.b", "x").await;
    store.close().await;
    assert_eq!(code(Store::open(with(vec![8; 32])).await), "audit-broken");
    assert_eq!(code(Store::open(Options { url: "mysql://x".into(), ..w.options() }).await), "bad-store-url");
    assert_eq!(code(Store::open(Options { url: "sqlite:relative.db".into(), ..w.options() }).await), "bad-store-url");
}
