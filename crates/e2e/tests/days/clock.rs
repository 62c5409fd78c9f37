//! The machine's clock jumps. It is not touched: the control plane adds a number of seconds that it
//! reads from a file to what the clock says.

use std::path::{Path, PathBuf};

use base::{Problem, Result};
use e2e::{Body, Installation, Options, Source, Steady, ensure};
use reqwest::Method;
use serde_json::json;

/// 1970-01-02 and 2100-01-01 as seconds since 1970.
const Y1970: i64 = 86_400;
const Y2100: i64 = 4_102_444_800;

#[test]
fn a_clock_that_jumps_changes_nothing() {
    if crate::has("a clock that jumps", &["python3"]) {
        crate::run(jumps());
    }
}

async fn jumps() -> Result<()> {
    let folder = tempfile::tempdir().map_err(|e| Problem::unavailable("disk", e))?;
    let file = folder.path().join("offset");
    set(&file, 0)?;
    let name = "ORLOP_TEST_WALL_CLOCK_OFFSET_FILE".to_owned();
    let env = vec![(name, file.display().to_string())];
    let mut place = Installation::with(Options { env, ..Options::default() }).await?;
    let shop = Source::of(&place, "procfile", "shop")?;
    shop.deploy().await?.good()?;
    let folder = shop.folder.clone();
    drop(shop);
    let steady = Steady::of(&place.client)?;
    let once = json!({ "team": "once" });
    let first = steady.call(Method::POST, "/v1/teams", Some("once"), Body::Json(&once)).await?;
    ensure!(first.status == 200 && !first.replayed, "{first:?}");
    let now = seconds();
    for (number, (what, jump)) in
        [("an hour forward", 3600), ("an hour back", -3600), ("to 1970", Y1970 - now), ("to 2100", Y2100 - now)]
            .into_iter()
            .enumerate()
    {
        println!("the clock jumps {what}");
        set(&file, jump)?;
        one(&place, &folder, number).await.map_err(|p| Problem::internal("after-a-jump", format!("{what}: {p}")))?;
        let again = steady.call(Method::POST, "/v1/teams", Some("once"), Body::Json(&once)).await?;
        ensure!(again.status == 200 && again.replayed, "{what}: the answer was forgotten: {again:?}");
        // In the middle of a rollout, and for the next process.
        set(&file, 0)?;
        let before = instances(&place).await?;
        set(&file, jump)?;
        place.kill_control();
        place.up().await?;
        crate::until("all is well", async || crate::all_green(&place).await).await?;
        ensure!(instances(&place).await? == before, "{what}: instances were started anew");
        let doctor = place.orlop(&["doctor", "--json"]).await?.out;
        ensure!(doctor.contains("the platform's time"), "{what}: the doctor says nothing of it: {doctor}");
    }
    set(&file, 0)?;
    in_order(&place).await
}

/// A deploy, a rollback and a promotion do what they always do.
async fn one(place: &Installation, folder: &Path, number: usize) -> Result<()> {
    let shop = Source::at(place, "shop")?;
    ensure!(shop.folder == folder, "the folder of the service");
    let in_dev = async || -> Result<_> {
        let newest = shop.rollouts().await?.into_iter().find(|r| r.environment.as_str() == "dev");
        Ok(newest.map(|r| (r.cause, r.number)))
    };
    let before = in_dev().await?.map(|(_, number)| number).unwrap_or_default();
    shop.write("CHANGE", format!("{number}"))?;
    shop.deploy().await?.good()?;
    let newest = shop.releases().await?;
    ensure!(newest.windows(2).all(|w| w[0].number == w[1].number + 1), "releases are not in order: {newest:?}");
    shop.orlop(&["rollback", "--env", "dev", "--service", "shop"]).await?.done()?;
    let last = in_dev().await?;
    ensure!(last == Some(("rollback".to_owned(), before)), "the rollback brought {last:?}, not {before}");
    shop.orlop(&["promote", "--to", "staging", "--service", "shop"]).await?.done()?;
    ensure!(shop.ask("/").await?.status == 200, "it answers");
    Ok(())
}

async fn instances(place: &Installation) -> Result<Vec<String>> {
    let value = Steady::of(&place.client)?.get("/v1/services/shop/instances").await?;
    let mut ids: Vec<String> = value["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|one| one["state"] == "ready")
        .filter_map(|one| one["instance"].as_str().map(str::to_owned))
        .collect();
    ids.sort();
    ensure!(!ids.is_empty(), "nothing runs: {value}");
    Ok(ids)
}

/// Time never went back in the ledger, and never leapt.
async fn in_order(place: &Installation) -> Result<()> {
    let script = "import sqlite3, sys\nwith sqlite3.connect(sys.argv[1]) as c:\n  \
        print(*c.execute('select count(*) from fact f join fact g on g.seq = f.seq + 1 where g.at < f.at or g.at > f.at + 120000000').fetchone())";
    let file = place.data().join("orlop.db").display().to_string();
    let found = place.program(&place.work(), "python3", &["-c", script, &file]).await?.done()?;
    ensure!(found.out.trim() == "0", "{} facts are not where they belong in time", found.out.trim());
    ensure!(place.orlop(&["audit", "verify"]).await?.status == Some(0), "the fact log verifies");
    Ok(())
}

fn set(file: &PathBuf, seconds: i64) -> Result<()> {
    // Whole or not at all: the control plane reads it all the time.
    let next = file.with_extension("next");
    std::fs::write(&next, seconds.to_string())
        .and_then(|()| std::fs::rename(&next, file))
        .map_err(|e| Problem::unavailable("disk", e))
}

#[expect(clippy::disallowed_methods, reason = "a jump to a year is counted from now")]
fn seconds() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or_default()
}
