//! Data of the version before, taken over, and given back.
//!
//! What an older version leaves is kept in the folder `kept` of this crate: one archive of a data folder for each. A
//! release adds one with `ORLOP_TEST_KEEP=NAME cargo test --workspace --test days -- --ignored keep`. Where
//! `ORLOP_TEST_OLD_BIN` names the binary of the version before, it is run as well, there and back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base::{Problem, Result};
use e2e::{Body, Installation, Options, Source, Steady, ensure};
use reqwest::Method;
use serde_json::{Value, json};

/// The newest one that is kept: what the version before leaves.
const KEPT: &str = "0.1.0-93a2437";

#[test]
fn data_of_the_version_before_are_taken_over() {
    if crate::has("data of the version before", &["python3"]) {
        crate::run(taken_over());
    }
}

#[test]
fn the_version_before_can_work_with_what_this_one_writes() {
    if crate::has("what this version writes", &["python3"]) {
        crate::run(given_back());
    }
}

#[test]
fn there_and_back_with_both_binaries() {
    let Some(old) = std::env::var_os("ORLOP_TEST_OLD_BIN").map(PathBuf::from) else {
        crate::skip("N-1 to N to N-1 with both binaries", "ORLOP_TEST_OLD_BIN names no binary of the version before");
        return;
    };
    crate::run(there_and_back(old));
}

#[test]
#[ignore = "makes the archive that is kept of this version: ORLOP_TEST_KEEP=NAME"]
fn keep() {
    let name = std::env::var("ORLOP_TEST_KEEP").expect("ORLOP_TEST_KEEP names the archive");
    crate::run(keep_data(name));
}

fn archive(name: &str) -> PathBuf {
    kept().join(format!("{name}.tar.gz"))
}

/// Where the data of older versions lies.
fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("kept")
}

/// Two services with releases, rollbacks, settings and a secret, then the end of everything at once.
async fn keep_data(name: String) -> Result<()> {
    let mut place = Installation::start().await?;
    let pages = Source::of(&place, "static", "pages")?;
    pages.deploy().await?.good()?;
    pages.write("index.html", "the second version")?;
    pages.deploy().await?.good()?;
    pages.orlop(&["promote", "--to", "staging", "--service", "pages"]).await?.done()?;
    pages.orlop(&["rollback", "--env", "dev", "--service", "pages"]).await?.done()?;
    let shop = Source::of(&place, "procfile", "shop")?;
    shop.deploy().await?.good()?;
    shop.orlop(&["setting", "set", "GREETING=kept", "--service", "shop"]).await?.done()?;
    crate::until("the setting is in force", async || shop.ask("/").await.is_ok_and(|a| a.body == "kept\n")).await?;
    drop((pages, shop));
    let token = place.client.token().to_owned();
    place.kill_everything();
    let database = place.data().join("orlop.db").display().to_string();
    let script = "import sqlite3, sys\nsqlite3.connect(sys.argv[1]).execute('pragma wal_checkpoint(truncate)')";
    place.program(&place.work(), "python3", &["-c", script, &database]).await?.done()?;
    write(&place.data(), "token", &token)?;
    let target = archive(&name);
    let failed = |e: std::io::Error| Problem::unavailable("disk", e);
    std::fs::create_dir_all(kept()).map_err(failed)?;
    // Unpacked artifacts and caches come again from the objects; sockets are no files.
    let (to, from) = (target.to_string_lossy(), place.data());
    let from = from.to_string_lossy();
    let args = [
        "-czf",
        &to,
        "--exclude=./engine/images/*",
        "--exclude=./engine/caches/*",
        "--exclude=*.sock",
        "--exclude=./run/*.log",
        "--exclude=./gateway/access.log",
        "-C",
        &from,
        ".",
    ];
    place.program(&place.work(), "tar", &args).await?.done()?;
    println!("kept {} ({} bytes)", target.display(), std::fs::metadata(&target).map_or(0, |meta| meta.len()));
    Ok(())
}

