use std::time::Duration;

use base::{Span, Time};
use ports::Window;

const MINUTE: Duration = Duration::from_secs(60);
/// The shortest and the longest window.
const WINDOWS: (Duration, Duration) = (MINUTE, Duration::from_secs(24 * 3600));
const HISTORY: Duration = Duration::from_secs(3600);
const OVERVIEW: Duration = Duration::from_secs(300);
/// Steps of a window where nobody says how long they are.
const STEPS: u32 = 120;
/// Most steps of a window.
const STEPS_MAX: u32 = 720;
/// Steps of a sparkline.
const SPARKS: u32 = 30;
/// No step is shorter.
const SHORTEST: Duration = Duration::from_secs(10);

/// The part of the history that is asked for.
pub(crate) fn history(now: Time, window: Option<Span>, step: Option<Span>, until: Option<Time>) -> Window {
    let span = window.map_or(HISTORY, |span| span.0).clamp(WINDOWS.0, WINDOWS.1);
    let to = until.unwrap_or(now).min(now);
    let wanted = step.map_or(span / STEPS, |step| step.0);
    Window { from: to.minus(span), to, step: wanted.max(span / STEPS_MAX).max(SHORTEST) }
}

/// What is now, in a few steps.
pub(crate) fn overview(now: Time, window: Option<Span>) -> Window {
    let span = window.map_or(OVERVIEW, |span| span.0).clamp(WINDOWS.0, WINDOWS.1);
    Window { from: now.minus(span), to: now, step: (span / SPARKS).max(SHORTEST) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_bounded_and_so_are_their_steps() {
        let now = Time::from_micros(1_800_000_000_000_000);
        let span = |s| Some(Span(Duration::from_secs(s)));
        let check = |window, step, until, expect: (u64, u64)| {
            let got = history(now, window, step, until);
            assert_eq!((got.to.since(got.from).as_secs(), got.step.as_secs()), expect);
        };
        check(None, None, None, (3600, 30));
        check(span(1), span(1), None, (60, 10));
        check(span(900), None, None, (900, 10));
        check(span(1 << 40), span(1), None, (86_400, 120));
        check(span(3600), span(600), None, (3600, 600));
        let past = now.minus(Duration::from_secs(500));
        assert_eq!(history(now, None, None, Some(past)).to, past);
        assert_eq!(history(now, None, None, Some(now.plus(MINUTE))).to, now, "nobody knows the future");
        assert_eq!(overview(now, None).step, SHORTEST);
    }
}
