//! Every record of a log of two hundred facts × every tampering that somebody with the database but
//! without the key can do; and every older copy of the whole database. All of it is found.

use std::collections::BTreeMap;

use base::{Actor, FactSeq, Generation};
use serde_json::json;
use store::testing::{fact_hash, verify_in};
use store::{Anchor, NewFact, Store, StoredFact, Tx, args, facts_after};

use super::World;

const FACTS: i64 = 200;

/// A log as an installation has it: many kinds and subjects, people and parts of the platform, causes or none.
async fn log(store: &Store) -> Vec<Anchor> {
    let kinds = ["access.token", "catalog.service", "deliver.rollout", "run.instances", "route.served"];
    let mut anchors = vec![store.anchor().await.unwrap()];
    for n in 1..=FACTS {
        let actor = match n % 3 {
            0 => Actor::Person("ada".parse().unwrap()),
            1 => Actor::Person("grace".parse().unwrap()),
            _ => Actor::platform("deliver.rollout"),
        };
        let mut tx = store.begin().await.unwrap();
        tx.append(NewFact {
            kind: kinds[usize::try_from(n).unwrap() % kinds.len()].to_owned(),
            subject: format!("shop-{}/dev", n % 7),
            generation: Generation(n / 5 + 1),
            actor,
            cause: (n % 4 != 0).then(|| format!("req_{n:016x}")),
            body: json!({ "service": format!("shop-{}", n % 7), "step": n, "text": "a\"b\\c ☂" }),
        })
        .await
        .unwrap();
        tx.commit().await.unwrap();
        anchors.push(store.anchor().await.unwrap());
    }
    anchors
}

type Statement = &'static str;

/// One record's columns, each changed in several ways. `$1` is the record, `$2` another one.
const COLUMNS: &[(&str, Statement)] = &[
    ("kind: of another", "UPDATE fact SET kind = (SELECT o.kind || 'x' FROM fact o WHERE o.seq = $2) WHERE seq = $1"),
    ("kind: one letter", "UPDATE fact SET kind = kind || ' ' WHERE seq = $1 AND seq <> $2"),
    ("subject: one letter", "UPDATE fact SET subject = 'x' || subject WHERE seq = $1 AND seq <> $2"),
    ("subject: empty", "UPDATE fact SET subject = '' WHERE seq = $1 AND seq <> $2"),
    ("generation: up", "UPDATE fact SET generation = generation + 1 WHERE seq = $1 AND seq <> $2"),
    ("generation: negative", "UPDATE fact SET generation = -generation WHERE seq = $1 AND seq <> $2"),
    ("actor: another person", "UPDATE fact SET actor = 'person:eve' WHERE seq = $1 AND seq <> $2"),
    ("actor: nobody", "UPDATE fact SET actor = 'anonymous' WHERE seq = $1 AND seq <> $2"),
    (
        "cause: none or some",
        "UPDATE fact SET cause = CASE WHEN cause IS NULL THEN '' ELSE NULL END WHERE seq = $1 AND seq <> $2",
    ),
    ("cause: another", "UPDATE fact SET cause = 'req_0' WHERE seq = $1 AND seq <> $2"),
    ("at: later", "UPDATE fact SET at = at + 1 WHERE seq = $1 AND seq <> $2"),
    ("at: earlier", "UPDATE fact SET at = at - 1 WHERE seq = $1 AND seq <> $2"),
    ("body: a blank", "UPDATE fact SET body = body || ' ' WHERE seq = $1 AND seq <> $2"),
    ("body: a digit", "UPDATE fact SET body = REPLACE(body, '\"step\":', '\"step\":1') WHERE seq = $1 AND seq <> $2"),
    ("body: empty", "UPDATE fact SET body = '{}' WHERE seq = $1 AND seq <> $2"),
    ("body: no JSON", "UPDATE fact SET body = '' WHERE seq = $1 AND seq <> $2"),
    ("hash: of another", "UPDATE fact SET hash = (SELECT o.hash FROM fact o WHERE o.seq = $2) WHERE seq = $1"),
    ("hash: one letter", "UPDATE fact SET hash = hash || '0' WHERE seq = $1 AND seq <> $2"),
    ("hash: empty", "UPDATE fact SET hash = '' WHERE seq = $1 AND seq <> $2"),
    ("moved away", "UPDATE fact SET seq = seq + 100000 WHERE seq = $1 AND seq <> $2"),
    ("deleted", "DELETE FROM fact WHERE seq = $1 AND seq <> $2"),
];

