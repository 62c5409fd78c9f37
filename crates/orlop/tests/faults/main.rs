//! The n-th write, fsync and rename of each writer of the data folder fails, for n = 1, 2, … until
//! the whole play passes without a fault: with EIO once, and with a disk that is full from there on.
//! What was acknowledged is there afterwards, nothing is half there, and nothing is acknowledged
//! whose fsync failed.
//!
//! Each play runs in a process of its own (this test program again) behind a small library that
//! stands between it and the C library, so the real files of the real writers are meant. Where no C
//! compiler is, the test says so and is skipped.

#![expect(clippy::disallowed_methods, reason = "starts the C compiler, itself as a child, and git")]

mod engine;
mod gateway;
mod play;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Serialize;

use play::Play;

/// More faults than any play has effects of a kind.
const FAULTS_MAX: u64 = 600;

/// The exit status with which the store ends a process whose disk did not keep what it was given.
const ENDED: i32 = 74;

/// What was tried of one play.
#[derive(Debug, Default, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Tried {
    /// Faults, by kind of call and error.
    faults: BTreeMap<String, u64>,
    /// Things that were acknowledged in spite of one, and were all there.
    acknowledged: u64,
    /// Things that were refused.
    refused: u64,
    /// Processes that ended because an fsync failed.
    ended: u64,
}

/// What one run of a play left in the log, in order.
#[derive(Debug, Default)]
struct Told {
    lines: Vec<String>,
    status: Option<i32>,
}

impl Told {
    fn of<'a>(&'a self, word: &str) -> impl Iterator<Item = &'a str> {
        self.lines.iter().filter_map(move |line| line.strip_prefix(word)?.strip_prefix(' '))
    }

    /// What was acknowledged although an fsync of it had failed since it began.
    fn lies(&self) -> Vec<&str> {
        let (mut unsynced, mut lies) = (false, Vec::new());
        for line in &self.lines {
            match line.split_once(' ') {
                Some(("begin", _)) => unsynced = false,
                Some(("fired", rest)) if rest.starts_with("fsync") => unsynced = true,
                Some(("ack", what)) if unsynced => lies.push(what),
                _ => {}
            }
        }
        lies
    }

    /// Unpacked artifacts that got their name before their file system was synced: a loss of power would leave parts.
    fn unsafe_names(&self) -> Vec<&str> {
        let (mut is_synced, mut found) = (false, Vec::new());
        for line in &self.lines {
            match line.split_once(' ') {
                Some(("begin", _)) => is_synced = false,
                Some(("synced", path)) if path.ends_with("/images") => is_synced = true,
                Some(("renamed", path)) if path.contains("/images/") && !is_synced => found.push(path),
                _ => {}
            }
        }
        found
    }
}

fn shim(folder: &Path) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/shim.c");
    let library = folder.join("shim.so");
    let built =
        Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).arg("-ldl").output();
    match built {
        Ok(output) if output.status.success() => Some(library),
        Ok(output) => panic!("shim.c cannot be compiled: {}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => {
            println!("SKIPPED: no C compiler to make the library that fails calls: {error}");
            None
        }
    }
}

/// Runs a play in a process of its own; the n-th call of a kind fails.
fn run(shim: &Path, play: Play, home: &Path, op: &str, error: &str, n: u64) -> Told {
    let log = home.join("log");
    let data = home.join("data");
    std::fs::create_dir_all(&data).expect("a folder can be made");
    // What the engine starts inherits nothing: it is told which library to put in between. What an
    // instance sees below `root` is made in memory, by a process that cannot write the log.
    let (library, below, not) = match play.is_elsewhere() {
        true => ("FAULT_SHIM", data.join("engine/instances"), "root/"),
        false => ("LD_PRELOAD", data.clone(), ""),
    };
    let output = Command::new(std::env::current_exe().expect("this program has a path"))
        .args(["--exact", "play::child", "--ignored", "--nocapture"])
        .env(library, shim)
        .env("FAULT_PLAY", play.name())
        .env("FAULT_DATA", &data)
        .env("FAULT_DIR", &below)
        .env("FAULT_NOT", not)
        .env("FAULT_OP", op)
        .env("FAULT_ERRNO", error)
        .env("FAULT_N", n.to_string())
        .env("FAULT_LOG", &log)
        .stdin(Stdio::null())
        .output()
        .expect("this program can be started");
    let text = std::fs::read_to_string(&log).unwrap_or_default();
    let lines = text.lines().map(str::to_owned).collect();
    let told = Told { lines, status: output.status.code() };
    // It passes, or it ends by the rule about fsync; a panic is neither.
    let fine = told.status == Some(0) || told.status == Some(ENDED);
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(fine, "{}, {op} {n} with {error}: it ended with {:?}\n{said}", play.name(), output.status);
    told
}

