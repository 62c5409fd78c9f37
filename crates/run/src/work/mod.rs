//! The reconciler: reads, decides, records, acts, publishes.

mod drain;
mod features;
mod follow;
mod instances;
mod search;
mod seen;
mod start;

pub(crate) use features::EngineFeatures;
pub(crate) use follow::{Follow, Position, of};
pub(crate) use instances::Instances;
pub(crate) use search::{Begin, Search};
