//! catalog.

pub mod model;
