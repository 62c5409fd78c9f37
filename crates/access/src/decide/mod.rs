//! Pure decisions.

mod permit;
mod settings;

pub(crate) use permit::{decide, may_see, sees_all};
pub(crate) use settings::{current, paired, value_allowed, verdict};
