//! Pure decisions.

mod status;
mod why;

pub(crate) use status::{Facts, environment};
pub(crate) use why::{advice, line};
