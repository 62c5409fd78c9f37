//! deliver.
pub mod recipe;
