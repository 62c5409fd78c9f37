//! Pure decisions.

mod pace;
mod series;
mod window;

pub(crate) use pace::{requests_are_due, usage_is_due};
pub(crate) use series::{metrics, place};
pub(crate) use window::{history, overview};
