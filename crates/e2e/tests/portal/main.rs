//! The portal in a real browser: every page by every role, read by an accessibility checker, looked at
//! light, dark and narrow, attacked through every text that it shows, and used to do what people do.

mod axe;
mod browser;
mod crawl;
mod doors;
mod first;
mod hostile;
mod house;
mod lists;
mod live;
mod looks;
mod planted;
mod site;
mod stories;

use std::io::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One installation and one browser at a time, whichever runner runs these tests.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a test to its end; without a browser it says so and counts as skipped.
fn run(test: impl Future<Output = ()>) {
    if let Some(why) = browser::missing() {
        skip(&format!("{why}; `.ci/run` installs chromium and chromium-driver"));
        return;
    }
    let _alone = alone();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime can be made").block_on(test);
}

/// Says that something was not tested, past the capture of the test harness.
fn skip(why: &str) {
    let _ = writeln!(std::io::stderr(), "\n*** SKIPPED: {why} ***\n");
}
