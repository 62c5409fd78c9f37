//! Pure decisions.

mod permit;
mod settings;

pub(crate) use permit::{decide, may_see};
pub(crate) use settings::{current, value_allowed};
