//! What somebody with the database but without the key can do, and how it is found.

use base::FactSeq;
use store::testing::fact_hash;
use store::{Anchor, Read, Store, Verification, args, facts_after};

use super::{World, code, say};

const FACTS: i64 = 6;

async fn written(w: &World) -> Store {
    let store = w.open().await;
    for i in 1..=FACTS {
        say(&store, "a.b", &format!("s{}", i % 4)).await;
    }
    store
}

async fn tamper(store: &Store, statements: &[&'static str]) {
    let mut tx = store.begin().await.unwrap();
    for sql in statements {
        assert!(tx.execute(sql, args![]).await.unwrap() > 0, "{sql}");
    }
    tx.commit().await.unwrap();
}

#[track_caller]
fn check(found: &Verification, place: i64, what: &str) {
    let (seq, said) = found.first_bad.as_ref().unwrap_or_else(|| panic!("not found: {what}"));
    assert!(!found.ok && *seq == FactSeq(place), "{what}: {found:?}");
    assert!(!said.is_empty());
}

pub async fn every_change_is_found(w: World) {
    let cases: &[(i64, &[&'static str])] = &[
        (3, &["UPDATE fact SET kind = 'a.c' WHERE seq = 3"]),
        (3, &["UPDATE fact SET subject = 's0' WHERE seq = 3"]),
        (3, &["UPDATE fact SET generation = 2 WHERE seq = 3"]),
        (3, &["UPDATE fact SET actor = 'person:eve' WHERE seq = 3"]),
        (3, &["UPDATE fact SET cause = NULL WHERE seq = 3"]),
        (3, &["UPDATE fact SET cause = 'another' WHERE seq = 3"]),
        (3, &["UPDATE fact SET at = at + 1 WHERE seq = 3"]),
        (3, &["UPDATE fact SET body = '{}' WHERE seq = 3"]),
        (3, &["UPDATE fact SET body = body || ' ' WHERE seq = 3"]),
        (3, &["UPDATE fact SET hash = (SELECT f.hash FROM fact f WHERE f.seq = 2) WHERE seq = 3"]),
        (3, &["UPDATE fact SET hash = 'nonsense' WHERE seq = 3"]),
        (3, &["DELETE FROM fact WHERE seq = 3"]),
        (1, &["DELETE FROM fact WHERE seq = 1"]),
        (FACTS - 1, &["DELETE FROM fact WHERE seq = 6"]),
        (
            3,
            &[
                "DELETE FROM fact WHERE seq = 3",
                "UPDATE fact SET seq = seq - 1 WHERE seq = 4",
                "UPDATE fact SET seq = seq - 1 WHERE seq = 5",
                "UPDATE fact SET seq = seq - 1 WHERE seq = 6",
            ],
        ),
        (
            3,
            &[
                "UPDATE fact SET seq = 99 WHERE seq = 3",
                "UPDATE fact SET seq = 3 WHERE seq = 4",
                "UPDATE fact SET seq = 4 WHERE seq = 99",
            ],
        ),
        (
            7,
            &[
                "INSERT INTO fact SELECT 7, kind, subject, generation, actor, cause, at, body, hash FROM fact WHERE seq = 6",
            ],
        ),
        (0, &["DELETE FROM fact"]),
        (FACTS, &["DELETE FROM fact_chain"]),
        (FACTS, &["UPDATE fact_chain SET mac = 'ab'"]),
        (FACTS, &["UPDATE fact_chain SET seq = 5, hash = (SELECT f.hash FROM fact f WHERE f.seq = 5)"]),
        (
            FACTS - 1,
            &[
                "DELETE FROM fact WHERE seq = 6",
                "UPDATE fact_chain SET seq = 5, hash = (SELECT f.hash FROM fact f WHERE f.seq = 5)",
            ],
        ),
        (5, &["UPDATE fact_head SET seq = 1 WHERE subject = 's1'"]),
        (4, &["DELETE FROM fact_head WHERE subject = 's0'"]),
        (3, &["UPDATE fact_head SET seq = seq + 50 WHERE subject = 's3'"]),
        (2, &["INSERT INTO fact_head (kind, subject, seq) VALUES ('a.b', 'ghost', 2)"]),
    ];
    for (place, statements) in cases {
        let w = w.another().await;
        let store = written(&w).await;
        assert!(store.verify_facts().await.unwrap().ok);
        tamper(&store, statements).await;
        let found = store.verify_facts().await.unwrap();
        // A head that points nowhere is reported at that place.
        let place = if statements[0].contains("seq + 50") { 53 } else { *place };
        check(&found, place, statements[0]);
    }
}

/// The tail is rewritten with hashes that fit each other: only the seal tells.
pub async fn a_fork_is_found(w: World) {
    let store = written(&w).await;
    let facts = facts_after(&mut store.read().await.unwrap(), FactSeq(0), &[], None, 100).await.unwrap();
    let mut before = facts[2].hash.parse().unwrap();
    let mut tx = store.begin().await.unwrap();
    for mut fact in facts.into_iter().skip(3) {
        fact.actor = base::Actor::Person("eve".parse().unwrap());
        before = fact_hash(before, &fact);
        let sql = "UPDATE fact SET actor = $2, hash = $3 WHERE seq = $1";
        assert_eq!(tx.execute(sql, args![fact.seq, &fact.actor, before]).await.unwrap(), 1);
    }
    tx.commit().await.unwrap();
    check(&store.verify_facts().await.unwrap(), FACTS, "a forked tail");
    let mut tx = store.begin().await.unwrap();
    tx.execute("UPDATE fact_chain SET hash = $1", args![before]).await.unwrap();
    tx.commit().await.unwrap();
    check(&store.verify_facts().await.unwrap(), FACTS, "a forked tail and end");
}

/// Otherwise our next fact would seal the forgery with our own key.
pub async fn a_forged_end_is_not_built_upon(w: World) {
    let store = written(&w).await;
    tamper(
        &store,
        &[
            "DELETE FROM fact WHERE seq = 6",
            "DELETE FROM fact_head WHERE seq = 6",
            "UPDATE fact_chain SET seq = 5, hash = (SELECT f.hash FROM fact f WHERE f.seq = 5)",
        ],
    )
    .await;
    let mut tx = store.begin().await.unwrap();
    assert_eq!(code(tx.append(super::fact("a.b", "x")).await), "audit-broken");
    drop(tx);
    store.close().await;
    assert_eq!(code(Store::open(w.options()).await), "audit-broken");
}

/// A whole older copy, genuine seal and all, differs only from what was kept elsewhere.
pub async fn going_back_is_found_with_an_anchor(w: World) {
    let store = w.open().await;
    let empty = store.anchor().await.unwrap();
    for _ in 0..3 {
        say(&store, "a.b", "x").await;
    }
    let early = store.anchor().await.unwrap();
    for _ in 0..3 {
        say(&store, "a.b", "x").await;
    }
    let late = store.anchor().await.unwrap();
    for (anchor, facts) in [(&empty, 6), (&early, 3), (&late, 0)] {
        let found = store.verify_facts_since(anchor).await.unwrap();
        assert!(found.ok && found.facts == facts, "{found:?}");
    }
    let kept: Anchor = serde_json::from_str(&serde_json::to_string(&late).unwrap()).unwrap();
    assert_eq!(kept, late);

    let mut tx = store.begin().await.unwrap();
    tx.execute("DELETE FROM fact WHERE seq > 3", args![]).await.unwrap();
    tx.execute("UPDATE fact_head SET seq = 3", args![]).await.unwrap();
    tx.execute("UPDATE fact_chain SET seq = 3, hash = $1, mac = $2", args![early.hash, &early.mac]).await.unwrap();
    tx.commit().await.unwrap();
    assert!(store.verify_facts().await.unwrap().ok, "a genuine older state is sound in itself");
    assert!(store.verify_facts_since(&early).await.unwrap().ok);
    check(&store.verify_facts_since(&late).await.unwrap(), 6, "an older copy");
    for _ in 0..3 {
        say(&store, "a.b", "y").await;
    }
    check(&store.verify_facts_since(&late).await.unwrap(), 6, "an older copy that went on");
    check(&store.verify_facts_since(&Anchor { seq: FactSeq(2), ..early }).await.unwrap(), 2, "a forged anchor");
    let row = store.read().await.unwrap().row("SELECT seq FROM fact_chain", args![]).await.unwrap().unwrap();
    assert_eq!(row.int("seq").unwrap(), 6);
}
