//! What the gateway keeps: snapshots and the changes between them.

use std::path::Path;
use std::time::Duration;

use base::{Generation, Result};
use gateway::{Client, Options, Running};
use ports::{Gateway as _, Route, SNAPSHOT_FORMAT, Snapshot, SnapshotChange};

use crate::play::{broken, say, tell};

/// Generations that are handed over: whole ones at 1 and 4, changes in between and behind.
pub const LAST: i64 = 6;

/// Generation n has n routes.
fn route(n: i64) -> Route {
    Route {
        service: format!("s{n}").parse().expect("a name"),
        environment: "dev".parse().expect("a name"),
        hosts: vec![format!("s{n}-dev.localhost").parse().expect("a name")],
        backends: Vec::new(),
    }
}

fn whole(n: i64) -> Snapshot {
    Snapshot { format: SNAPSHOT_FORMAT, generation: Generation(n), routes: (1..=n).map(route).collect() }
}

fn change(n: i64) -> SnapshotChange {
    SnapshotChange {
        format: SNAPSHOT_FORMAT,
        base: Generation(n - 1),
        generation: Generation(n),
        routes: vec![route(n)],
        gone: Vec::new(),
    }
}

async fn open(data: &Path) -> Result<(Running, Client)> {
    let folder = data.join("gateway");
    let mut options = Options::new(&folder);
    options.listen = vec![([127, 0, 0, 1], 0).into()];
    options.workers = 1;
    options.drain = Duration::from_secs(1);
    Ok((gateway::start(options).await?, Client::new(folder)))
}

/// Hands over one generation after the other, as the control plane does: what a change cannot bring,
/// the whole brings.
pub async fn act(data: &Path) {
    say("begin", "open");
    let (running, client) = match open(data).await {
        Ok(opened) => opened,
        Err(problem) => return say("refused", format!("open {problem}").replace('\n', " ")),
    };
    for n in 1..=LAST {
        say("begin", n);
        let outcome = if n == 1 || n == 4 { client.apply(&whole(n)).await } else { client.change(&change(n)).await };
        match outcome {
            Err(_) if n != 1 && n != 4 => {
                say("begin", n);
                tell(n, client.apply(&whole(n)).await);
            }
            outcome => drop(tell(n, outcome)),
        }
    }
    running.stop().await;
}

/// A gateway that starts there serves at least what was acknowledged, whole, and takes what comes.
pub async fn verify(data: &Path, acked: &[&str]) -> Result<()> {
    let (running, client) = open(data).await?;
    let status = client.status().await?;
    let newest = acked.iter().filter_map(|n| n.parse::<i64>().ok()).max().unwrap_or(0);
    let generation = status.generation.0;
    let next = client.apply(&whole(LAST + 1)).await;
    running.stop().await;
    if generation < newest || i64::try_from(status.routes) != Ok(generation) {
        let routes = status.routes;
        return Err(broken(format!("{newest} was acknowledged, it serves {generation} with {routes} routes")));
    }
    if let Some(why) = status.degraded {
        return Err(broken(format!("it is degraded: {why}")));
    }
    next.map(drop)
}
