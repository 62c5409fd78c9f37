//! The platform's promises, each a pure function of a [`Sight`] to what breaks it. They hold at
//! every moment ([`always`]) or once nothing moves any more ([`at_rest`]). Those that a ledger alone can
//! answer are in [`facts::promise`]: a control plane asks them of its own.

mod instances;
mod ledger;
mod rest;
mod rollouts;
mod traffic;

use crate::Sight;

pub use facts::promise::Violation;
pub use instances::{at_most_wanted, only_decided, orders_were_decided, tasks_run_once};
pub use ledger::{acknowledged_is_kept, chain_is_sound, generations_rise, nothing_leaks};
pub use rest::{instances_are_as_wanted, nothing_is_open, the_newest_wish_holds, traffic_is_as_wanted};
pub use rollouts::{currents_are_good, rollouts_explain_themselves, success_was_seen};
pub use traffic::{broken_gets_nothing, traffic_goes_to_known};

/// One promise.
pub type Promise = fn(&Sight) -> Vec<Violation>;

/// What holds at every moment.
pub const ALWAYS: [Promise; 13] = [
    only_decided,
    at_most_wanted,
    tasks_run_once,
    orders_were_decided,
    traffic_goes_to_known,
    broken_gets_nothing,
    success_was_seen,
    rollouts_explain_themselves,
    currents_are_good,
    generations_rise,
    chain_is_sound,
    acknowledged_is_kept,
    nothing_leaks,
];

/// What holds once nothing moves any more.
pub const AT_REST: [Promise; 4] =
    [nothing_is_open, instances_are_as_wanted, traffic_is_as_wanted, the_newest_wish_holds];

/// What is broken of the promises that hold at every moment.
pub fn always(sight: &Sight) -> Vec<Violation> {
    ALWAYS.iter().flat_map(|promise| promise(sight)).collect()
}

/// What is broken of the promises that hold once nothing moves any more.
pub fn at_rest(sight: &Sight) -> Vec<Violation> {
    AT_REST.iter().flat_map(|promise| promise(sight)).collect()
}

fn broken(promise: &'static str, found: impl Into<String>) -> Violation {
    Violation::of(promise, found)
}
