//! Pure decisions.

mod pace;
mod series;
mod window;

pub(crate) use pace::is_due;
pub(crate) use series::{metrics, place};
pub(crate) use window::{history, overview};
