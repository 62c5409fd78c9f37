//! A backup is made while people deploy, and another machine goes on from it.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use store::testing::Cluster;

use crate::load::Load;
use crate::support::{Installation, Up, eventually, fixture};

const SECRET: &str = "a-planted-secret-for-backups-7Q";

/// An installation with a service that was deployed twice and has settings.
fn prepared() -> (Installation, Up) {
    let place = Installation::new();
    let up = place.up();
    let folder = place.copy(&fixture("procfile"), "shop");
    place.orlop_in(&folder, ["deploy"]).ok();
    place.orlop_in(&folder, ["setting", "set", "GREETING=hello"]).ok();
    set_secret(&place, &folder);
    place.orlop_in(&folder, ["deploy"]).ok();
    place.orlop_in(&folder, ["promote", "--to", "staging"]).ok();
    (place, up)
}

/// A secret is typed or piped, never an argument.
fn set_secret(place: &Installation, folder: &Path) {
    let mut command = place.command(["setting", "set", "--secret", "TOKEN"]);
    let mut child = command.current_dir(folder).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(SECRET.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

fn backup(place: &Installation, to: &Path) -> Value {
    place.orlop(["backup", "--json", "--to", &to.display().to_string()]).ok().json()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_load_brings_everything_back() {
    let (place, up) = prepared();
    let load = Load::begin(&up.gateway, "shop-dev.localhost");
    load.more().await;
    let file = place.home().join("elsewhere/one.tar.gz");
    let stop = AtomicBool::new(false);
    let (proof, set) = std::thread::scope(|scope| {
        let busy = scope.spawn(|| {
            let (folder, mut n) = (place.home().join("shop"), 0);
            while !stop.load(Ordering::Relaxed) {
                place.orlop_in(&folder, ["setting", "set", "--env", "prod", &format!("COUNT={n}")]).ok();
                n += 1;
            }
            n
        });
        let proof = backup(&place, &file);
        stop.store(true, Ordering::Relaxed);
        (proof, busy.join().unwrap())
    });
    assert!(set > 0, "it was busy");
    load.more().await;
    assert_eq!(load.end().await, Vec::<String>::new());
    let bytes = std::fs::read(&file).unwrap();
    assert!(!bytes.windows(SECRET.len()).any(|w| w == SECRET.as_bytes()));
    place.orlop(["backup", "verify", &file.display().to_string()]).ok();
    let listed = place.orlop(["backup", "list", "--json"]).ok().json();
    assert_eq!(listed.pointer("/items/0/isThere"), Some(&Value::Bool(true)), "{listed}");
    place.orlop(["down"]).ok();

    let other = Installation::new();
    let key = place.data.join("master.key").display().to_string();
    let file = file.display().to_string();
    let refused = other.orlop(["restore", &file, "--data", &other.data.display().to_string()]);
    assert!(refused.code != 0 && refused.err.contains("--key"), "{refused:?}");
    assert!(!other.data.exists(), "a refused restore leaves nothing");
    other.orlop(["restore", &file, "--key", &key]).ok();
    let again = backup(&other, &other.home().join("again.tar.gz"));
    assert_eq!(again["ledger"], proof["ledger"], "the ledger is equal by hash");
    assert_eq!((&again["objects"], &again["repositories"]), (&proof["objects"], &proof["repositories"]));
    assert_healthy(&other);
}

/// Brings a restored installation up: all is green without anybody's help, with settings and secrets.
fn assert_healthy(place: &Installation) {
    place.up();
    eventually("everything is healthy", || {
        let status = place.orlop(["status", "--json"]).ok().json();
        let all = status.pointer("/items/0/environments").and_then(Value::as_array).cloned().unwrap_or_default();
        let running: Vec<_> = all.iter().filter(|e| e["health"] != "absent").collect();
        running.len() >= 2 && running.iter().all(|e| e["health"] == "healthy")
    });
    assert!(place.orlop(["audit", "verify"]).ok().out.contains("ok"));
    let settings = place.orlop(["setting", "list", "--service", "shop", "--json"]).ok().out;
    assert!(settings.contains("GREETING") && settings.contains("TOKEN"), "{settings}");
    place.orlop(["restart", "--service", "shop", "--env", "dev"]).ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_moves_to_postgres() {
    let Some(cluster) = Cluster::own().await else { return };
    let (place, _) = prepared();
    let file = place.home().join("one.tar.gz");
    let proof = backup(&place, &file);
    place.orlop(["down"]).ok();
    let url = cluster.database().await;
    let mut other = Installation::new();
    let key = place.data.join("master.key").display().to_string();
    other.orlop(["restore", &file.display().to_string(), "--key", &key, "--database", &url]).ok();
    assert!(!other.data.join("orlop.db").exists(), "the ledger is elsewhere");
    let again = other.orlop(["backup", "--json", "--to", "again.tar.gz", "--database", &url]).ok().json();
    assert_eq!(again["ledger"], proof["ledger"], "equal by hash across databases");
    other.flags = vec!["--database".to_owned(), url];
    assert_healthy(&other);
}