/// Every n until none fires any more.
async fn every_fault(play: Play) {
    let place = tempfile::tempdir().expect("there is a place for temporary files");
    let Some(shim) = shim(place.path()) else { return };
    let mut tried = Tried::default();
    for op in ["write", "fsync", "rename"] {
        for error in ["EIO", "ENOSPC"] {
            let mut n = 1;
            loop {
                assert!(n < FAULTS_MAX, "{}: more than {FAULTS_MAX} calls of {op}", play.name());
                let home = tempfile::tempdir().expect("there is a place for temporary files");
                let told = run(&shim, play, home.path(), op, error, n);
                let what = format!("{}, {op} {n} with {error}: {:?}", play.name(), told.lines);
                let fired = told.of("fired").count() > 0;
                // A keeper's state is what is seen of an instance, not a promise: it is written again.
                let lies = if play.is_elsewhere() { Vec::new() } else { told.lies() };
                assert!(lies.is_empty(), "{what}: acknowledged although an fsync failed: {lies:?}");
                assert_eq!(told.unsafe_names(), Vec::<&str>::new(), "{what}: named before it was on the disk");
                let acked: Vec<&str> = told.of("ack").collect();
                if let Err(problem) = play.verify(&home.path().join("data"), &acked).await {
                    panic!("{what}: {problem}");
                }
                if !fired {
                    let names = told.of("renamed").filter(|path| path.contains("/images/")).count();
                    assert_eq!(names, usize::from(play == Play::Engine), "{what}: artifacts that got their name");
                    assert_eq!(told.of("refused").count(), 0, "{what}: refused without a fault");
                    assert_eq!(acked.len(), play.acks(), "{what}: without a fault everything is acknowledged");
                    break;
                }
                *tried.faults.entry(format!("{op} {error}")).or_default() += 1;
                tried.acknowledged += acked.len() as u64;
                tried.refused += told.of("refused").count() as u64;
                tried.ended += u64::from(told.status == Some(ENDED));
                n += 1;
            }
        }
    }
    let faults: u64 = tried.faults.values().sum();
    println!("{}: {faults} faults, nothing acknowledged was lost: {tried:?}", play.name());
    assert!(faults > 3, "{}: hardly anything was tried: is the library in between?", play.name());
    record(play.name(), &tried);
}

#[tokio::test]
async fn the_store_loses_nothing_it_acknowledged() {
    every_fault(Play::Store).await;
}

#[tokio::test]
async fn objects_are_whole_or_not_there() {
    every_fault(Play::Objects).await;
}

#[tokio::test]
async fn the_master_key_is_whole_or_not_there() {
    every_fault(Play::Key).await;
}

#[tokio::test]
async fn a_push_that_was_acknowledged_is_there() {
    every_fault(Play::Git).await;
}

#[tokio::test]
async fn the_gateway_serves_what_it_acknowledged() {
    every_fault(Play::Gateway).await;
}

#[tokio::test]
async fn the_engine_loses_no_instance_and_unpacks_whole_or_not() {
    every_fault(Play::Engine).await;
}

#[tokio::test]
async fn a_keeper_tells_the_truth_on_a_disk_that_fails() {
    every_fault(Play::Keeper).await;
}

/// A checker is tried on what it must notice.
#[test]
fn an_acknowledgement_behind_a_failed_fsync_is_noticed() {
    let told = |lines: &[&str]| Told { lines: lines.iter().map(|l| (*l).to_owned()).collect(), status: Some(0) };
    assert_eq!(told(&["begin 1", "fired fsync /x", "ack 1"]).lies(), ["1"]);
    assert!(told(&["begin 1", "fired fsync /x", "refused 1", "begin 2", "ack 2"]).lies().is_empty());
    assert!(told(&["begin 1", "fired write /x", "ack 1"]).lies().is_empty());
}

#[test]
fn an_artifact_that_is_named_before_it_is_synced_is_noticed() {
    let told = |lines: &[&str]| Told { lines: lines.iter().map(|l| (*l).to_owned()).collect(), status: Some(0) };
    let named = "renamed /data/engine/images/abc";
    assert_eq!(told(&["begin ensure", named]).unsafe_names(), ["/data/engine/images/abc"]);
    assert!(told(&["begin ensure", "synced /data/engine/images", named]).unsafe_names().is_empty());
    assert_eq!(told(&["synced /data/engine/images", "begin ensure", named]).unsafe_names().len(), 1);
    assert!(told(&["begin ensure", "renamed /data/engine/instances/1/meta.json"]).unsafe_names().is_empty());
}

/// Adds what was tried to `target/evidence/faults.json`.
fn record(name: &str, tried: &Tried) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/evidence");
    std::fs::create_dir_all(&folder).expect("the folder of evidence can be made");
    let lock = std::fs::File::create(folder.join("faults.lock")).expect("a lock can be made");
    lock.lock().expect("a lock can be taken");
    let path = folder.join("faults.json");
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let mut all: BTreeMap<String, serde_json::Value> = serde_json::from_str(&text).unwrap_or_default();
    all.insert(name.to_owned(), serde_json::to_value(tried).expect("it is JSON"));
    std::fs::write(&path, serde_json::to_string_pretty(&all).expect("it is JSON")).expect("the record can be written");
}
