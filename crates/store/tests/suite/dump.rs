use std::io::Cursor;

use store::{Dump, Options, Read, Store, args};

use super::{TABLES, World, code, say};

/// A database with rows of every sort, and more than fit into one page.
async fn filled(w: &World) -> Store {
    let store = w.open().await;
    for n in 0..5 {
        say(&store, "a.b", &format!("subject-{n}\u{1F600}\n\"quoted\"")).await;
    }
    let mut tx = store.begin().await.unwrap();
    const PUT: &str = "INSERT INTO thing (name, count, note, due) VALUES ($1, $2, $3, $4)";
    for n in 0..2500i64 {
        let (note, due) = if n % 2 == 0 { (Some("né"), None) } else { (None, Some(n * -1_000_000_007)) };
        tx.execute(PUT, args![format!("thing-{n}"), n, note, due]).await.unwrap();
    }
    tx.execute(PUT, args!["largest", i64::MAX, "", i64::MIN]).await.unwrap();
    tx.commit().await.unwrap();
    store
}

async fn dumped(store: &Store) -> (Vec<u8>, Dump) {
    let mut bytes = Vec::new();
    let dump = store.read().await.unwrap().dump(&mut bytes).await.unwrap();
    (bytes, dump)
}

async fn restored(options: Options, bytes: &[u8]) -> String {
    code(Store::restore(options, &mut Cursor::new(bytes)).await)
}

pub async fn a_copy_is_equal_by_hash(w: World) {
    let store = filled(&w).await;
    let (bytes, dump) = dumped(&store).await;
    assert_eq!((dump.digest, dump.facts), (base::Digest::of(&bytes), 5));
    assert_eq!(dumped(&store).await, (bytes.clone(), dump.clone()), "the same moment is the same bytes");
    let (same, other) = (w.another().await, World::new(None).await);
    for to in [same, other] {
        assert_eq!(restored(to.options(), &bytes).await, "ok");
        let copy = to.open().await;
        assert_eq!(dumped(&copy).await.1, dump, "also from one kind of database to the other");
        assert!(copy.verify_facts().await.unwrap().ok);
        say(&copy, "a.b", "it goes on").await;
        assert!(copy.verify_facts().await.unwrap().ok);
        assert_ne!(dumped(&copy).await.1.digest, dump.digest);
        assert_eq!(restored(to.options(), &bytes).await, "restore-not-empty");
    }
}

pub async fn a_copy_is_of_one_moment(w: World) {
    let store = filled(&w).await;
    let before = dumped(&store).await.1;
    let mut reader = store.read().await.unwrap();
    reader.rows("SELECT seq FROM fact LIMIT 1", args![]).await.unwrap();
    say(&store, "a.b", "later").await;
    let during = reader.dump(&mut std::io::sink()).await.unwrap();
    assert_eq!(during, before);
}

pub async fn a_damaged_copy_is_refused(w: World) {
    let store = w.open().await;
    say(&store, "a.b", "x").await;
    let (bytes, _) = dumped(&store).await;
    let to = w.another().await;
    let lines: Vec<&[u8]> = bytes.split_inclusive(|b| *b == b'\n').collect();
    for kept in 0..lines.len() {
        let cut = lines[..kept].concat();
        assert_eq!(restored(to.options(), &cut).await, "bad-dump", "the first {kept} lines");
        let without = [&lines[..kept], &lines[kept + 1..]].concat().concat();
        assert_ne!(restored(to.options(), &without).await, "ok", "without line {kept}");
        let twice = [&lines[..=kept], &lines[kept..]].concat().concat();
        assert_ne!(restored(to.options(), &twice).await, "ok", "with line {kept} twice");
    }
    assert_eq!(restored(to.options(), &bytes[..bytes.len() - 1]).await, "bad-dump");
    assert_eq!(restored(to.options(), &[&bytes[..], b"x\n"].concat()).await, "bad-dump");
    assert_eq!(restored(to.options(), b"").await, "bad-dump");
    assert_eq!(restored(to.options(), b"{\"ledger\":2}\n").await, "data-from-newer-version");
    assert_eq!(restored(to.options(), &bytes).await, "ok", "nothing stayed behind of all that was refused");
}

pub async fn an_older_copy_gets_the_newer_schema(w: World) {
    let older = Options { migrations: TABLES[..1].to_vec(), ..w.options() };
    let (bytes, _) = dumped(&Store::open(older).await.unwrap()).await;
    let to = w.another().await;
    assert_eq!(restored(to.options(), &bytes).await, "ok");
    to.open().await.read().await.unwrap().rows("SELECT id FROM late", args![]).await.unwrap();
    let (newer, _) = dumped(&to.open().await).await;
    let back = w.another().await;
    let old = Options { migrations: TABLES[..1].to_vec(), ..back.options() };
    assert_eq!(restored(old, &newer).await, "data-from-newer-version");
}

pub async fn looking_changes_nothing(w: World) {
    let older = || Options { migrations: TABLES[..1].to_vec(), ..w.options() };
    let (before, _) = dumped(&Store::open(older()).await.unwrap()).await;
    let looking = Store::open_unchanged(w.options()).await.unwrap();
    assert_eq!(dumped(&looking).await.0, before);
}
