//! Where the platform's time was: what makes it go on evenly from one process to the next.
//!
//! [`ports::SteadyTime`] begins with what it is given. Given the machine's wall clock at each start, a
//! control plane that is restarted while that clock is wrong would take the wrong time over.

use std::time::Duration;

use base::Time;
use serde::{Deserialize, Serialize};

/// The platform's time at one moment since boot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Anchor {
    /// Which boot.
    pub boot: String,
    /// Seconds since that boot, the machine's sleep included.
    pub since_boot: f64,
    /// The platform's time then.
    pub time: Time,
}

impl Anchor {
    /// The time with which the next process begins. In the same boot it goes on by what has passed;
    /// after a restart of the machine its wall clock is believed, but never a time before this.
    pub(crate) fn resume(&self, boot: &str, since_boot: f64, wall: Time) -> Time {
        if boot != self.boot {
            return wall.max(self.time);
        }
        self.time.plus(Duration::try_from_secs_f64(since_boot - self.since_boot).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_process_goes_on_where_the_last_one_was() {
        let (now, y1970, y2100) = (1_790_000_000, 0, 4_102_444_800);
        let at = |seconds: i64| Time::from_micros(seconds * 1_000_000);
        let anchor = Anchor { boot: "a".into(), since_boot: 50.0, time: at(now) };
        let check = |boot: &str, since_boot: f64, wall: i64, expect: i64| {
            assert_eq!(anchor.resume(boot, since_boot, at(wall)), at(expect), "{boot} {since_boot} {wall}");
        };
        check("a", 60.0, now + 10, now + 10);
        check("a", 60.0, y1970, now + 10);
        check("a", 60.0, y2100, now + 10);
        check("a", 40.0, now, now);
        check("b", 1.0, now + 500, now + 500);
        check("b", 1.0, y1970, now);
    }
}
