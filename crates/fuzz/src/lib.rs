//! Every parser of foreign bytes as a target: a name, a function that takes any bytes and panics
//! where something does not hold that must hold for all of them, and a corpus.
//!
//! [`short`] drives them deterministically with the stable toolchain; `fuzz/` at the root of the
//! project drives the same functions with cargo-fuzz, which is guided by coverage.

mod mutate;
mod short;
mod targets;

use std::path::PathBuf;

pub use short::{Report, short};
pub use targets::TARGETS;

/// One parser.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name, and the folder of its corpus.
    pub name: &'static str,
    /// Feeds it.
    pub run: fn(&[u8]),
    /// Inputs made in a short run; fewer where each costs files.
    pub runs: u32,
    /// Words that mean something to it.
    pub words: &'static [&'static str],
}

/// The target of this name.
///
/// # Panics
/// Where there is none.
pub fn target(name: &str) -> &'static Target {
    TARGETS.iter().find(|target| target.name == name).unwrap_or_else(|| panic!("there is no target `{name}`"))
}

/// Feeds the target of this name: what cargo-fuzz calls.
pub fn run(name: &str, data: &[u8]) {
    (target(name).run)(data);
}

/// The seeds of a target, in order of their names.
pub fn corpus(name: &str) -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let mut seeds: Vec<(String, Vec<u8>)> = std::fs::read_dir(&folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, std::fs::read(entry.path()).ok()?)))
        .collect();
    seeds.sort();
    seeds
}
