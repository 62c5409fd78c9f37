//! The short run: every seed as it is, then a fixed number of inputs made from them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use crate::mutate::{Chance, mutated};
use crate::{Target, corpus};

/// What a run of one target came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Its name.
    pub target: &'static str,
    /// Seeds that were replayed.
    pub seeds: usize,
    /// Inputs that were made.
    pub runs: u32,
    /// The first input that broke a promise, and what was said.
    pub broke: Option<(Vec<u8>, String)>,
}

/// Replays the seeds of a target and makes `runs` inputs from them. Ends at the first that breaks.
pub fn short(target: &Target, seed: u64, runs: u32) -> Report {
    let seeds = corpus(target.name);
    let mut report = Report { target: target.name, seeds: seeds.len(), runs: 0, broke: None };
    // Each target has a course of its own, whatever others there are.
    let own = target.name.bytes().fold(seed, |sum, byte| sum.wrapping_mul(0x100_0000_01b3) ^ u64::from(byte));
    let mut chance = Chance::new(own);
    let made = (0..runs).map(|_| (true, mutated(&mut chance, &seeds, target.words)));
    for (new, input) in seeds.iter().map(|(_, bytes)| (false, bytes.clone())).chain(made) {
        report.runs += u32::from(new);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (target.run)(&input))) {
            let said = panic.downcast_ref::<String>().cloned();
            let said = said.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            report.broke = Some((input, said.unwrap_or_else(|| "a panic without words".to_owned())));
            break;
        }
    }
    report
}

impl Report {
    /// Keeps the input that broke, and tells where; nothing where all held.
    pub fn keep(&self) -> Option<PathBuf> {
        let (input, _) = self.broke.as_ref()?;
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/fuzz").join(self.target);
        let name = base::Digest::of(input).hex();
        let path = folder.join(name.get(..16).unwrap_or(&name));
        let kept = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&path, input));
        kept.is_ok().then_some(path)
    }
}
