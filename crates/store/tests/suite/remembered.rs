use std::time::Duration;

use ports::Clock;
use store::{Answer, Read, Store, args, idempotency_find};

use super::{World, code};

fn answer(key: &str, body: &str) -> Answer {
    Answer {
        actor: "person:ada".into(),
        endpoint: "POST /v1/services".into(),
        key: key.into(),
        request_digest: "sha256:00".into(),
        status: 201,
        body: body.into(),
    }
}

async fn find(store: &Store, key: &str) -> Option<store::Stored> {
    let mut r = store.read().await.unwrap();
    idempotency_find(&mut r, "person:ada", "POST /v1/services", key).await.unwrap()
}

pub async fn an_answer_is_given_again(w: World) {
    let store = w.open().await;
    assert!(find(&store, "k").await.is_none());
    let mut tx = store.begin().await.unwrap();
    tx.idempotency_put(answer("k", "{\"id\":1}")).await.unwrap();
    tx.commit().await.unwrap();
    let found = find(&store, "k").await.unwrap();
    assert_eq!(
        (found.status, &*found.body, &*found.request_digest, found.at),
        (201, "{\"id\":1}", "sha256:00", w.clock.now())
    );
    let mut r = store.read().await.unwrap();
    for (actor, endpoint) in [("person:eve", "POST /v1/services"), ("person:ada", "POST /v1/teams")] {
        assert!(idempotency_find(&mut r, actor, endpoint, "k").await.unwrap().is_none());
    }
    drop(r);
    let mut tx = store.begin().await.unwrap();
    tx.execute("INSERT INTO thing (name, count) VALUES ('twice', 1)", args![]).await.unwrap();
    assert_eq!(code(tx.idempotency_put(answer("k", "{}")).await), "idempotency-in-flight");
    assert_eq!(code(tx.commit().await), "transaction-broken");
    w.clock.advance(Duration::from_secs(10));
    let mut tx = store.begin().await.unwrap();
    tx.idempotency_put(answer("k2", "")).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(store.purge_idempotency(w.clock.now(), 10).await.unwrap(), 1);
    assert!(find(&store, "k").await.is_none() && find(&store, "k2").await.is_some());
}

pub async fn only_one_of_many_wins(w: World) {
    let store = w.open().await;
    let tasks: Vec<_> = (0..8i64)
        .map(|i| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut tx = store.begin().await?;
                tx.execute("INSERT INTO thing (name, count) VALUES ($1, $2)", args![format!("t{i}"), i]).await?;
                tx.idempotency_put(answer("same", &i.to_string())).await?;
                tx.commit().await
            })
        })
        .collect();
    let mut codes = Vec::new();
    for task in tasks {
        codes.push(code(task.await.unwrap()));
    }
    codes.sort();
    assert_eq!(codes.iter().filter(|c| *c == "ok").count(), 1, "{codes:?}");
    assert!(codes.iter().all(|c| c == "ok" || c == "idempotency-in-flight"), "{codes:?}");
    let rows = store.read().await.unwrap().rows("SELECT name, count FROM thing", args![]).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(find(&store, "same").await.unwrap().body, rows[0].int("count").unwrap().to_string());
}
