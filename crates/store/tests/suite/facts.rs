use std::time::Duration;

use base::{Actor, FactSeq, Generation};
use ports::Clock;
use serde_json::json;
use store::{
    NewFact, StoredFact, args, fact_latest, facts_about, facts_after, facts_before, facts_latest, facts_latest_beneath,
    facts_of, subjects_after,
};

use super::{World, code, fact, say};

fn seqs(facts: &[StoredFact]) -> Vec<i64> {
    facts.iter().map(|f| f.seq.0).collect()
}

pub async fn one_order_and_the_newest(w: World) {
    let store = w.open().await;
    let mut tx = store.begin().await.unwrap();
    let whole = NewFact {
        kind: "deliver.rollout".into(),
        subject: "shop/prod".into(),
        generation: Generation(9),
        actor: Actor::Person("ada".parse().unwrap()),
        cause: None,
        body: json!({ "z": 1, "a": [null, "ü", 1.5], "n": {} }),
    };
    assert_eq!(tx.append(whole.clone()).await.unwrap(), FactSeq(1));
    assert_eq!(tx.append(fact("deliver.rollout", "shop/dev")).await.unwrap(), FactSeq(2));
    let seen = fact_latest(&mut tx, "deliver.rollout", "shop/prod").await.unwrap().unwrap();
    tx.commit().await.unwrap();
    let at = w.clock.now();
    w.clock.advance(Duration::from_secs(1));
    say(&store, "deliver.rollout", "shop/dev").await;
    say(&store, "run.instances", "shop/dev").await;

    let mut r = store.read().await.unwrap();
    let got = fact_latest(&mut r, "deliver.rollout", "shop/prod").await.unwrap().unwrap();
    assert_eq!(got, seen);
    assert_eq!(
        (got.seq, got.generation, got.actor, got.cause, got.at),
        (FactSeq(1), whole.generation, whole.actor, None, at)
    );
    assert_eq!(got.body, whole.body);
    assert_eq!(fact_latest(&mut r, "deliver.rollout", "shop/dev").await.unwrap().unwrap().seq, FactSeq(3));
    assert!(fact_latest(&mut r, "deliver.rollout", "shop").await.unwrap().is_none());
    let newest = facts_latest(&mut r, "deliver.rollout").await.unwrap();
    assert_eq!(
        newest.iter().map(|f| (f.subject.as_str(), f.seq.0)).collect::<Vec<_>>(),
        [("shop/dev", 3), ("shop/prod", 1)]
    );
    assert_eq!(subjects_after(&mut r, "deliver.rollout", "", 9).await.unwrap(), ["shop/dev", "shop/prod"]);
    assert_eq!(subjects_after(&mut r, "deliver.rollout", "shop/dev", 1).await.unwrap(), ["shop/prod"]);
    let dynamic: &mut dyn store::Read = &mut r;
    assert_eq!(facts_latest(dynamic, "run.instances").await.unwrap().len(), 1);
    drop(r);
    let checked = store.verify_facts().await.unwrap();
    assert!(checked.ok && checked.facts == 4, "{checked:?}");
}

/// Names that are the beginning of others, and characters around the `/`.
pub async fn what_is_beneath_a_name(w: World) {
    let store = w.open().await;
    for subject in
        ["shop", "shop/dev", "shop/prod", "shop-2/dev", "shop0/dev", "sho/dev", "shop/dev/COLOUR", "shop.x/dev"]
    {
        say(&store, "a.b", subject).await;
        say(&store, "a.c", subject).await;
    }
    let mut r = store.read().await.unwrap();
    let found = facts_latest_beneath(&mut r, "a.b", "shop").await.unwrap();
    let subjects: Vec<_> = found.iter().map(|f| f.subject.as_str()).collect();
    assert_eq!(subjects, ["shop/dev", "shop/dev/COLOUR", "shop/prod"]);
    assert!(found.iter().all(|f| f.kind == "a.b"));
    assert!(facts_latest_beneath(&mut r, "a.b", "sh").await.unwrap().is_empty());
}

/// By what bodies say, whatever the subject; also what a version without the index has written.
pub async fn what_is_about_a_service(w: World) {
    let store = w.open().await;
    let mut tx = store.begin().await.unwrap();
    let bodies = [
        ("shop/dev", json!({ "service": "shop" })),
        ("bd_1", json!({ "service": "shop", "build": "bd_1" })),
        ("team", json!({ "team": "shop" })),
        ("shopping", json!({ "service": "shopping" })),
        ("shop", json!({ "service": 7 })),
        ("rl_1", json!({ "service": "shop" })),
    ];
    for (subject, body) in bodies {
        tx.append(NewFact { body, ..fact("deliver.thing", subject) }).await.unwrap();
    }
    tx.commit().await.unwrap();
    let about = async |store: &store::Store, service: &str, before: Option<i64>, limit: u32| {
        let mut r = store.read().await.unwrap();
        seqs(&facts_about(&mut r, service, before.map(FactSeq), limit).await.unwrap())
    };
    assert_eq!(about(&store, "shop", None, 9).await, [6, 2, 1]);
    assert_eq!(about(&store, "shop", Some(6), 1).await, [2]);
    assert_eq!(about(&store, "shopping", None, 9).await, [4]);
    assert_eq!(about(&store, "nobody", None, 9).await, [0; 0]);

    let mut tx = store.begin().await.unwrap();
    assert_eq!(tx.execute("DELETE FROM fact_service WHERE seq > 1", args![]).await.unwrap(), 5);
    tx.commit().await.unwrap();
    assert_eq!(about(&store, "shop", None, 9).await, [1]);
    store.close().await;
    let store = w.open().await;
    assert_eq!(about(&store, "shop", None, 9).await, [6, 2, 1], "it has caught up");
    say(&store, "deliver.thing", "shop/dev").await;
    assert!(store.verify_facts().await.unwrap().ok);
}

