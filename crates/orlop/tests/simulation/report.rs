//! What was visited, for the record.

use std::collections::BTreeMap;
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

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
    /// Kills by place: the line of the platform that made the effect.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub places: BTreeMap<String, u64>,
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

impl Part {
    /// Adds what another part has seen.
    pub fn join(&mut self, other: Self) {
        let add = |mine: &mut BTreeMap<String, u64>, more: BTreeMap<String, u64>| {
            more.into_iter().for_each(|(key, count)| *mine.entry(key).or_default() += count);
        };
        self.seeds.extend(other.seeds);
        self.seeds.sort_unstable();
        self.seeds.dedup();
        self.deaths += other.deaths;
        add(&mut self.deaths_by_kind, other.deaths_by_kind);
        add(&mut self.points, other.points);
        add(&mut self.places, other.places);
        self.faults += other.faults;
        self.acknowledged += other.acknowledged;
        self.violations.extend(other.violations);
    }
}

/// Puts this part into the record; those of other tests, which may be other processes, stay.
pub fn record(name: &str, part: Part) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/evidence");
    let written = std::fs::create_dir_all(&folder).and_then(|()| put(&folder.join("simulation.json"), name, &part));
    if let Err(error) = written {
        println!("the record could not be written to {}: {error}", folder.display());
    }
}

fn put(path: &Path, name: &str, part: &Part) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    file.lock()?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let mut parts: BTreeMap<String, serde_json::Value> = serde_json::from_str(&text).unwrap_or_default();
    parts.insert(name.to_owned(), serde_json::to_value(part)?);
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(serde_json::to_string_pretty(&parts)?.as_bytes())
}
