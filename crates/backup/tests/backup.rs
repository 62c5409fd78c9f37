//! A small installation is backed up, damaged in every way, and restored.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use backup::{House, Keys, Needed, Proof, Source, Target};
use base::{Actor, Generation, Problem, Result, Secret};
use ports::Clock;
use store::testing::{TestClock, TestRandom, options};
use store::{NewFact, Reader, Store};

const KEY: &str = "the text of a key file";
const OBJECT: &str = "sources/one.tar";

struct World {
    folder: tempfile::TempDir,
    clock: Arc<TestClock>,
}

impl World {
    /// Two objects, a repository, a configuration, a key and some facts.
    async fn new() -> (Self, Store) {
        let world = Self { folder: tempfile::tempdir().unwrap(), clock: TestClock::at(1_790_000_000_000_000) };
        let digest = base::Digest::of(b"blob");
        world.write(&format!("objects/{OBJECT}"), b"the source");
        world.write(&format!("objects/oci/blobs/sha256/{}", digest.hex()), b"blob");
        world.write("objects/unfinished#1", b"half");
        world.write("git/shop.git/HEAD", b"ref: refs/heads/main\n");
        world.write("git/shop.git/refs/heads/main", b"0123\n");
        world.write("git/shop.git/objects/pack/a.pack", &[7; 3000]);
        world.write("orlop.toml", b"domain = \"example.com\"\n");
        let store = Store::open(world.options(&world.data().join("orlop.db"))).await.unwrap();
        for n in 0..3 {
            say(&store, n).await;
        }
        (world, store)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn write(&self, path: &str, content: &[u8]) {
        let path = self.data().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn options(&self, file: &Path) -> store::Options {
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        options(&format!("sqlite:{}", file.display()), clock, TestRandom::seeded(1))
    }

    /// Calls with a house that knows `needed` objects.
    async fn with<T>(&self, needed: &[&str], run: impl AsyncFnOnce(&House<'_>) -> T) -> T {
        let needed: Vec<String> = needed.iter().map(|key| (*key).to_owned()).collect();
        let ask = answer(needed);
        let open = |url: String, _: Keys| store::Options { url, ..self.options(Path::new("/")) };
        run(&House { keys: &keys, options: &open, needed: &ask, tell: &|_| {} }).await
    }

    async fn take(&self, store: &Store, needed: &[&str], with_key: bool) -> Result<Proof> {
        let (data, to) = (self.data(), self.folder.path().join("backups/one.tar.gz"));
        let source = Source { data: &data, store, key: KEY, with_key, version: "1", clock: &*self.clock };
        self.with(needed, async |house| backup::take(&source, &to, house).await).await
    }

    async fn prove(&self, file: &Path, key: Option<&str>, needed: &[&str]) -> Result<Proof> {
        self.with(needed, async |house| backup::prove(file, key, house, &*self.clock).await).await
    }

    async fn restore(&self, file: &Path, data: &Path, key: Option<&str>) -> Result<Proof> {
        let target = Target { data, key, database: &|_| Ok(None) };
        let restored = self.with(&[OBJECT], async |house| backup::restore(file, &target, house, &*self.clock).await);
        restored.await.map(|restored| restored.proof)
    }
}

/// Says of every database that it needs these objects.
fn answer(needed: Vec<String>) -> impl for<'r> Fn(&'r mut Reader) -> Needed<'r> + Sync {
    move |_| {
        let needed = needed.clone();
        Box::pin(async move { Ok(needed) })
    }
}

fn keys(text: &str) -> Result<Keys> {
    match text {
        "" => Err(Problem::invalid("key-unreadable", "it is empty")),
        KEY => Ok(Keys { backup: Secret::new(vec![1; 32]), audit: Secret::new(vec![7; 32]) }),
        _ => Ok(Keys { backup: Secret::new(vec![2; 32]), audit: Secret::new(vec![8; 32]) }),
    }
}

async fn say(store: &Store, n: i64) {
    let mut tx = store.begin().await.unwrap();
    let fact = NewFact {
        kind: "a.b".to_owned(),
        subject: format!("s{n}"),
        generation: Generation(n),
        actor: Actor::platform("test"),
        cause: None,
        body: serde_json::json!({ "n": n }),
    };
    tx.append(fact).await.unwrap();
    tx.commit().await.unwrap();
}

#[track_caller]
fn code(outcome: Result<Proof>) -> String {
    outcome.map_or_else(|problem| problem.code.into_owned(), |_| "ok".to_owned())
}

/// Every file below a folder but the database's, with its content.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap().map(|e| e.unwrap().path()) {
            match entry.is_dir() {
                true => folders.push(entry),
                false => found.push((entry.strip_prefix(folder).unwrap().to_owned(), std::fs::read(&entry).unwrap())),
            }
        }
    }
    found.retain(|(path, _)| !path.to_string_lossy().contains("orlop.db"));
    found.sort();
    found
}

