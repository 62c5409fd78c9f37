//! The gateway as a process: started with the control plane, started again when it vanishes.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Child;
use std::time::Duration;

use base::{Problem, Result};
use ports::{Gateway as _, GatewayStatus};

use crate::installation::Installation;
use crate::spawn;

/// A gateway that was started must answer within this span.
const READY: Duration = Duration::from_secs(10);
/// How often is looked whether the gateway still runs; also the pause before it is started again.
const LOOK: Duration = Duration::from_millis(500);
/// The pause doubles with each start, up to this, and halves with each look that finds it well:
/// a gateway that ends at once again and again does not keep the machine busy.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Sees that a gateway runs; returns where it listens.
pub(crate) async fn start(place: &Installation, listen: SocketAddr) -> Result<SocketAddr> {
    let client = gateway::Client::new(place.gateway_dir());
    let mut wanted = listen;
    if let Ok(status) = client.status().await
        && let Some(address) = address(&status, listen)
    {
        if status.version == env!("CARGO_PKG_VERSION") {
            return Ok(address);
        }
        wanted = address;
    }
    let log = place.log_file("gateway");
    let folder = place.gateway_dir();
    let mut child =
        spawn::role(["gateway".as_ref(), folder.as_os_str(), wanted.to_string().as_ref()], spawn::Sees::Little, &log)?;
    let waited = tokio::time::timeout(READY, answering(&client, &mut child, wanted)).await;
    // Somebody must take note of the end of a child, or it stays as a zombie.
    std::thread::spawn(move || child.wait());
    let Ok(Some(address)) = waited else { return Err(not_started(&log, listen)) };
    Ok(address)
}

/// Tells the gateway how many connections one client may have; it remembers. It serves without that too.
pub(crate) async fn bound(place: &Installation, connections_per_client: u64) {
    if let Err(problem) = gateway::Client::new(place.gateway_dir()).bound_clients(connections_per_client).await {
        tracing::warn!(%problem, "the gateway does not know how many connections one client may have");
    }
}

/// Starts the gateway again when it has vanished and its guard has not brought it back; never ends.
/// One that is only slow to answer still serves, and is left alone.
pub(crate) async fn watch(place: Installation, listen: SocketAddr) {
    let client = gateway::Client::new(place.gateway_dir());
    let (mut pause, mut missed) = (LOOK, false);
    loop {
        tokio::time::sleep(pause).await;
        match client.status().await {
            Err(problem) if problem.code == "gateway-unreachable" && !missed => missed = true,
            Err(problem) if problem.code == "gateway-unreachable" => {
                missed = false;
                pause = pause.saturating_mul(2).min(PAUSE_MAX);
                match start(&place, listen).await {
                    Ok(address) => tracing::warn!(%address, "the gateway had vanished; it was started again"),
                    Err(problem) => tracing::error!(%problem, "the gateway has vanished and does not start"),
                }
            }
            _ => {
                missed = false;
                pause = (pause / 2).max(LOOK);
            }
        }
    }
}

/// Where the gateway listens: the address that is wanted; its first where any will do.
fn address(status: &GatewayStatus, wanted: SocketAddr) -> Option<SocketAddr> {
    let mut all = status.listeners.iter().map(|l| l.address);
    all.find(|address| wanted.port() == 0 || *address == wanted)
}

/// Waits until the gateway that was started answers; nothing when it ended instead.
async fn answering(client: &gateway::Client, child: &mut Child, wanted: SocketAddr) -> Option<SocketAddr> {
    loop {
        if let Ok(status) = client.status().await
            && status.pid == child.id()
        {
            return address(&status, wanted);
        }
        if child.try_wait().ok().flatten().is_some() {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn not_started(log: &Path, listen: SocketAddr) -> Problem {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let last = text.lines().last().unwrap_or("it said nothing").to_owned();
    Problem::unavailable("gateway-not-started", format!("the gateway did not start on {listen}: {last}")).hint(format!(
        "choose another address: `orlop up --gateway-listen {}:0`; its log is {}",
        listen.ip(),
        log.display()
    ))
}
