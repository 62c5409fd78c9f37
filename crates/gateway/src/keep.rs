//! What survives on disk: the last good snapshot, the one before it, and the changes since.

#[cfg(feature = "fuzzing")]
pub(crate) mod fuzz;
mod journal;

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use base::{Digest, Problem, Result};
use parking_lot::Mutex;
use ports::{Snapshot, SnapshotChange};

use crate::table::{Book, validate};
use journal::Stopped;

/// Largest snapshot, bytes.
pub(crate) const SNAPSHOT_BYTES_MAX: u64 = 256 << 20;
/// A journal shorter than this is never too long.
const JOURNAL_BYTES_MIN: u64 = 1 << 20;

const HEAD: &str = "{\"digest\":\"";
const MIDDLE: &str = "\",\"snapshot\":";
const TAIL: &str = "}\n";

const CURRENT: &str = "snapshot.json";
const PREVIOUS: &str = "snapshot.prev.json";
const JOURNAL: &str = "changes.jsonl";
const JOURNAL_PREVIOUS: &str = "changes.prev.jsonl";

/// The directory with `snapshot.json` and `snapshot.prev.json`: one JSON object each, with the
/// snapshot and the digest of its text. `changes.jsonl` has what was changed since the former,
/// `changes.prev.jsonl` what lies between the two.
#[derive(Debug)]
pub(crate) struct Keep {
    dir: PathBuf,
    lengths: Mutex<Lengths>,
}

/// How much of what was read or written counts.
#[derive(Debug, Default)]
struct Lengths {
    /// Bytes of the journal up to the end of its last good line; whatever follows is not whole.
    journal: u64,
    /// Bytes of the last whole snapshot.
    snapshot: u64,
}

/// What was found on disk.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) book: Option<Book>,
    /// Why it is not what was last given.
    pub(crate) degraded: Option<String>,
}