/// The table of newest facts is brought into line, as a careful forger would.
const HEADS: [Statement; 2] = [
    "DELETE FROM fact_head",
    "INSERT INTO fact_head (kind, subject, seq) SELECT kind, subject, MAX(seq) FROM fact GROUP BY kind, subject",
];

struct Count {
    tried: BTreeMap<String, u64>,
    missed: Vec<String>,
}

struct Bench<'a> {
    store: &'a Store,
    tx: Tx,
    count: Count,
}

impl Bench<'_> {
    async fn run(&mut self, sql: Statement, args: Vec<store::Value>) -> u64 {
        self.tx.execute(sql, args).await.unwrap_or_else(|problem| panic!("{sql}: {problem}"))
    }

    /// Everything from here on is undone by [`Self::back`].
    async fn begin(&mut self) {
        self.run("SAVEPOINT tamper", args![]).await;
    }

    /// Whether what was done since is found; with `heads` also when these were brought into line.
    async fn judge(&mut self, what: &str, at: i64, heads: bool) {
        for careful in [false, true].into_iter().take(if heads { 2 } else { 1 }) {
            if careful {
                for sql in HEADS {
                    self.run(sql, args![]).await;
                }
            }
            *self.count.tried.entry(what.to_owned()).or_default() += 1;
            let found = verify_in(self.store, &mut self.tx).await.unwrap();
            if found.ok || found.first_bad.is_none() {
                self.count.missed.push(format!("{what} at {at}, careful: {careful}"));
            }
        }
    }

    async fn back(&mut self) {
        self.run("ROLLBACK TO SAVEPOINT tamper", args![]).await;
        self.run("RELEASE SAVEPOINT tamper", args![]).await;
    }
}

pub async fn every_record_and_every_tampering(w: World) {
    let store = w.open().await;
    let anchors = log(&store).await;
    let facts = facts_after(&mut store.read().await.unwrap(), FactSeq(0), &[], None, 1000).await.unwrap();
    assert_eq!(facts.len(), usize::try_from(FACTS).unwrap());
    let tx = store.begin().await.unwrap();
    let mut bench = Bench { store: &store, tx, count: Count { tried: BTreeMap::new(), missed: Vec::new() } };
    // Nothing is found where nothing was done.
    assert!(verify_in(&store, &mut bench.tx).await.unwrap().ok);
    for at in 1..=FACTS {
        columns(&mut bench, at).await;
        order(&mut bench, at).await;
        tail(&mut bench, at, &anchors).await;
        fork(&mut bench, at, &facts).await;
    }
    let Bench { tx, count, .. } = bench;
    tx.rollback().await;
    assert!(store.verify_facts().await.unwrap().ok, "everything was undone");
    let tried: u64 = count.tried.values().sum();
    println!("audit: {FACTS} records, {tried} tamperings, {} missed: {:?}", count.missed.len(), count.tried);
    record(&format!("{:?}", store.kind()).to_lowercase(), tried, &count);
    assert!(count.missed.is_empty(), "{} of {tried} were not found: {:?}", count.missed.len(), count.missed);
}

async fn columns(bench: &mut Bench<'_>, at: i64) {
    let other = at % FACTS + 1;
    for (what, sql) in COLUMNS {
        bench.begin().await;
        assert_eq!(bench.run(sql, args![at, other]).await, 1, "{what}");
        // Only these change what the table of newest facts says.
        let heads = ["kind", "subject", "moved", "deleted"].iter().any(|part| what.starts_with(part));
        bench.judge(what, at, heads).await;
        bench.back().await;
    }
}

/// Numbers move in two steps: both databases check uniqueness row by row.
const UP: Statement = "UPDATE fact SET seq = -(seq + 1) WHERE seq > $1";
const DOWN: Statement = "UPDATE fact SET seq = -(seq - 1) WHERE seq > $1";
const TURN: Statement = "UPDATE fact SET seq = -seq WHERE seq < 0";