#[tokio::test]
async fn what_was_taken_is_restored_equal() {
    let (world, store) = World::new().await;
    let proof = world.take(&store, &[OBJECT], false).await.unwrap();
    assert_eq!((proof.facts, proof.objects, proof.repositories, proof.has_key), (3, 2, 1, false));
    say(&store, 4).await;
    let to = world.folder.path().join("deep/er/data");
    assert_eq!(world.restore(&proof.file, &to, Some(KEY)).await.unwrap().ledger, proof.ledger);
    world.write("master.key", KEY.as_bytes());
    std::fs::remove_file(world.data().join("objects/unfinished#1")).unwrap();
    assert_eq!(files(&to), files(&world.data()));
    let restored = Store::open(world.options(&to.join("orlop.db"))).await.unwrap();
    let dump = restored.read().await.unwrap().dump(&mut std::io::sink()).await.unwrap();
    assert_eq!((dump.digest, dump.facts), (proof.ledger, 3));
    let left: Vec<_> = std::fs::read_dir(to.parent().unwrap()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["data"], "nothing stays beside it");
}

#[tokio::test]
async fn every_bit_of_a_backup_counts() {
    let (world, store) = World::new().await;
    let proof = world.take(&store, &[OBJECT], true).await.unwrap();
    let good = std::fs::read(&proof.file).unwrap();
    let bad = world.folder.path().join("bad.tar.gz");
    let step = (good.len() / 250).max(1);
    let mut tried = 0;
    for at in (0..good.len()).step_by(step).chain(good.len() - 60..good.len()) {
        let mut changed = good.clone();
        changed[at] ^= 1 << (at % 8);
        std::fs::write(&bad, &changed).unwrap();
        assert_ne!(code(world.prove(&bad, Some(KEY), &[OBJECT]).await), "ok", "bit {} of byte {at}", at % 8);
        tried += 1;
    }
    for length in (0..good.len()).step_by(step).chain(good.len() - 60..good.len()) {
        std::fs::write(&bad, &good[..length]).unwrap();
        assert_eq!(code(world.prove(&bad, Some(KEY), &[OBJECT]).await), "bad-backup", "cut to {length} bytes");
        tried += 1;
    }
    std::fs::write(&bad, [&good[..], b"x"].concat()).unwrap();
    assert_eq!(code(world.prove(&bad, Some(KEY), &[OBJECT]).await), "bad-backup");
    println!("{tried} damaged backups of {} bytes, all refused", good.len());
    let to = world.folder.path().join("to");
    assert_eq!(code(world.restore(&bad, &to, Some(KEY)).await), "bad-backup");
    assert!(!to.exists(), "a refused restore leaves nothing");
    assert_eq!(code(world.prove(&proof.file, None, &[OBJECT]).await), "ok", "the key is inside");
}

#[tokio::test]
async fn the_key_is_asked_for_and_must_fit() {
    let (world, store) = World::new().await;
    let proof = world.take(&store, &[OBJECT], false).await.unwrap();
    assert_eq!(code(world.prove(&proof.file, None, &[OBJECT]).await), "backup-key-needed");
    assert_eq!(code(world.prove(&proof.file, Some("another"), &[OBJECT]).await), "bad-backup");
    assert_eq!(code(world.prove(&proof.file, Some(""), &[OBJECT]).await), "key-unreadable");
    assert_eq!(code(world.prove(&proof.file, Some(KEY), &[OBJECT]).await), "ok");
    let text = std::fs::read(&proof.file).unwrap();
    assert!(!text.windows(KEY.len()).any(|w| w == KEY.as_bytes()));
}

#[tokio::test]
async fn an_object_that_is_missing_fails_the_backup() {
    let (world, store) = World::new().await;
    assert_eq!(code(world.take(&store, &[OBJECT, "sources/gone.tar"], false).await), "backup-objects-missing");
    let left: Vec<_> = std::fs::read_dir(world.folder.path().join("backups")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    let proof = world.take(&store, &[OBJECT], false).await.unwrap();
    assert_eq!(code(world.prove(&proof.file, Some(KEY), &["sources/gone.tar"]).await), "bad-backup");
}

#[tokio::test]
async fn nothing_is_written_over() {
    let (world, store) = World::new().await;
    let proof = world.take(&store, &[OBJECT], false).await.unwrap();
    assert_eq!(code(world.take(&store, &[OBJECT], false).await), "backup-exists");
    let before = files(&world.data());
    assert_eq!(code(world.restore(&proof.file, &world.data(), Some(KEY)).await), "restore-not-empty");
    assert_eq!(files(&world.data()), before);
    let gone = world.folder.path().join("no.tar.gz");
    assert_eq!(code(world.restore(&gone, &world.folder.path().join("to"), Some(KEY)).await), "backup-not-found");
}

#[tokio::test]
async fn the_record_tells_what_is_there_now() {
    let (world, store) = World::new().await;
    let proof = world.take(&store, &[OBJECT], false).await.unwrap();
    let record = world.folder.path().join("backups.json");
    assert!(backup::record::list(&record).unwrap().is_empty());
    backup::record::add(&record, &proof).unwrap();
    backup::record::add(&record, &proof).unwrap();
    let known = backup::record::list(&record).unwrap();
    assert!(known.len() == 1 && known[0].is_there && known[0].proof == proof);
    std::fs::write(&proof.file, "shorter").unwrap();
    assert!(!backup::record::list(&record).unwrap()[0].is_there);
}