impl Keep {
    pub(crate) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), lengths: Mutex::default() }
    }

    /// The gateway's directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes this the last good snapshot, durably: when it returns, a crash cannot lose it.
    pub(crate) fn store(&self, book: &Book) -> Result<()> {
        let mut lengths = self.lengths.lock();
        self.write(book, &mut lengths).map_err(|e| self.not_kept(&e))
    }

    /// Makes a change durable, at the cost of the change. Returns whether the journal has become so
    /// long that the whole should be stored.
    pub(crate) fn append(&self, change: &SnapshotChange) -> Result<bool> {
        let mut lengths = self.lengths.lock();
        let at = lengths.journal;
        lengths.journal = journal::append(&self.dir.join(JOURNAL), at, change).map_err(|e| self.not_kept(&e))?;
        Ok(lengths.journal > lengths.snapshot.max(JOURNAL_BYTES_MIN))
    }

    fn not_kept(&self, e: &io::Error) -> Problem {
        Problem::internal("snapshot-not-kept", format!("writing the snapshot to {} failed: {e}", self.dir.display()))
            .hint("see that the disk is not full and the directory can be written")
    }

    fn write(&self, book: &Book, lengths: &mut Lengths) -> io::Result<()> {
        let json = book.to_json()?;
        let [next, current, previous, link] =
            ["snapshot.json.new", CURRENT, PREVIOUS, "snapshot.prev.json.new"].map(|name| self.dir.join(name));
        let mut file = File::create(&next)?;
        file.write_all(HEAD.as_bytes())?;
        file.write_all(Digest::of(&json).to_string().as_bytes())?;
        file.write_all(MIDDLE.as_bytes())?;
        file.write_all(&json)?;
        file.write_all(TAIL.as_bytes())?;
        file.sync_all()?;
        // A copy that cannot be read is not worth more than the one before it.
        if read(&current).is_ok_and(|s| s.is_some()) {
            match fs::remove_file(&link) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => fs::hard_link(&current, &link)?,
            }
            fs::rename(&link, &previous)?;
        }
        fs::rename(&next, &current)?;
        lengths.snapshot = u64::try_from(json.len()).unwrap_or(u64::MAX);
        // Only now: until here the journal belonged to the snapshot before. A crash in between leaves
        // a journal whose changes are older than the snapshot, and those are passed over.
        match fs::rename(self.dir.join(JOURNAL), self.dir.join(JOURNAL_PREVIOUS)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => lengths.journal = 0,
        }
        File::open(&self.dir)?.sync_all()
    }

    /// What was last given: the last good snapshot (or the one before it, where that cannot be read)
    /// with the changes since.
    pub(crate) fn load(&self) -> Loaded {
        let mut lengths = self.lengths.lock();
        let Found { snapshot, is_previous, mut degraded } = self.find();
        let mut book = snapshot.map(Book::of);
        *lengths = Lengths {
            journal: fs::metadata(self.dir.join(JOURNAL)).map_or(0, |meta| meta.len()),
            snapshot: fs::metadata(self.dir.join(CURRENT)).map_or(0, |meta| meta.len()),
        };
        let Some(served) = &mut book else { return Loaded { book, degraded } };
        let mut stopped = Vec::new();
        if is_previous {
            stopped.extend(journal::replay(&self.dir.join(JOURNAL_PREVIOUS), served).stopped);
        }
        let last = journal::replay(&self.dir.join(JOURNAL), served);
        lengths.journal = last.good;
        stopped.extend(last.stopped);
        for Stopped { why, lost } in stopped {
            // A line that is not whole at the very end was never acknowledged.
            if lost {
                let generation = served.generation();
                degraded.get_or_insert_with(|| {
                    format!("the changes since the snapshot: {why}; serving generation {generation}")
                });
            }
        }
        if let (Some(why), true) = (&mut degraded, is_previous) {
            why.push_str(&format!("; serving the one before it, generation {}", served.generation()));
        }
        Loaded { book, degraded }
    }

    /// The last good snapshot, or the one before it where that cannot be read.
    fn find(&self) -> Found {
        let why = match read(&self.dir.join(CURRENT)) {
            Ok(Some(snapshot)) => return Found { snapshot: Some(snapshot), is_previous: false, degraded: None },
            Ok(None) => None,
            Err(problem) => Some(format!("snapshot.json: {problem}")),
        };
        let found = |snapshot, degraded| Found { snapshot, is_previous: true, degraded };
        match (read(&self.dir.join(PREVIOUS)), why) {
            (Ok(None), None) => found(None, None),
            (Ok(Some(snapshot)), why) => {
                found(Some(snapshot), Some(why.unwrap_or_else(|| "snapshot.json is missing".to_owned())))
            }
            (Ok(None), Some(why)) => found(None, Some(format!("{why}; nothing is served"))),
            (Err(problem), why) => {
                let why = why.map(|w| format!("{w}; ")).unwrap_or_default();
                found(None, Some(format!("{why}snapshot.prev.json: {problem}; nothing is served")))
            }
        }
    }
}

/// The whole snapshot that can be built upon.
struct Found {
    snapshot: Option<Snapshot>,
    is_previous: bool,
    degraded: Option<String>,
}