fn write(folder: &Path, name: &str, text: &str) -> Result<()> {
    std::fs::write(folder.join(name), text).map_err(|e| Problem::unavailable("disk", e))
}

/// A prepared installation with the kept data in it, and the credential of its person.
fn with_kept(options: Options) -> Result<(Installation, String)> {
    let place = Installation::prepared(options)?;
    let failed = |e: std::io::Error| Problem::unavailable("kept-data", e);
    let file = std::fs::File::open(archive(KEPT)).map_err(failed)?;
    tar::Archive::new(flate2::read::GzDecoder::new(file)).unpack(place.data()).map_err(failed)?;
    let token = std::fs::read_to_string(place.data().join("token")).map_err(failed)?;
    Ok((place, token))
}

async fn taken_over() -> Result<()> {
    let (mut place, token) = with_kept(Options::default())?;
    place.up().await?;
    place.use_token(token);
    as_it_was(&place).await?;
    // And it is a whole installation: a rollback builds nothing, a deploy goes on counting.
    let pages = Source::at(&place, "pages")?;
    let builds = pages.builds().await?.len();
    pages.orlop(&["rollback", "--env", "dev", "--service", "pages"]).await?.done()?;
    ensure!(pages.ask("/").await?.body == "the second version", "the rollback to release 2");
    ensure!(pages.builds().await?.len() == builds, "a rollback builds nothing");
    pages.write("index.html", "the third version")?;
    pages.deploy().await?.good()?;
    ensure!(pages.releases().await?.first().map(|r| r.number) == Some(3), "the next number");
    ensure!(pages.ask("/").await?.body == "the third version", "it is served");
    ensure!(place.orlop(&["audit", "verify"]).await?.status == Some(0), "the fact log verifies with what was added");
    Ok(())
}

/// Everything that was promised before is so. The machine ended while the last setting was watched under
/// traffic, before its rollout was over: it finishes, and `shop` answers with that setting.
async fn as_it_was(place: &Installation) -> Result<()> {
    let ended = async || newest_rollout(place).await.is_ok_and(|rollout| !rollout["ended"].is_null());
    crate::until("the interrupted rollout ends", ended).await?;
    let rollout = newest_rollout(place).await?;
    ensure!(rollout["state"] == "succeeded", "the interrupted rollout finishes: {rollout}");
    as_it_was_but(place, "kept").await
}

async fn newest_rollout(place: &Installation) -> Result<Value> {
    Ok(Steady::of(&place.client)?.get("/v1/services/shop/rollouts").await?["items"][0].clone())
}

/// The same, where `shop` answers this.
async fn as_it_was_but(place: &Installation, setting: &str) -> Result<()> {
    crate::until("everything runs", async || everything_runs(place).await).await?;
    let audit = place.orlop(&["audit", "verify"]).await?;
    ensure!(audit.status == Some(0), "the fact log: {}", audit.all());
    for (host, text) in [("pages-staging", "the second version"), ("shop-dev", setting)] {
        let host = format!("{host}.localhost");
        let answers = async || place.client.ask(&host, "/").await.is_ok_and(|answer| answer.body.trim_end() == text);
        crate::until(&format!("{host} answers {text:?}"), answers).await?;
    }
    let first = place.client.ask("pages-dev.localhost", "/").await?;
    ensure!(first.body.contains("hello from static"), "release 1, rolled back to: {first:?}");
    let numbers: Vec<i64> = Source::at(place, "pages")?.releases().await?.iter().map(|r| r.number).collect();
    ensure!(numbers == [2, 1], "{numbers:?}");
    Ok(())
}

/// As many instances are ready everywhere as are wanted.
async fn everything_runs(place: &Installation) -> bool {
    let Ok(status) = place.orlop(&["status", "--json"]).await else { return false };
    let Ok(status) = serde_json::from_str::<Value>(&status.out) else { return false };
    let services = status["items"].as_array().cloned().unwrap_or_default();
    let environments = services.iter().flat_map(|s| s["environments"].as_array().cloned().unwrap_or_default());
    let mut running = environments.filter(|e| !e["release"].is_null()).peekable();
    running.peek().is_some() && running.all(|e| e["ready"] == e["wanted"] && e["ready"] != json!(0))
}

