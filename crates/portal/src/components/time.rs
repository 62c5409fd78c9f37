use std::fmt;
use std::time::Duration;

use askama::filters::HtmlSafe;
use base::Time;

/// An instant, as its distance from now; the script puts the exact one in the reader's zone beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct When {
    pub at: Time,
    pub now: Time,
}

impl When {
    pub(crate) const fn new(at: Time, now: Time) -> Self {
        Self { at, now }
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = self.at;
        write!(f, "<time datetime=\"{exact}\" title=\"{}\">{}</time>", utc(exact), age(exact, self.now))
    }
}

impl HtmlSafe for When {}

/// An instant, as hours and minutes; the script puts them into the reader's zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Clock(pub Time);

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = self.0;
        let text = utc(exact);
        let short = text.get(11..19).unwrap_or_default();
        write!(f, "<time datetime=\"{exact}\" title=\"{text}\" data-clock=\"short\">{short}</time>")
    }
}

impl HtmlSafe for Clock {}

/// `2026-11-25 21:16:22 UTC`
fn utc(at: Time) -> String {
    let text = at.to_string();
    text.get(..19).map_or_else(|| text.clone(), |seconds| format!("{} UTC", seconds.replace('T', " ")))
}

/// `3 min ago`, `in 5 h`, `just now`.
pub(crate) fn age(at: Time, now: Time) -> String {
    if at > now {
        return match at.since(now) {
            span if span < Duration::from_secs(5) => "now".to_owned(),
            span => format!("in {}", spoken(span)),
        };
    }
    match now.since(at) {
        span if span < Duration::from_secs(5) => "just now".to_owned(),
        span => format!("{} ago", spoken(span)),
    }
}

/// A span in its largest whole unit: `42 s`, `3 min`, `5 h`, `12 d`; short ones in milliseconds.
pub(crate) fn spoken(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0 => format!("{} ms", span.as_millis()),
        1..=89 => format!("{seconds} s"),
        90..=5_399 => format!("{} min", rounded(seconds, 60)),
        5_400..=172_799 => format!("{} h", rounded(seconds, 3_600)),
        _ => format!("{} d", rounded(seconds, 86_400)),
    }
}

const fn rounded(seconds: u64, unit: u64) -> u64 {
    match seconds.saturating_add(unit / 2).checked_div(unit) {
        Some(n) => n,
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(seconds_ago: i64, expect: &str) {
        let now = Time::from_micros(1_790_000_000_000_000);
        let at = Time::from_micros(now.micros() - seconds_ago * 1_000_000);
        assert_eq!(age(at, now), expect);
    }

    #[test]
    fn distances_are_said_as_people_say_them() {
        check(0, "just now");
        check(7, "7 s ago");
        check(89, "89 s ago");
        check(90, "2 min ago");
        check(3_600, "60 min ago");
        check(7_200, "2 h ago");
        check(86_400 * 3, "3 d ago");
        check(-3, "now");
        check(-600, "in 10 min");
        let when = When::new(Time::from_micros(0), Time::from_micros(60_000_000)).to_string();
        assert_eq!(
            when,
            "<time datetime=\"1970-01-01T00:00:00.000000Z\" title=\"1970-01-01 00:00:00 UTC\">60 s ago</time>"
        );
    }
}
