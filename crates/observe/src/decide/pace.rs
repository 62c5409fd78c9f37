use std::time::Duration;

use base::Time;

/// The sampler comes by on a beat of its own: a little early is on time.
const EARLY: Duration = Duration::from_secs(1);

/// What a look may cost: so many a second on average, within these bounds of the pause between two looks.
struct Pace {
    per_second: u64,
    pause: (Duration, Duration),
}

/// Series of requests and usage that are kept. A look at the counters covers two minutes at most.
const REQUESTS: Pace = Pace { per_second: 2_000, pause: (Duration::from_secs(5), Duration::from_secs(30)) };
/// Instances. A look covers two minutes at most, and one may be missed.
const USAGE: Pace = Pace { per_second: 50, pause: (Duration::from_secs(10), Duration::from_secs(60)) };

impl Pace {
    fn is_due(&self, now: Time, last: Option<Time>, number: usize) -> bool {
        let by_number = Duration::from_secs(u64::try_from(number).unwrap_or(u64::MAX) / self.per_second);
        let pause = by_number.clamp(self.pause.0, self.pause.1);
        last.is_none_or(|last| now.since(last) + EARLY >= pause)
    }
}

/// Whether it is time to ask for the counters, with so many series that are kept.
pub(crate) fn requests_are_due(now: Time, last: Option<Time>, series: usize) -> bool {
    REQUESTS.is_due(now, last, series)
}

/// Whether it is time to look at the instances, of which there were so many the last time.
pub(crate) fn usage_is_due(now: Time, last: Option<Time>, instances: usize) -> bool {
    USAGE.is_due(now, last, instances)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_instances_are_looked_at_less_often() {
        let at = |s: i64| Time::from_micros(s * 1_000_000);
        let check = |after, instances, expect| {
            assert_eq!(usage_is_due(at(after), Some(at(0)), instances), expect, "{after} {instances}")
        };
        assert!(usage_is_due(at(0), None, 0));
        check(5, 10, false);
        check(9, 10, true);
        check(15, 1000, false);
        check(20, 1000, true);
        check(59, 1_000_000, true);
    }

    #[test]
    fn many_series_are_asked_for_less_often() {
        let at = |s: i64| Time::from_micros(s * 1_000_000);
        let check = |after, series, expect| {
            assert_eq!(requests_are_due(at(after), Some(at(0)), series), expect, "{after} {series}")
        };
        check(4, 0, true);
        check(3, 0, false);
        check(4, 6_000, true);
        check(20, 60_000, false);
        check(29, 60_000, true);
        check(29, usize::MAX, true);
        assert!(requests_are_due(at(0), None, 0));
    }
}
