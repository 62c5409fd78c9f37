//! The sampler, and what is read of what it kept.

mod past;
mod samples;

pub(crate) use past::{Past, past, requests};
pub(crate) use samples::Samples;
