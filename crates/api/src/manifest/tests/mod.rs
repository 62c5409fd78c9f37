mod errors;
mod hostile;
mod meaning;
mod references;
mod table;

/// A file that uses everything there is.
pub(super) const FULL: &str = include_str!("full.yaml");