/// Reads and validates a kept snapshot; `None` where there is no file.
fn read(path: &Path) -> Result<Option<Snapshot>> {
    let bad = |text: &str| Problem::internal("bad-snapshot", text);
    let size = match fs::metadata(path) {
        Ok(meta) => meta.len(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(bad(&e.to_string())),
    };
    if size > SNAPSHOT_BYTES_MAX {
        return Err(bad("the file is too large"));
    }
    let text = fs::read_to_string(path).map_err(|e| bad(&e.to_string()))?;
    let parts = text.strip_prefix(HEAD).and_then(|rest| rest.strip_suffix(TAIL)).and_then(|r| r.split_once(MIDDLE));
    let (digest, json) = parts.ok_or_else(|| bad("the file is not whole"))?;
    if digest.parse::<Digest>()? != Digest::of(json.as_bytes()) {
        return Err(bad("the content does not have the digest written beside it"));
    }
    // The format is looked at first: a newer one may have fields that are unknown here.
    #[derive(serde::Deserialize)]
    struct Format {
        format: u32,
    }
    let format: Format = serde_json::from_str(json).map_err(|e| bad(&e.to_string()))?;
    if format.format > ports::SNAPSHOT_FORMAT {
        return Err(bad(&format!("format {} is of a newer gateway", format.format)));
    }
    let snapshot: Snapshot = serde_json::from_str(json).map_err(|e| bad(&e.to_string()))?;
    validate(&snapshot)?;
    Ok(Some(snapshot))
}

#[cfg(test)]
mod tests {
    use base::Generation;

    use super::*;

    fn snapshot(generation: i64) -> Snapshot {
        Snapshot { format: 1, generation: Generation(generation), routes: Vec::new() }
    }

    fn book(generation: i64) -> Book {
        Book::of(snapshot(generation))
    }

    fn change(base: i64) -> SnapshotChange {
        let route = ports::Route {
            service: format!("s{base}").parse().unwrap(),
            environment: "dev".parse().unwrap(),
            hosts: vec![format!("s{base}-dev.localhost").parse().unwrap()],
            backends: Vec::new(),
        };
        let (base, generation) = (Generation(base), Generation(base + 1));
        SnapshotChange { format: 1, base, generation, routes: vec![route], gone: Vec::new() }
    }

    /// What a gateway that starts in a folder finds: generation, number of routes, whether degraded.
    fn found(dir: &Path) -> (i64, usize, bool) {
        let Loaded { book, degraded } = Keep::new(dir).load();
        let (generation, routes) = book.map_or((0, 0), |book| (book.generation().0, book.routes().len()));
        (generation, routes, degraded.is_some())
    }

    /// A folder with snapshot 1, changes to 3, snapshot 3, changes to 5: what a gateway leaves that
    /// stored the whole once.
    fn grown() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let keep = Keep::new(dir.path());
        keep.load();
        let mut now = book(1);
        keep.store(&now).unwrap();
        for base in 1..5 {
            if base == 3 {
                keep.store(&now).unwrap();
            }
            assert!(!keep.append(&change(base)).unwrap(), "it is short");
            now.take(&change(base));
        }
        assert_eq!(found(dir.path()), (5, 4, false));
        dir
    }

    #[test]
    fn a_crash_at_any_byte_leaves_what_was_acknowledged() {
        let dir = grown();
        let journal = dir.path().join(JOURNAL);
        let whole = fs::read(&journal).unwrap();
        let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        for length in (0..whole.len()).step_by(5).chain([first - 1, first, whole.len() - 1, whole.len()]) {
            fs::write(&journal, &whole[..length]).unwrap();
            let acknowledged = 3 + i64::from(length >= first) + i64::from(length == whole.len());
            let (generation, routes, degraded) = found(dir.path());
            assert_eq!((generation, degraded), (acknowledged, false), "{length} bytes");
            assert_eq!(routes, usize::try_from(generation - 1).unwrap());
            // What follows is found again, whatever the crash left at the end.
            let keep = Keep::new(dir.path());
            keep.load();
            keep.append(&change(acknowledged)).unwrap();
            assert_eq!(found(dir.path()).0, acknowledged + 1, "{length} bytes");
        }
    }

    #[test]
    fn a_crash_between_the_steps_of_storing_the_whole_loses_nothing() {
        let dir = grown();
        let whole = |name: &str| fs::read(dir.path().join(name)).unwrap();
        let (journal, current) = (whole(JOURNAL), whole(CURRENT));
        let keep = Keep::new(dir.path());
        let book = keep.load().book.unwrap();
        keep.store(&book).unwrap();
        assert_eq!(found(dir.path()), (5, 4, false));
        // The snapshot is new and the journal not moved yet.
        fs::write(dir.path().join(JOURNAL), &journal).unwrap();
        assert_eq!(found(dir.path()), (5, 4, false));
        let keep = Keep::new(dir.path());
        keep.load();
        keep.append(&change(5)).unwrap();
        assert_eq!(found(dir.path()), (6, 5, false));
        // The snapshot before is linked and the new one not moved yet.
        fs::write(dir.path().join(CURRENT), &current).unwrap();
        fs::write(dir.path().join(JOURNAL), &journal).unwrap();
        assert_eq!(found(dir.path()), (5, 4, false));
    }

    #[test]
    fn without_the_snapshot_the_one_before_it_and_all_changes_lead_to_the_same() {
        let dir = grown();
        fs::write(dir.path().join(CURRENT), "garbage").unwrap();
        assert_eq!(found(dir.path()), (5, 4, true));
        fs::remove_file(dir.path().join(JOURNAL_PREVIOUS)).unwrap();
        assert_eq!(found(dir.path()), (1, 0, true), "a gap ends it");
    }

    #[test]
    fn damage_in_the_middle_of_the_journal_is_told() {
        let dir = grown();
        let path = dir.path().join(JOURNAL);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replacen("s3-dev", "x3-dev", 1)).unwrap();
        assert_eq!(found(dir.path()), (3, 2, true));
    }

    #[test]
    fn a_failed_append_is_no_obstacle_for_the_next() {
        let dir = grown();
        let keep = Keep::new(dir.path());
        keep.load();
        let journal = dir.path().join(JOURNAL);
        let good = fs::read(&journal).unwrap();
        let torn: Vec<u8> = good.iter().copied().chain(*b"{\"digest\":\"sha2").collect();
        fs::write(&journal, torn).unwrap();
        keep.append(&change(5)).unwrap();
        assert_eq!(found(dir.path()), (6, 5, false));
    }

    #[test]
    fn a_long_journal_asks_for_the_whole() {
        let dir = tempfile::tempdir().unwrap();
        let keep = Keep::new(dir.path());
        keep.store(&book(1)).unwrap();
        let mut base = 1;
        while !keep.append(&change(base)).unwrap() {
            base += 1;
            keep.lengths.lock().journal += JOURNAL_BYTES_MIN / 8;
            fs::File::options()
                .append(true)
                .open(dir.path().join(JOURNAL))
                .unwrap()
                .set_len(keep.lengths.lock().journal)
                .unwrap();
        }
        assert!(base > 2, "{base}");
        keep.store(&book(base + 1)).unwrap();
        assert!(!keep.append(&change(base + 1)).unwrap());
    }

    /// Stores generations 1 and 2, damages files, and loads.
    fn check(damage: impl FnOnce(&Path), generation: Option<i64>, is_degraded: bool) {
        let dir = tempfile::tempdir().unwrap();
        let keep = Keep::new(dir.path());
        keep.store(&book(1)).unwrap();
        keep.store(&book(2)).unwrap();
        damage(dir.path());
        let loaded = keep.load();
        assert_eq!(loaded.book.map(|b| b.generation().0), generation, "{:?}", loaded.degraded);
        assert_eq!(loaded.degraded.is_some(), is_degraded, "{:?}", loaded.degraded);
    }

    #[test]
    fn damage_is_noticed_and_the_copy_before_serves() {
        let file = |dir: &Path| dir.join("snapshot.json");
        let both = |dir: &Path, text: &str| {
            fs::write(dir.join("snapshot.json"), text).unwrap();
            fs::write(dir.join("snapshot.prev.json"), text).unwrap();
        };
        check(|_| {}, Some(2), false);
        check(|dir| fs::write(file(dir), "").unwrap(), Some(1), true);
        check(|dir| fs::remove_file(file(dir)).unwrap(), Some(1), true);
        check(
            |dir| {
                let text = fs::read_to_string(file(dir)).unwrap();
                fs::write(file(dir), text.replace("\"generation\":2", "\"generation\":3")).unwrap();
            },
            Some(1),
            true,
        );
        check(
            |dir| {
                let json = r#"{"format":3,"generation":9,"routes":[],"new":true}"#;
                let digest = Digest::of(json.as_bytes());
                fs::write(file(dir), format!("{HEAD}{digest}{MIDDLE}{json}{TAIL}")).unwrap();
            },
            Some(1),
            true,
        );
        check(|dir| both(dir, "garbage"), None, true);
        check(
            |dir| {
                fs::remove_file(dir.join("snapshot.json")).unwrap();
                fs::remove_file(dir.join("snapshot.prev.json")).unwrap();
            },
            None,
            false,
        );
    }

    #[test]
    fn a_damaged_copy_does_not_displace_the_good_one_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let keep = Keep::new(dir.path());
        keep.store(&book(1)).unwrap();
        keep.store(&book(2)).unwrap();
        fs::write(dir.path().join("snapshot.json"), "garbage").unwrap();
        keep.store(&book(3)).unwrap();
        fs::write(dir.path().join("snapshot.json"), "garbage").unwrap();
        assert_eq!(keep.load().book.unwrap().generation().0, 1);
    }
}