async fn order(bench: &mut Bench<'_>, at: i64) {
    bench.begin().await;
    bench.run("DELETE FROM fact WHERE seq = $1", args![at]).await;
    bench.run(DOWN, args![at]).await;
    bench.run(TURN, args![]).await;
    bench.judge("deleted and closed up", at, true).await;
    bench.back().await;

    bench.begin().await;
    bench.run(UP, args![at]).await;
    bench.run(TURN, args![]).await;
    let copy = "INSERT INTO fact SELECT seq + 1, kind, subject, generation, actor, cause, at, body, hash FROM fact WHERE seq = $1";
    bench.run(copy, args![at]).await;
    bench.judge("doubled", at, true).await;
    bench.back().await;

    let other = (at + FACTS / 2) % FACTS + 1;
    bench.begin().await;
    for (sql, from) in [
        ("UPDATE fact SET seq = 0 WHERE seq = $1 AND seq <> $2", at),
        ("UPDATE fact SET seq = $2 WHERE seq = $1", other),
        ("UPDATE fact SET seq = $2 WHERE seq = 0 AND seq <> $1", at),
    ] {
        let to = if from == other { at } else { other };
        assert_eq!(bench.run(sql, args![from, to]).await, 1, "{sql}");
    }
    bench.judge("exchanged", at, true).await;
    bench.back().await;
}

/// The log is cut off behind `at`, and its end is touched up.
async fn tail(bench: &mut Bench<'_>, at: i64, anchors: &[Anchor]) {
    if at == FACTS {
        return;
    }
    let early = &anchors[usize::try_from(at).unwrap()];
    for (what, sql) in [
        ("cut off", "UPDATE fact_chain SET id = 1 WHERE seq > $1 AND hash <> $2"),
        ("cut off, end moved", "UPDATE fact_chain SET seq = $1, hash = $2"),
        ("cut off, end gone", "DELETE FROM fact_chain WHERE seq > $1 AND hash <> $2"),
        ("cut off, seal made up", "UPDATE fact_chain SET seq = $1, hash = $2, mac = SUBSTR(hash, 8)"),
    ] {
        bench.begin().await;
        bench.run("DELETE FROM fact WHERE seq > $1", args![at]).await;
        bench.run(sql, args![at, early.hash]).await;
        bench.judge(what, at, true).await;
        bench.back().await;
    }
}

/// From `at` on another history, with hashes that fit each other.
async fn fork(bench: &mut Bench<'_>, at: i64, facts: &[StoredFact]) {
    bench.begin().await;
    let begin = usize::try_from(at - 1).unwrap();
    let mut before = match begin {
        0 => store::testing::chain_start(),
        _ => facts[begin - 1].hash.parse().unwrap(),
    };
    for (n, fact) in facts.iter().enumerate().skip(begin) {
        let mut fact = fact.clone();
        if n == begin {
            fact.actor = Actor::Person("eve".parse().unwrap());
        }
        before = fact_hash(before, &fact);
        bench.run("UPDATE fact SET actor = $2, hash = $3 WHERE seq = $1", args![fact.seq, &fact.actor, before]).await;
    }
    bench.judge("forked", at, true).await;
    bench.run("UPDATE fact_chain SET hash = $1", args![before]).await;
    bench.judge("forked, end moved", at, true).await;
    bench.back().await;
}

