use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base::Time;

/// The platform's time moves towards the machine's wall clock by at most one part in so many.
const SLEW: u32 = 20;

/// Time for records that never goes back and never jumps, whatever is done to the machine's wall
/// clock: it passes with the monotonic clock, and where the wall clock shows something else it is up
/// to five percent quicker or slower until both agree. Deadlines and leases are instants in the
/// ledger; with a time that jumps they would pass at once, or wait for years.
///
/// A wall clock that is wrong when the platform starts is believed, except that what is recorded
/// already lies in the past: [`Self::not_before`].
#[derive(Debug)]
pub struct SteadyTime {
    last: Mutex<(Time, Duration)>,
}

impl SteadyTime {
    /// Begins with what the clocks show: the wall clock and the monotonic one.
    pub const fn begin(wall: Time, elapsed: Duration) -> Self {
        Self { last: Mutex::new((wall, elapsed)) }
    }

    /// The time, where the clocks show this.
    pub fn at(&self, wall: Time, elapsed: Duration) -> Time {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = elapsed.saturating_sub(last.1);
        let (expected, give) = (last.0.plus(passed), passed / SLEW);
        let time = wall.clamp(expected.minus(give), expected.plus(give));
        *last = (time, elapsed.max(last.1));
        time
    }

    /// Something was recorded at this time: it is not before that.
    pub fn not_before(&self, recorded: Time) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.0 = last.0.max(recorded);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Time = Time::from_micros(1_790_000_000_000_000);
    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Shows the wall clock with this much added after so many seconds; expects so many seconds of time.
    fn check(steady: &SteadyTime, after: u64, wall: Time, expect: Duration) {
        assert_eq!(steady.at(wall, s(after)).since(START), expect);
    }

    #[test]
    fn a_wall_clock_that_agrees_is_followed() {
        let steady = SteadyTime::begin(START, s(0));
        check(&steady, 10, START.plus(s(10)), s(10));
        // A little quicker: caught up within the slew.
        check(&steady, 20, START.plus(Duration::from_millis(20_300)), Duration::from_millis(20_300));
    }

    #[test]
    fn jumps_are_not() {
        let steady = SteadyTime::begin(START, s(0));
        check(&steady, 100, START.plus(s(100_000)), s(105));
        check(&steady, 200, Time::from_micros(0), s(200));
        check(&steady, 200, Time::from_micros(0), s(200));
        check(&steady, 300, Time::from_micros(4_102_444_800_000_000), s(305));
    }

    #[test]
    fn what_was_recorded_is_past() {
        let steady = SteadyTime::begin(Time::from_micros(0), s(0));
        steady.not_before(START);
        check(&steady, 100, Time::from_micros(100_000_000), s(95));
        steady.not_before(Time::from_micros(5));
        check(&steady, 100, Time::from_micros(100_000_000), s(95));
    }
}
