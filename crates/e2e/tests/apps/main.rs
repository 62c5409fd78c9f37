//! Real repositories, bad input, and everything that moves, against the real binary.

mod bad_input;
mod machine;
mod movement;
mod real;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// One installation at a time, whichever runner runs these tests.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a test to its end.
fn run(test: impl Future<Output = ()>) {
    let _alone = alone();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime can be made").block_on(test);
}
