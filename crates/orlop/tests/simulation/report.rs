//! What was visited, for the record.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use serde::Serialize;

/// One test's part.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// Seeds that were run.
    pub seeds: Vec<u64>,
    /// Points at which the control plane was killed.
    pub deaths: u64,
    /// Those points by kind.
    pub deaths_by_kind: BTreeMap<String, u64>,
    /// Points passed, by kind.
    pub points: BTreeMap<String, u64>,
    /// Calls that were refused, or answered wrongly, by design.
    pub faults: u64,
    /// Actions of people that were acknowledged.
    pub acknowledged: u64,
    /// What was broken.
    pub violations: Vec<String>,
}

impl Part {
    /// Adds a world.
    pub fn add(&mut self, world: &sim::World) {
        if self.seeds.last() != Some(&world.seed) {
            self.seeds.push(world.seed);
        }
        self.deaths += world.deaths.len() as u64;
        for kind in &world.deaths {
            *self.deaths_by_kind.entry(kind.clone()).or_default() += 1;
        }
        for (kind, count) in world.gate.kinds() {
            *self.points.entry(kind).or_default() += count;
        }
        self.faults += world.gate.faulted();
        self.acknowledged += world.acknowledged() as u64;
        self.violations.extend(world.violations.iter().map(|v| format!("seed {}: {v}", world.seed)));
    }
}

static PARTS: Mutex<BTreeMap<String, Part>> = Mutex::new(BTreeMap::new());

/// Writes the record anew with this part.
pub fn record(name: &str, part: Part) {
    let mut parts = PARTS.lock().expect("no test panics while it records");
    parts.insert(name.to_owned(), part);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/evidence");
    let text = serde_json::to_string_pretty(&*parts).expect("a record is JSON");
    let written = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(folder.join("simulation.json"), text));
    if let Err(error) = written {
        println!("the record could not be written to {}: {error}", folder.display());
    }
}
