//! The whole platform in a world where time, chance and the outside are ours: every capability, a
//! real database, and a control plane that dies at every commit, engine call and snapshot.
//!
//! `SIM_SEED=7` runs one seed, `SIM_SEEDS=5000` so many. What was visited is written to
//! `target/evidence/simulation.json`.

mod actions;
mod deaths;
mod deletion;
mod install;
mod plans;
mod planted;
mod points;
mod random;
mod report;
mod scenarios;
mod sites;
mod stale;
mod stories;
