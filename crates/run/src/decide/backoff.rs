use std::time::Duration;

use base::Time;

use crate::model::Tally;

/// From so many crashes on, a process is said to be in a crash loop.
pub(crate) const CRASH_LOOP: u32 = 3;
/// The wait after the first crash; it doubles with each.
const FIRST: Duration = Duration::from_secs(1);
/// The longest wait.
const LAST: Duration = Duration::from_secs(300);
/// After so long without a crash the count begins anew.
pub(crate) const FORGIVEN: Duration = Duration::from_secs(300);

/// When a process may be started again after its crashes; `None`: at once.
pub(crate) fn next_start(tally: &Tally) -> Option<Time> {
    let doublings = tally.crashes.checked_sub(1)?;
    let factor = 1u32.checked_shl(doublings).unwrap_or(u32::MAX);
    Some(tally.last_crash.plus(FIRST.saturating_mul(factor).min(LAST)))
}

/// When the count of crashes begins anew, if there were any.
pub(crate) fn forgiven_at(tally: &Tally) -> Option<Time> {
    (tally.crashes > 0).then(|| tally.last_crash.plus(FORGIVEN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_are_bounded() {
        let wait = |crashes| next_start(&Tally { crashes, last_crash: Time::default() }).map(Time::micros);
        let s = 1_000_000;
        assert_eq!(wait(0), None);
        assert_eq!([wait(1), wait(2), wait(3)], [Some(s), Some(2 * s), Some(4 * s)]);
        assert_eq!(
            [wait(9), wait(10), wait(64), wait(u32::MAX)],
            [Some(256 * s), Some(300 * s), Some(300 * s), Some(300 * s)]
        );
    }
}
