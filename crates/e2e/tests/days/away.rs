//! The control plane is gone, and the gateway with it.

use std::time::Duration;

use base::Result;
use e2e::{Installation, Source, ensure, evidence, target};
use serde_json::json;

use crate::load::{Kind, Load};

/// How long the control plane is away under load.
const AWAY: Duration = Duration::from_secs(30);
/// A gateway that was killed serves again within this span on a machine that does nothing else.
const BACK_TARGET: Duration = Duration::from_secs(5);

#[test]
fn traffic_needs_no_control_plane_and_the_gateway_comes_back_without_one() {
    crate::run(away());
}

async fn away() -> Result<()> {
    let mut place = Installation::start().await?;
    let source = Source::of(&place, "static", "pages")?;
    source.deploy().await?.good()?;
    let host = source.host("dev");
    drop(source);
    place.kill_control();
    let kinds = [Kind::KeepAlive, Kind::KeepAlive, Kind::NewConnection, Kind::NewConnection];
    let load = Load::begin(&place.client, &host, &kinds);
    tokio::time::sleep(AWAY).await;
    let seen = load.end().await;
    seen.all_well()?;

    let serves = async || place.client.ask(&host, "/").await.is_ok_and(|answer| answer.status == 200);
    let mut back = Vec::new();
    for _ in 0..2 {
        let gateways = place.playing("gateway");
        ensure!(gateways.len() == 1, "not one gateway: {gateways:?}");
        gateways.iter().for_each(|pid| place.kill(*pid));
        crate::until("the gateway is gone", async || place.playing("gateway") != gateways).await?;
        back.push(crate::until("the gateway's guard brings it back", serves).await?);
    }

    // The guard gone as well: now only somebody outside can help, a person or a service manager.
    crate::until("the gateway has a guard", async || !place.playing("guard").is_empty()).await?;
    let all = [place.playing("guard"), place.playing("gateway")].concat();
    all.iter().for_each(|pid| place.kill(*pid));
    crate::until("both are gone", async || place.playing("gateway").is_empty() && place.playing("guard").is_empty())
        .await?;
    ensure!(!serves().await, "nobody is left who could answer");
    let folder = place.data().join("gateway").display().to_string();
    let address = place.client.gateway().trim_start_matches("http://").to_owned();
    let by_hand = place.start_role(&["gateway", &folder, &address])?;
    back.push(crate::until("a gateway that was started by hand serves its snapshot", serves).await?);

    let (pid, _) = place.up().await?;
    ensure!(pid > 0, "the control plane is back");
    ensure!(place.playing("gateway") == [by_hand.cast_signed()], "it takes the gateway over that it finds");
    source_again(&place).await?;
    place.orlop(&["down", "--data", &place.data().to_string_lossy()]).await?.done()?;
    crate::until("nothing is left behind", async || place.processes().is_empty()).await?;
    let figures = json!({
        "awaySeconds": AWAY.as_secs(),
        "answers": seen.answers.values().sum::<u64>(),
        "failures": seen.failures.len(),
        "gatewayBack": target(&back, BACK_TARGET),
    });
    evidence("control-plane-away", &figures);
    Ok(())
}

/// The control plane works with the gateway that was started by hand.
async fn source_again(place: &Installation) -> Result<()> {
    let source = Source::at(place, "pages")?;
    source.write("index.html", "the second version")?;
    source.deploy().await?.good()?;
    let answer = source.ask("/").await?;
    ensure!(answer.body == "the second version", "{answer:?}");
    Ok(())
}
