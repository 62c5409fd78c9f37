//! What can be wrong with the machine: ports and folders in use, data of a newer version.

use base::Result;
use e2e::{Cases, Installation, Source, ensure};

#[test]
fn the_machine_in_the_way_is_told() {
    crate::run(async {
        let place = Installation::start().await.expect("an installation starts");
        let p = &place;
        let mut cases = Cases::new();
        cases.add("the API's port in use", &[], port_in_use(p));
        cases.add("the gateway's port in use", &[], gateway_port_in_use(p));
        cases.add("a data folder in use", &[], locked(p));
        cases.add("an unknown key of the configuration", &[], bad_flag(p));
        cases.run(1).await;
    });
}

#[test]
fn data_of_a_newer_version_is_left_alone() {
    if let Some(program) = e2e::missing(&["python3"]) {
        eprintln!("!!! data of a newer version SKIPPED: there is no program `{program}` on the path");
        return;
    }
    crate::run(async { newer().await.expect("data of a newer version is refused, and nothing is lost") });
}

/// `orlop up` with these arguments must end by itself and say this.
async fn refused(place: &Installation, args: &[&str], words: &[&str]) -> Result<()> {
    let finished = place.orlop(&[&["up"][..], args].concat()).await?;
    ensure!(finished.status != Some(0), "{args:?} succeeded");
    let all = finished.all();
    ensure!(words.iter().all(|w| all.contains(w)), "{args:?}: wanted {words:?} in: {all}");
    Ok(())
}

fn address(url: &str) -> &str {
    url.trim_start_matches("http://")
}

async fn port_in_use(place: &Installation) -> Result<()> {
    let (data, taken) = (place.path("second"), address(place.client.url()));
    let args = ["--data", &data.to_string_lossy(), "--listen", taken, "--gateway-listen", "127.0.0.1:0"];
    refused(place, &args, &[taken, "another program has this port", "--listen"]).await
}

async fn gateway_port_in_use(place: &Installation) -> Result<()> {
    let (data, taken) = (place.path("third"), address(place.client.gateway()));
    let args = ["--data", &data.to_string_lossy(), "--listen", "127.0.0.1:0", "--gateway-listen", taken];
    refused(place, &args, &[taken, "in use"]).await
}

async fn locked(place: &Installation) -> Result<()> {
    let data = place.data();
    let args = ["--data", &data.to_string_lossy(), "--listen", "127.0.0.1:0"];
    refused(place, &args, &["is in use by process", "orlop down"]).await
}

async fn bad_flag(place: &Installation) -> Result<()> {
    let data = place.path("fourth");
    refused(place, &["--data", &data.to_string_lossy(), "--set", "build.speed=9"], &["build.speed"]).await?;
    refused(place, &["--data", &data.to_string_lossy(), "--set", "build.deadline=soon"], &["build.deadline"]).await
}

/// A schema change of the future is recorded in the database; then it is taken out again.
async fn newer() -> Result<()> {
    let mut place = Installation::start().await?;
    let source = Source::of(&place, "static", "kept")?;
    source.push().await?.good()?;
    let service = source.path();
    place.kill_control();
    let checksum = "0".repeat(64);
    let row = format!("insert into store_migration values ('deliver', 999, 'future', 'sha256:{checksum}', 0)");
    database(&place, &row).await?;
    let data = place.data().display().to_string();
    refused(&place, &["--data", &data], &["deliver/0999", "newer version"]).await?;
    // What served before serves on: the gateway and the instances need no control plane.
    let answer = place.client.ask("kept-dev.localhost", "/").await?;
    ensure!(answer.status == 200, "{answer:?}");
    database(&place, "delete from store_migration where number = 999").await?;
    place.up().await?;
    let status = place.client.get::<api::catalog::GetStatus>(&service).await?;
    ensure!(status.environments.first().is_some_and(|e| e.release == Some(1)), "{status:?}");
    Ok(())
}

async fn database(place: &Installation, statement: &str) -> Result<()> {
    let script = "import sqlite3, sys\nwith sqlite3.connect(sys.argv[1]) as c: c.execute(sys.argv[2])";
    let file = place.data().join("orlop.db").display().to_string();
    place.program(&place.work(), "python3", &["-c", script, &file, statement]).await?.done()?;
    Ok(())
}