/// Every older state of the whole database, genuine seal and all: only the anchor beside it tells.
pub async fn every_older_copy_is_found(w: World) {
    let store = w.open().await;
    let anchors = log(&store).await;
    let file = w.folder.path().join("audit.anchor");
    store.keep_anchor_in(&file).await.unwrap();
    assert!(store.verify_facts().await.unwrap().ok);
    let last = &anchors[usize::try_from(FACTS).unwrap()];
    assert_eq!(serde_json::from_slice::<Anchor>(&std::fs::read(&file).unwrap()).unwrap(), *last);
    let mut missed = Vec::new();
    // From the end on, so that each is older than the one before.
    for at in (1..FACTS).rev() {
        let early = &anchors[usize::try_from(at).unwrap()];
        let mut tx = store.begin().await.unwrap();
        tx.execute("DELETE FROM fact WHERE seq > $1", args![at]).await.unwrap();
        for sql in HEADS {
            tx.execute(sql, args![]).await.unwrap();
        }
        let chain = "UPDATE fact_chain SET seq = $1, hash = $2, mac = $3";
        tx.execute(chain, args![at, early.hash, &early.mac]).await.unwrap();
        tx.commit().await.unwrap();
        assert!(store.verify_facts_since(early).await.unwrap().ok, "an older copy is sound in itself");
        let found = store.verify_facts().await.unwrap();
        if found.ok || found.first_bad.as_ref().is_none_or(|(seq, _)| *seq != FactSeq(FACTS)) {
            missed.push(at);
        }
    }
    println!("audit: {} older copies, {} missed", FACTS - 1, missed.len());
    assert!(missed.is_empty(), "older copies that were not found: {missed:?}");
    // It goes on being found when the copy has grown beyond the anchor, and after a start.
    store.renew_anchor().await.unwrap().expect("it is told");
    for _ in 0..FACTS + 5 {
        super::say(&store, "a.b", "x").await;
    }
    assert!(!store.verify_facts().await.unwrap().ok);
    store.close().await;
    let store = w.open().await;
    assert!(store.verify_facts().await.unwrap().ok, "without the file nobody could know");
    store.keep_anchor_in(&file).await.unwrap();
    let found = store.verify_facts().await.unwrap();
    let (_, told) = found.first_bad.expect("the file knows");
    assert!(told.contains("audit.anchor") && told.contains("move"), "{told}");
    store.close().await;
    // The way out that is told.
    std::fs::rename(&file, w.folder.path().join("old.anchor")).unwrap();
    let store = w.open().await;
    store.keep_anchor_in(&file).await.unwrap();
    assert!(store.verify_facts().await.unwrap().ok && file.exists());
}

/// The anchor itself: no byte of it can be changed.
pub async fn a_forged_anchor_is_found(w: World) {
    let store = w.open().await;
    log(&store).await;
    let file = w.folder.path().join("audit.anchor");
    store.keep_anchor_in(&file).await.unwrap();
    let good = std::fs::read(&file).unwrap();
    let kept: Anchor = serde_json::from_slice(&good).unwrap();
    let mut tried = 0;
    for i in 0..good.len() {
        let mut bad = good.clone();
        bad[i] ^= 1;
        if serde_json::from_slice::<Anchor>(&bad).is_ok_and(|read| read == kept) {
            continue;
        }
        std::fs::write(&file, &bad).unwrap();
        assert!(!store.verify_facts().await.unwrap().ok, "byte {i}: {}", String::from_utf8_lossy(&bad));
        tried += 1;
    }
    assert!(tried > 100, "{tried}");
    // One that is gone is made again from what is known.
    std::fs::remove_file(&file).unwrap();
    assert!(store.verify_facts().await.unwrap().ok);
    store.renew_anchor().await.unwrap();
    assert_eq!(std::fs::read(&file).unwrap(), good);
}

/// The file follows the log by itself.
pub async fn the_anchor_follows_the_log(w: World) {
    let store = w.open().await;
    let file = w.folder.path().join("audit.anchor");
    store.keep_anchor_in(&file).await.unwrap();
    for n in 1..=3 {
        super::say(&store, "a.b", "x").await;
        let kept = || serde_json::from_slice::<Anchor>(&std::fs::read(&file).unwrap()).unwrap().seq;
        for _ in 0..1200 {
            if kept() == FactSeq(n) {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        assert_eq!(kept(), FactSeq(n));
    }
}

/// Somebody writes while another one checks: what came after the look began is not missing.
pub async fn the_log_is_sound_while_it_grows(w: World) {
    let store = w.open().await;
    for _ in 0..200 {
        super::say(&store, "a.b", "x").await;
    }
    store.keep_anchor_in(&w.folder.path().join("audit.anchor")).await.unwrap();
    let writer = store.clone();
    let grows = tokio::spawn(async move {
        for _ in 0..150 {
            super::say(&writer, "a.b", "x").await;
            assert_eq!(writer.renew_anchor().await.unwrap(), None);
        }
    });
    while !grows.is_finished() {
        let found = store.verify_facts().await.unwrap();
        assert!(found.ok, "{found:?}");
        assert_eq!(store.renew_anchor().await.unwrap(), None);
    }
    grows.await.unwrap();
}

/// A file for each database.
fn record(backend: &str, tried: u64, count: &Count) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/evidence");
    let value = json!({ "records": FACTS, "tamperings": tried, "missed": count.missed, "tried": count.tried });
    let text = serde_json::to_string_pretty(&value).unwrap();
    let file = folder.join(format!("audit-{backend}.json"));
    if let Err(error) = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&file, text)) {
        println!("the record could not be written to {}: {error}", file.display());
    }
}
