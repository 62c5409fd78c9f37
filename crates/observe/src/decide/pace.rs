use std::time::Duration;

use base::Time;

/// Instances that are looked at in a second, on average.
const INSTANCES_PER_SECOND: u64 = 50;
/// They are not looked at more often than this.
const AT_MOST_EVERY: Duration = Duration::from_secs(10);
/// Nor less often: a look covers two minutes at most, and one may be missed.
const AT_LEAST_EVERY: Duration = Duration::from_secs(60);

/// Whether it is time to look at the instances, of which there were so many the last time.
pub(crate) fn is_due(now: Time, last: Option<Time>, instances: usize) -> bool {
    let by_number = Duration::from_secs(u64::try_from(instances).unwrap_or(u64::MAX) / INSTANCES_PER_SECOND);
    let pause = by_number.clamp(AT_MOST_EVERY, AT_LEAST_EVERY);
    // The sampler comes by on a beat of its own: a little early is on time.
    last.is_none_or(|last| now.since(last) + Duration::from_secs(1) >= pause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_instances_are_looked_at_less_often() {
        let at = |s: i64| Time::from_micros(s * 1_000_000);
        let check = |after, instances, expect| {
            assert_eq!(is_due(at(after), Some(at(0)), instances), expect, "{after} {instances}")
        };
        assert!(is_due(at(0), None, 0));
        check(5, 10, false);
        check(9, 10, true);
        check(15, 1000, false);
        check(20, 1000, true);
        check(59, 1_000_000, true);
    }
}
