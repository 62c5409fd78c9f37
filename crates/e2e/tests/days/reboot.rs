//! The machine restarts: everything ends at once, and what was written down speaks of another boot.

use std::path::Path;
use std::time::Duration;

use base::{Problem, Result};
use e2e::{Installation, Source, ensure, evidence, target};
use serde_json::{Value, json};

/// Everything is well again within this span, without anybody's help.
const GREEN_TARGET: Duration = Duration::from_secs(60);

#[test]
fn after_a_restart_of_the_machine_all_is_well_unattended() {
    if crate::has("a restart of the machine", &["python3"]) {
        crate::run(reboot());
    }
}

async fn reboot() -> Result<()> {
    let mut place = Installation::start().await?;
    let (pages, shop) = (Source::of(&place, "static", "pages")?, Source::of(&place, "procfile", "shop")?);
    pages.deploy().await?.good()?;
    shop.deploy().await?.good()?;
    shop.orlop(&["promote", "--to", "staging", "--service", "shop"]).await?.done()?;
    crate::until("all is well before", async || crate::all_green(&place).await).await?;
    let (hosts, before) = ([pages.host("dev"), shop.host("dev"), shop.host("staging")], ids(&place)?);
    drop((pages, shop));

    place.kill_everything();
    ensure!(place.processes().is_empty(), "something lives: {:?}", place.processes());
    // What another boot leaves: its own id, and numbers of processes that belong to others by now.
    let stranger = i64::from(std::process::id());
    for state in states(&place)? {
        edit(&state, |text| {
            text["boot"] = json!("00000000-0000-4000-8000-000000000000");
            text["keeper"] = json!(stranger);
            text["init"] = json!(stranger);
        })?;
    }
    edit(&place.data().join("run/control.json"), |text| text["pid"] = json!(stranger))?;
    edit(&place.data().join("run/clock.json"), |text| {
        text["boot"] = json!("00000000-0000-4000-8000-000000000000");
        // The old boot had lasted for long; the new one has just begun.
        text["sinceBoot"] = json!(1e9);
    })?;
    std::fs::write(place.data().join("run/lock"), format!("{stranger:<10}"))
        .map_err(|e| Problem::unavailable("disk", e))?;
    for socket in ["gateway/admin.sock", "engine/notify.sock"] {
        ensure!(place.data().join(socket).exists(), "{socket} is what a restart leaves behind");
    }

    let begun = tokio::time::Instant::now();
    place.up().await?;
    let ready = begun.elapsed();
    crate::until("all is well again", async || crate::all_green(&place).await).await?;
    for host in &hosts {
        let answers = async || place.client.ask(host, "/").await.is_ok_and(|answer| answer.status == 200);
        crate::until(&format!("{host} answers"), answers).await?;
    }
    let green = begun.elapsed();
    let after = ids(&place)?;
    ensure!(before.iter().all(|id| !after.contains(id) || states_say_ended(&place, id)), "{before:?} {after:?}");
    ensure!(place.orlop(&["audit", "verify"]).await?.status == Some(0), "the fact log verifies");
    evidence(
        "machine-restart",
        &json!({ "controlPlaneReady": target(&[ready], Duration::from_secs(1)), "allGreen": target(&[green], GREEN_TARGET) }),
    );
    Ok(())
}

fn ids(place: &Installation) -> Result<Vec<String>> {
    let entries =
        std::fs::read_dir(place.data().join("engine/instances")).map_err(|e| Problem::unavailable("disk", e))?;
    Ok(entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
}

fn states(place: &Installation) -> Result<Vec<std::path::PathBuf>> {
    let folder = place.data().join("engine/instances");
    Ok(ids(place)?.iter().map(|id| folder.join(id).join("state.json")).filter(|path| path.exists()).collect())
}

/// Whether an instance of before is recorded as ended with the machine.
fn states_say_ended(place: &Installation, id: &str) -> bool {
    let path = place.data().join("engine/instances").join(id).join("state.json");
    std::fs::read_to_string(path).is_ok_and(|text| text.contains("exited") || text.contains("Exited"))
}

fn edit(path: &Path, change: impl FnOnce(&mut Value)) -> Result<()> {
    let failed = |e: std::io::Error| Problem::unavailable("disk", format!("{}: {e}", path.display()));
    let text = std::fs::read_to_string(path).map_err(failed)?;
    let mut value = serde_json::from_str(&text).map_err(|e| Problem::internal("not-json", e))?;
    change(&mut value);
    std::fs::write(path, value.to_string()).map_err(failed)
}