pub async fn pages_by_kind_and_prefix(w: World) {
    let store = w.open().await;
    let mut tx = store.begin().await.unwrap();
    // 1..=30: kinds a, b, c in turn; subjects of two services, one a prefix of the other's name.
    for i in 0..30i64 {
        let service = if i % 2 == 0 { "shop" } else { "shop-2" };
        tx.append(fact(["k.a", "k.b", "k_c"][(i % 3) as usize], &format!("{service}/{}", i % 5))).await.unwrap();
    }
    tx.commit().await.unwrap();
    let mut r = store.read().await.unwrap();
    let expect = |kinds: &[&str], prefix: &str| -> Vec<i64> {
        (0..30i64)
            .filter(|i| kinds.is_empty() || kinds.contains(&["k.a", "k.b", "k_c"][(i % 3) as usize]))
            .filter(|i| format!("{}/{}", if i % 2 == 0 { "shop" } else { "shop-2" }, i % 5).starts_with(prefix))
            .map(|i| i + 1)
            .collect()
    };
    for kinds in [&[][..], &["k.a"], &["k.a", "k_c"], &["k.b", "k.b"], &["none"]] {
        for prefix in [None, Some(""), Some("shop/"), Some("shop-2/3"), Some("shop"), Some("zebra")] {
            let want = expect(kinds, prefix.unwrap_or_default());
            let (mut forward, mut after) = (Vec::new(), FactSeq(0));
            while let page @ [.., last] = &facts_after(&mut r, after, kinds, prefix, 4).await.unwrap()[..] {
                assert!(page.len() <= 4);
                after = last.seq;
                forward.extend(seqs(page));
            }
            assert_eq!(forward, want, "{kinds:?} {prefix:?}");
            let (mut backward, mut before) = (Vec::new(), None);
            while let page @ [.., last] = &facts_before(&mut r, before, kinds, prefix, 4).await.unwrap()[..] {
                assert!(page.len() <= 4);
                before = Some(last.seq);
                backward.extend(seqs(page));
            }
            backward.reverse();
            assert_eq!(backward, want, "{kinds:?} {prefix:?}");
        }
    }
    assert_eq!(code(facts_after(&mut r, FactSeq(0), &["x"; 65], None, 1).await), "too-many-kinds");
    // Those of `shop/0` are 1, 11 and 21, of the kinds a, b and c; `shop-2` has none of them.
    for (kind, before, want) in [("k.a", 30, vec![1]), ("k.b", 30, vec![11]), ("k.b", 11, vec![]), ("none", 30, vec![])]
    {
        let found = facts_of(&mut r, FactSeq(before), kind, "shop/0", 4).await.unwrap();
        assert_eq!(seqs(&found), want, "{kind} before {before}");
    }
    let mut tx = store.begin().await.unwrap();
    for _ in 0..3 {
        tx.append(fact("k.a", "shop/0")).await.unwrap();
    }
    tx.commit().await.unwrap();
    let mut r = store.read().await.unwrap();
    assert_eq!(seqs(&facts_of(&mut r, FactSeq(33), "k.a", "shop/0", 2).await.unwrap()), [32, 31]);
}

pub async fn no_gaps_with_many_writers(w: World) {
    let store = w.open().await;
    let tasks: Vec<_> = (0..10)
        .map(|task| {
            let store = store.clone();
            tokio::spawn(async move {
                for turn in 0..6 {
                    let mut tx = store.begin().await.unwrap();
                    for _ in 0..=turn % 3 {
                        tx.append(fact("a.b", &format!("s{task}"))).await.unwrap();
                    }
                    // Every third is given up: its places must be taken again.
                    if turn % 3 == 2 { drop(tx) } else { tx.commit().await.unwrap() }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let mut r = store.read().await.unwrap();
    let all = facts_after(&mut r, FactSeq(0), &[], None, 1000).await.unwrap();
    assert_eq!(seqs(&all), (1..=10 * 6).collect::<Vec<_>>());
    let checked = store.verify_facts().await.unwrap();
    assert!(checked.ok && checked.facts == 60, "{checked:?}");
}

pub async fn oversized_facts_are_refused(w: World) {
    let store = w.open().await;
    for (bad, want) in [
        (fact(&"k".repeat(129), "s"), "fact-too-large"),
        (fact("k", &"s".repeat(1025)), "fact-too-large"),
        (NewFact { body: json!("b".repeat(1 << 20)), ..fact("k", "s") }, "fact-too-large"),
        (fact("", "s"), "bad-fact-kind"),
        (fact("*", "s"), "bad-fact-kind"),
        (fact("k", "nul\0"), "nul-in-text"),
    ] {
        let mut tx = store.begin().await.unwrap();
        assert_eq!(code(tx.append(bad).await), want);
    }
    // The largest that is allowed passes, also as a wake-up between processes.
    let mut tx = store.begin().await.unwrap();
    tx.append(fact(&"k".repeat(128), &"\u{1}".repeat(1024))).await.unwrap();
    tx.commit().await.unwrap();
}
