//! Pure decisions.

mod status;
pub(crate) mod topology;
mod why;

pub(crate) use status::{Facts, environment};
pub(crate) use why::{advice, line};
