//! Pure decisions; nothing here reads, waits or acts.

mod ahead;
mod checks;
pub(crate) mod compare;
mod differs;
mod party;
mod resolve;
mod rollout;
#[cfg(test)]
mod rollout_tests;
mod target;
mod task;
mod verdict;
mod watch;
mod wishes;

pub(crate) use ahead::steps_ahead;
pub(crate) use checks::check;
pub(crate) use differs::{Standing, differs};
pub(crate) use party::{Party, Site, needs, party};
pub(crate) use resolve::{belongs, resolve, wish};
pub(crate) use rollout::{Before, Case, Limits, Pointer, Seen, Step, begin, decide, resumed, superseded};
pub(crate) use target::{Target, target};
pub(crate) use task::{BuildSite, task};
pub(crate) use verdict::verdict;
pub(crate) use wishes::{Wishes, stopped, wishes};
