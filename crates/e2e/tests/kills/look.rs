//! Everything that is there, from the API, the database, the data folder and the process table.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use api::Nothing;
use api::catalog::{ListServices, ServiceQuery};
use base::{Problem, Result};
use e2e::Installation;
use e2e::history::{Build, Rollout, World};
use serde_json::Value;

/// Reads the database as it is, beside the control plane.
const READ: &str = "
import json, sqlite3, sys
with sqlite3.connect('file:' + sys.argv[1] + '?mode=ro', uri=True) as c:
    column = lambda sql: [row[0] for row in c.execute(sql)]
    print(json.dumps({
        'wanted': column(\"select id from run_instance where state = 'wanted'\"),
        'recorded': column('select id from run_instance union select task from deliver_build where task_kept = 1'),
        'jobs': column(\"select kind || ' ' || id || ' ' || state from job where state in ('waiting', 'running')\"),
        'sources': column('select id from deliver_source where stored = 1'),
        'blobs': column('select hex from deliver_blob'),
    }))
";

/// The world as it is now.
pub async fn world(place: &Installation) -> Result<World> {
    let ledger = ledger(place).await?;
    let mut world = World {
        wanted: strings(&ledger["wanted"]),
        recorded: strings(&ledger["recorded"]),
        jobs: strings(&ledger["jobs"]).into_iter().collect(),
        folders: names(&place.data().join("engine/instances")),
        keepers: keepers(place),
        ..World::default()
    };
    let services = place.client.list::<ListServices>(&Nothing {}, &ServiceQuery::default()).await?.items;
    for service in services.iter().map(|service| service.service.to_string()) {
        let at = format!("/v1/services/{service}");
        for build in pages(place, &format!("{at}/builds")).await? {
            world.builds.push(Build {
                id: text(&build, "build"),
                service: service.clone(),
                state: text(&build, "state"),
                reason: text(&build, "reason"),
                release: build["release"].as_i64(),
            });
        }
        let mut numbers = BTreeMap::new();
        for release in pages(place, &format!("{at}/releases")).await? {
            let number = release["number"].as_i64().unwrap_or_default();
            numbers.insert(text(&release, "release"), number);
            world.releases.push((service.clone(), number));
        }
        for rollout in pages(place, &format!("{at}/rollouts")).await? {
            world.rollouts.push(Rollout {
                id: text(&rollout, "rollout"),
                service: service.clone(),
                environment: text(&rollout, "environment"),
                number: rollout["number"].as_i64().unwrap_or_default(),
                cause: text(&rollout, "cause"),
                state: text(&rollout, "state"),
                reason: text(&rollout, "reason"),
            });
        }
        let board = e2e::Steady::of(&place.client)?.get(&format!("{at}/environments")).await?;
        for entry in board["items"].as_array().into_iter().flatten() {
            let Some(current) = entry["release"].as_i64() else { continue };
            let environment = text(entry, "environment");
            let answer = place.client.ask(&format!("{service}-{environment}.localhost"), "/").await?;
            let answers = numbers.get(&answer.release).copied().or(answer.release.parse().ok()).unwrap_or(-1);
            world.places.insert((service.clone(), environment), (current, answers));
        }
    }
    Ok(world)
}

/// Stored sources and blobs that no record names: a kill between storing and recording leaves them
/// to the garbage collection, which takes nothing younger than an hour.
pub async fn leftovers(place: &Installation) -> Result<usize> {
    let ledger = ledger(place).await?;
    let objects = place.data().join("objects");
    let (sources, blobs) = (strings(&ledger["sources"]), strings(&ledger["blobs"]));
    let stray = |folder: &Path, known: &BTreeSet<String>| {
        names(folder).iter().filter(|name| !known.contains(name.trim_end_matches(".tar"))).count()
    };
    Ok(stray(&objects.join("sources"), &sources) + stray(&objects.join("oci/blobs/sha256"), &blobs))
}

async fn ledger(place: &Installation) -> Result<Value> {
    let file = place.data().join("orlop.db").display().to_string();
    let read = place.program(&place.work(), "python3", &["-c", READ, &file]).await?.done()?;
    serde_json::from_str(&read.out).map_err(|e| Problem::internal("ledger-unreadable", e))
}

/// The instance of each keeper that runs. A keeper's first child has its command line as well.
fn keepers(place: &Installation) -> Vec<String> {
    let shims: BTreeSet<i32> = place.playing("shim").into_iter().collect();
    let parent = |pid: &i32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse::<i32>().ok())
    };
    let instance = |pid: i32| {
        let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
        let folder = line.split('\0').nth(3)?.to_owned();
        Some(Path::new(&folder).file_name()?.to_string_lossy().into_owned())
    };
    let first = |pid: &i32| parent(pid).is_none_or(|parent| !shims.contains(&parent));
    shims.iter().copied().filter(first).filter_map(instance).collect()
}

async fn pages(place: &Installation, path: &str) -> Result<Vec<Value>> {
    let steady = e2e::Steady::of(&place.client)?;
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let mut page = steady.get(&format!("{path}?limit=200{after}")).await?;
        all.extend(page["items"].as_array_mut().map(std::mem::take).unwrap_or_default());
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return Ok(all),
        }
    }
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn strings(value: &Value) -> BTreeSet<String> {
    value.as_array().into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect()
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}
