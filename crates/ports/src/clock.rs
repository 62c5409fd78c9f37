use std::time::Duration;

use async_trait::async_trait;
use base::Time;

/// The only source of time. Durations come from [`Clock::elapsed`], which never goes back; [`Clock::now`]
/// is for display, expiry and records that outlive a process, and never jumps (decision 0022).
#[async_trait]
pub trait Clock: Send + Sync {
    /// The platform's time: the wall clock without its jumps.
    fn now(&self) -> Time;
    /// Monotonic time since some fixed moment of this process.
    fn elapsed(&self) -> Duration;
    /// Waits.
    async fn sleep(&self, span: Duration);
}

/// The only source of chance; cryptographically strong in production, seeded in simulation.
pub trait Random: Send + Sync {
    /// Fills the buffer.
    fn fill(&self, buffer: &mut [u8]);
}

/// Makes a new id of any id type of `base`: `new_id(clock, random, ReleaseId::new)`.
pub fn new_id<T>(clock: &dyn Clock, random: &dyn Random, make: fn(Time, [u8; 10]) -> T) -> T {
    let mut bytes = [0; 10];
    random.fill(&mut bytes);
    make(clock.now(), bytes)
}
