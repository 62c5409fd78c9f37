//! Time and chance of the real world.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use api::platform::{Check, Verdict};
use async_trait::async_trait;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base::Time;
use kernel::{Ctx, DoctorCheck};
use ports::{Clock, Random, SteadyTime};

use crate::anchor::Anchor;

/// The anchor is written anew this often: so much may be lost when power fails, and nothing else.
pub(crate) const ANCHOR_EVERY: Duration = Duration::from_secs(10);
/// A difference between the machine's age and what was counted that means it slept.
const SLEPT: Duration = Duration::from_secs(1);
/// A wall clock that is further off is worth a word of the doctor.
const OFF: Duration = Duration::from_secs(60);
/// Names a file that holds a number of seconds to be added to the machine's wall clock: how the tests
/// of clocks that jump do it without touching the machine's.
const TEST_OFFSET: &str = "ORLOP_TEST_WALL_CLOCK_OFFSET_FILE";

/// The machine's clocks, made steady.
pub(crate) struct SystemClock {
    start: Instant,
    steady: SteadyTime,
    boot: String,
    /// Seconds from boot to `start`.
    started_at: f64,
    /// For how long the machine slept since then, which `Instant` does not count.
    slept: Mutex<Duration>,
    test_offset: Option<PathBuf>,
}

impl SystemClock {
    /// Goes on from an anchor.
    pub(crate) fn after(anchor: Option<&Anchor>) -> Self {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned();
        let test_offset = std::env::var_os(TEST_OFFSET).map(PathBuf::from);
        let (start, started_at, wall) = (Instant::now(), since_boot(), wall(test_offset.as_deref()));
        let begins = anchor.map_or(wall, |anchor| anchor.resume(&boot, started_at, wall));
        let steady = SteadyTime::begin(begins, Duration::ZERO);
        Self { start, steady, boot, started_at, slept: Mutex::default(), test_offset }
    }

    /// What is recorded lies in the past, whatever the wall clock shows.
    pub(crate) fn not_before(&self, recorded: Time) {
        self.steady.not_before(recorded);
    }

    /// Where the next process goes on.
    pub(crate) fn anchor(&self) -> Anchor {
        let since_boot = since_boot();
        let counted = Duration::try_from_secs_f64(since_boot - self.started_at).unwrap_or_default();
        let mut slept = self.slept.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = counted.saturating_sub(self.start.elapsed().saturating_add(*slept));
        if missing > SLEPT {
            *slept = slept.saturating_add(missing);
        }
        drop(slept);
        Anchor { boot: self.boot.clone(), since_boot, time: self.now() }
    }
}

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Time {
        let slept = *self.slept.lock().unwrap_or_else(PoisonError::into_inner);
        self.steady.at(wall(self.test_offset.as_deref()), self.start.elapsed().saturating_add(slept))
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    async fn sleep(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }
}

/// Seconds since the machine was started, its sleep included (proc_uptime(5)).
fn since_boot() -> f64 {
    let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    text.split_whitespace().next().and_then(|seconds| seconds.parse().ok()).unwrap_or_default()
}

/// What the machine's wall clock shows.
#[expect(clippy::disallowed_methods, reason = "the one place where the machine's clocks are read")]
fn wall(test_offset: Option<&Path>) -> Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
    let Some(file) = test_offset else { return Time::from_micros(now) };
    let text = std::fs::read_to_string(file).unwrap_or_default();
    Time::from_micros(now.saturating_add(text.trim().parse::<i64>().unwrap_or(0).saturating_mul(1_000_000)))
}

/// Says where the machine's clock is far from the platform's.
pub(crate) struct ClockCheck(pub Arc<SystemClock>);

#[async_trait]
impl DoctorCheck for ClockCheck {
    async fn check(&self, _ctx: &Ctx) -> Vec<Check> {
        let (ours, machine) = (self.0.now(), wall(self.0.test_offset.as_deref()));
        let (ahead, behind) = (machine.since(ours), ours.since(machine));
        let name = "clock".to_owned();
        if ahead.max(behind) < OFF {
            let found = "the machine's clock and the platform's agree".to_owned();
            return vec![Check { name, verdict: Verdict::Ok, found, fix: None }];
        }
        let way = if ahead > behind { "ahead of" } else { "behind" };
        let found = format!(
            "the machine's clock is {} s {way} the platform's time, which goes on evenly and follows it slowly",
            ahead.max(behind).as_secs()
        );
        let fix = "see that the machine's clock is set by a time service; times shown here are off until both agree";
        vec![Check { name, verdict: Verdict::Limited, found, fix: Some(fix.to_owned()) }]
    }
}

/// The operating system's source of chance.
pub(crate) struct SystemChance(pub SystemRandom);

impl Random for SystemChance {
    fn fill(&self, buffer: &mut [u8]) {
        self.0.fill(buffer).expect("without chance there are no secrets: better to end than to go on");
    }
}