/// The rule for schema changes, as a check: statements of the version before still run, or the change
/// says in its first line that they do not, and the version before refuses the data.
async fn given_back() -> Result<()> {
    let (mut place, token) = with_kept(Options::default())?;
    let before = schema(&place).await?;
    place.up().await?;
    place.use_token(token);
    as_it_was(&place).await?;
    place.kill_everything();
    let after = schema(&place).await?;
    let breaks = after["breaks"].as_array().cloned().unwrap_or_default();
    let broken = incompatible(&before, &after);
    println!("schema changes that the version before must not meet: {breaks:?}");
    ensure!(
        broken.is_empty() || !breaks.is_empty(),
        "the version before would trip over this, and nothing tells it: {broken:?}"
    );
    ensure!(before["facts"] != json!(0) && after["facts"].as_i64() >= before["facts"].as_i64(), "facts are kept");
    // The gateway's snapshot names its format: a gateway that does not know it serves nothing until its
    // control plane has sent one of its own, instead of misreading it.
    let text = std::fs::read_to_string(place.data().join("gateway/snapshot.json")).unwrap_or_default();
    let snapshot: Value = serde_json::from_str(&text).unwrap_or_default();
    ensure!(snapshot["snapshot"]["format"].as_i64() >= Some(1), "a snapshot without a format: {snapshot}");
    Ok(())
}

