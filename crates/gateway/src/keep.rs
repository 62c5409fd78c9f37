//! The last good snapshot and the one before it, on disk.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use base::{Digest, Problem, Result};
use ports::Snapshot;

use crate::table::validate;

/// Largest snapshot, bytes.
pub(crate) const SNAPSHOT_BYTES_MAX: u64 = 256 << 20;

const HEAD: &str = "{\"digest\":\"";
const MIDDLE: &str = "\",\"snapshot\":";
const TAIL: &str = "}\n";

/// The directory with `snapshot.json` and `snapshot.prev.json`: one JSON object each, with the
/// snapshot and the digest of its text.
#[derive(Debug)]
pub(crate) struct Keep {
    dir: PathBuf,
}

/// What was found on disk.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) snapshot: Option<Snapshot>,
    /// Why it is not what was last given.
    pub(crate) degraded: Option<String>,
}

impl Keep {
    pub(crate) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Makes this the last good snapshot, durably: when it returns, a crash cannot lose it.
    pub(crate) fn store(&self, snapshot: &Snapshot) -> Result<()> {
        self.write(snapshot).map_err(|e| {
            Problem::internal(
                "snapshot-not-kept",
                format!("writing the snapshot to {} failed: {e}", self.dir.display()),
            )
            .hint("see that the disk is not full and the directory can be written")
        })
    }

    fn write(&self, snapshot: &Snapshot) -> io::Result<()> {
        let json = serde_json::to_vec(snapshot)?;
        let [next, current, previous, link] =
            ["snapshot.json.new", "snapshot.json", "snapshot.prev.json", "snapshot.prev.json.new"]
                .map(|name| self.dir.join(name));
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
        File::open(&self.dir)?.sync_all()
    }

    /// The last good snapshot, or the one before it where that cannot be read.
    pub(crate) fn load(&self) -> Loaded {
        let current = read(&self.dir.join("snapshot.json"));
        let why = match current {
            Ok(Some(snapshot)) => return Loaded { snapshot: Some(snapshot), degraded: None },
            Ok(None) => None,
            Err(problem) => Some(format!("snapshot.json: {problem}")),
        };
        let previous = read(&self.dir.join("snapshot.prev.json"));
        match (previous, why) {
            (Ok(None), None) => Loaded { snapshot: None, degraded: None },
            (Ok(Some(snapshot)), why) => {
                let why = why.unwrap_or_else(|| "snapshot.json is missing".to_owned());
                let generation = snapshot.generation;
                let degraded = Some(format!("{why}; serving the one before it, generation {generation}"));
                Loaded { snapshot: Some(snapshot), degraded }
            }
            (Ok(None), Some(why)) => Loaded { snapshot: None, degraded: Some(format!("{why}; nothing is served")) },
            (Err(problem), why) => {
                let why = why.map(|w| format!("{w}; ")).unwrap_or_default();
                let degraded = Some(format!("{why}snapshot.prev.json: {problem}; nothing is served"));
                Loaded { snapshot: None, degraded }
            }
        }
    }
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

    /// Stores generations 1 and 2, damages files, and loads.
    fn check(damage: impl FnOnce(&Path), generation: Option<i64>, is_degraded: bool) {
        let dir = tempfile::tempdir().unwrap();
        let keep = Keep::new(dir.path());
        keep.store(&snapshot(1)).unwrap();
        keep.store(&snapshot(2)).unwrap();
        damage(dir.path());
        let loaded = keep.load();
        assert_eq!(loaded.snapshot.map(|s| s.generation.0), generation, "{:?}", loaded.degraded);
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
                let json = r#"{"format":2,"generation":9,"routes":[],"new":true}"#;
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
        keep.store(&snapshot(1)).unwrap();
        keep.store(&snapshot(2)).unwrap();
        fs::write(dir.path().join("snapshot.json"), "garbage").unwrap();
        keep.store(&snapshot(3)).unwrap();
        fs::write(dir.path().join("snapshot.json"), "garbage").unwrap();
        assert_eq!(keep.load().snapshot.unwrap().generation.0, 1);
    }
}
