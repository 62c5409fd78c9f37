//! The record of what was tried: `target/evidence/isolation.json`, and a table on the output.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;

use super::table::Place;

pub(super) const OPEN: &str = "open, and told by doctor";

/// One attempt and how it ended.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) attempt: &'static str,
    pub(super) breaks: &'static str,
    pub(super) from: Place,
    pub(super) outcome: &'static str,
    pub(super) saw: String,
    pub(super) walls: Vec<&'static str>,
}

fn whom() -> &'static str {
    if rustix::process::geteuid().is_root() { "root" } else { "user" }
}

/// Where this process may write: an ordinary user is given a folder by whoever started it.
fn folder() -> PathBuf {
    std::env::var_os("ORLOP_EVIDENCE")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/evidence"), PathBuf::from)
}

/// Writes the part of this user.
pub(super) fn write(records: &[Record]) {
    let rows: Vec<serde_json::Value> = records
        .iter()
        .map(|r| {
            serde_json::json!({
                "attempt": r.attempt, "breaks": r.breaks, "from": r.from.word(), "as": whom(),
                "outcome": r.outcome, "saw": r.saw, "walls": r.walls,
            })
        })
        .collect();
    merge(&serde_json::json!({ whom(): rows }));
}

/// Puts parts into the record, next to those of other processes.
pub(crate) fn merge(parts: &serde_json::Value) {
    let folder = folder();
    std::fs::create_dir_all(&folder).expect("the folder of the evidence");
    let lock = File::create(folder.join("isolation.lock")).expect("the lock of the record");
    lock.lock().expect("the lock of the record");
    let path = folder.join("isolation.json");
    let mut all: BTreeMap<String, serde_json::Value> =
        std::fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    for (whom, part) in parts.as_object().into_iter().flatten() {
        all.insert(whom.clone(), part.clone());
    }
    let text = serde_json::to_string_pretty(&all).expect("a record is JSON");
    std::fs::write(&path, text).expect("the record");
}

/// How many ended how, and everything that is not simply held.
pub(super) fn print(records: &[Record]) {
    for from in Place::ALL {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        records.iter().filter(|r| r.from == from).for_each(|r| *counts.entry(r.outcome).or_default() += 1);
        println!("as {}, from {}: {counts:?}", whom(), from.word());
    }
    for r in records.iter().filter(|r| r.outcome != "held" && r.outcome != "absent") {
        println!("{:<28} from {:<20} {} ({}): {}", r.attempt, r.from.word(), r.outcome, r.walls.join(", "), r.saw);
    }
}