/// Tables and columns, and the changes that say they break the version before.
async fn schema(place: &Installation) -> Result<Value> {
    let script = "
import json, sqlite3, sys
with sqlite3.connect('file:' + sys.argv[1] + '?mode=ro', uri=True) as c:
    tables = [row[0] for row in c.execute(\"select name from sqlite_master where type = 'table'\")]
    columns = {t: {r[1]: [r[2], r[3], r[4] is not None] for r in c.execute(f'pragma table_info({t})')} for t in tables}
    unique = {t: [sorted(x[2] for x in c.execute(f'pragma index_info({r[1]})')) for r in c.execute(f'pragma index_list({t})') if r[2]] for t in tables}
    known = 'store_compatible' in tables
    breaks = [' '.join(map(str, r)) for r in c.execute('select capability, number from store_migration where (capability, number) not in (select capability, number from store_compatible) and at > (select min(at) + 60000000 from store_migration)')] if known else []
    print(json.dumps({'columns': columns, 'unique': unique, 'breaks': breaks, 'facts': c.execute('select count(*) from fact').fetchone()[0]}))
";
    let file = place.data().join("orlop.db").display().to_string();
    let read = place.program(&place.work(), "python3", &["-c", script, &file]).await?.done()?;
    serde_json::from_str(&read.out).map_err(|e| Problem::internal("schema", e))
}

/// What statements of the version before would trip over.
fn incompatible(before: &Value, after: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let tables = |value: &Value| value["columns"].as_object().cloned().unwrap_or_default();
    let now = tables(after);
    for (table, old) in tables(before) {
        let Some(new) = now.get(&table) else {
            found.push(format!("the table {table} is gone"));
            continue;
        };
        let columns = |value: &Value| -> BTreeMap<String, Value> {
            value.as_object().into_iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect()
        };
        let (old, new) = (columns(&old), columns(new));
        for (column, shape) in &old {
            match new.get(column) {
                None => found.push(format!("the column {table}.{column} is gone")),
                Some(now) if now[0] != shape[0] => found.push(format!("{table}.{column} has another type")),
                Some(now) if now[1] == 1 && shape[1] == 0 => {
                    found.push(format!("{table}.{column} may not be NULL any more"))
                }
                Some(_) => {}
            }
        }
        // A row that the version before inserts names none of the new columns.
        for (column, shape) in new.iter().filter(|(name, _)| !old.contains_key(*name)) {
            if shape[1] == 1 && shape[2] == false {
                found.push(format!("{table}.{column} is new, may not be NULL and has no default"));
            }
        }
        let unique = |value: &Value| value["unique"][&table].as_array().cloned().unwrap_or_default();
        let olds = unique(before);
        for new in unique(after).into_iter().filter(|new| !olds.contains(new)) {
            found.push(format!("{table} has the new unique index {new}"));
        }
    }
    found
}

#[test]
fn the_check_of_the_schema_finds_what_is_planted() {
    let schema = |columns: Value, unique: Value| json!({ "columns": { "t": columns }, "unique": { "t": unique } });
    let old = schema(json!({ "a": ["TEXT", 1, false], "b": ["BIGINT", 0, false] }), json!([["a"]]));
    let check = |columns: Value, unique: Value, says: &str| {
        let found = incompatible(&old, &schema(columns, unique)).join("; ");
        assert!(if says.is_empty() { found.is_empty() } else { found.contains(says) }, "{says}: {found}");
    };
    let (a, b) = (json!(["TEXT", 1, false]), json!(["BIGINT", 0, false]));
    check(json!({ "a": a, "b": b }), json!([["a"]]), "");
    check(json!({ "a": a, "b": b, "c": ["TEXT", 0, false], "d": ["TEXT", 1, true] }), json!([["a"]]), "");
    check(json!({ "a": a }), json!([["a"]]), "t.b is gone");
    check(json!({ "a": a, "b": ["TEXT", 0, false] }), json!([["a"]]), "another type");
    check(json!({ "a": a, "b": ["BIGINT", 1, false] }), json!([["a"]]), "NULL any more");
    check(json!({ "a": a, "b": b, "c": ["TEXT", 1, false] }), json!([["a"]]), "no default");
    check(json!({ "a": a, "b": b }), json!([["a"], ["b"]]), "unique index");
    assert_eq!(incompatible(&old, &json!({ "columns": {} })), ["the table t is gone"]);
}

/// The old binary on its data, the new one on what that leaves, the old one again: either it works,
/// or it refuses with the reason and has changed nothing.
async fn there_and_back(old: PathBuf) -> Result<()> {
    let (mut place, token) = with_kept(Options { binary: Some(old.clone()), ..Options::default() })?;
    place.up().await?;
    place.use_token(token.clone());
    // How the version before ends a rollout that was interrupted is its own affair; this one keeps it so.
    let ended = async || newest_rollout(&place).await.is_ok_and(|rollout| !rollout["ended"].is_null());
    crate::until("the interrupted rollout ends", ended).await?;
    let setting = if newest_rollout(&place).await?["state"] == "succeeded" { "kept" } else { "hello from procfile" };
    as_it_was_but(&place, setting).await?;
    let new = e2e::orlop_binary()?;
    place.kill_control();
    place.use_binary(new.clone());
    place.up().await?;
    as_it_was_but(&place, setting).await?;
    let made = Steady::of(&place.client)?
        .call(Method::POST, "/v1/teams", Some("new"), Body::Json(&json!({ "team": "new" })))
        .await?;
    ensure!(made.status == 200, "{made:?}");
    place.kill_control();
    place.use_binary(old);
    match place.up().await {
        Ok(_) => {
            as_it_was_but(&place, setting).await?;
            let team = Steady::of(&place.client)?.get("/v1/teams/new").await?;
            ensure!(team["team"] == "new", "what the new version wrote: {team}");
            println!("the version before works with what this one wrote");
        }
        Err(problem) => {
            ensure!(problem.message.contains("newer version"), "a refusal says why: {problem}");
            println!("the version before refuses: {}", problem.message.trim());
        }
    }
    place.kill_control();
    place.use_binary(new);
    place.up().await?;
    as_it_was_but(&place, setting).await
}
