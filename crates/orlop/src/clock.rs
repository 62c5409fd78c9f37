//! Time and chance of the real world.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base::Time;
use ports::{Clock, Random, SteadyTime};

/// The machine's clocks, made steady.
pub(crate) struct SystemClock {
    start: Instant,
    steady: SteadyTime,
}

impl SystemClock {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), steady: SteadyTime::begin(wall(), Duration::ZERO) }
    }

    /// What is recorded lies in the past, whatever the wall clock shows.
    pub(crate) fn not_before(&self, recorded: Time) {
        self.steady.not_before(recorded);
    }
}

/// What the machine's wall clock shows.
#[expect(clippy::disallowed_methods, reason = "the one place where the machine's clocks are read")]
fn wall() -> Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Time::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Time {
        self.steady.at(wall(), self.elapsed())
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    async fn sleep(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }
}

/// The operating system's source of chance.
pub(crate) struct SystemChance(pub SystemRandom);

impl Random for SystemChance {
    fn fill(&self, buffer: &mut [u8]) {
        self.0.fill(buffer).expect("without chance there are no secrets: better to end than to go on");
    }
}
