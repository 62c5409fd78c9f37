//! Small forms of values for people.

use std::time::Duration;

use base::{Actor, Time};

use crate::output::{Paint, Table};

/// A span as people say it: `0.4 s`, `12.3 s`, `3 min 20 s`, `2 h 5 min`, `4 d`.
pub fn span(span: Duration) -> String {
    let s = span.as_secs();
    match s {
        0..60 => format!("{}.{} s", s, span.subsec_millis() / 100),
        60..3600 => format!("{} min {} s", s / 60, s % 60),
        3600..86_400 => format!("{} h {} min", s / 3600, s % 3600 / 60),
        _ => format!("{} d", s / 86_400),
    }
}

/// As [`span`], from milliseconds.
pub fn millis(ms: u64) -> String {
    span(Duration::from_millis(ms))
}

/// How long ago, coarsely.
pub fn ago(at: Time, now: Time) -> String {
    let s = now.since(at).as_secs();
    match s {
        0..60 => format!("{s} s ago"),
        60..3600 => format!("{} min ago", s / 60),
        3600..172_800 => format!("{} h ago", s / 3600),
        _ => format!("{} d ago", s / 86_400),
    }
}

/// How far away, either side of now.
pub fn until(at: Time, now: Time) -> String {
    if at > now { format!("in {}", span(at.since(now))) } else { ago(at, now) }
}

/// An instant to the second, UTC.
pub fn instant(at: Time) -> String {
    let text = at.to_string();
    text.split_once('.').map_or(text.clone(), |(whole, _)| format!("{}Z", whole.replace('T', " ")))
}

/// Bytes with a binary unit, one decimal.
pub fn bytes(n: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match UNITS.into_iter().find(|(_, unit)| n >= *unit) {
        Some((name, unit)) => format!("{}.{} {name}", n / unit, n % unit * 10 / unit),
        None => format!("{n} B"),
    }
}

/// `1 file`, `2 files`, `30,000 files`.
pub fn count(n: u64, noun: &str) -> String {
    let digits = n.to_string();
    let mut grouped = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(c);
    }
    format!("{grouped} {noun}{}", if n == 1 { "" } else { "s" })
}

/// Who, without the word for the sort of actor where it is a person.
pub fn actor(actor: &Actor) -> String {
    match actor {
        Actor::Person(name) => name.to_string(),
        other => other.to_string(),
    }
}

/// The word of a closed set of words, as it is on the wire.
pub fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

/// Who can do what: the caller first, then everybody.
pub fn rights(report: &api::access::AccessReport, paint: Paint) -> String {
    let mut mine = Table::new(["YOU", "", "WHY"]);
    for right in &report.mine {
        let allowed = if right.allowed { "yes" } else { "no" };
        mine.plain([word(&right.action), allowed.to_owned(), right.why.clone()]);
    }
    let mut people = Table::new(["PERSON", "MAY", "WHY"]);
    for one in &report.people {
        let actions: Vec<_> = one.actions.iter().map(word).collect();
        people.plain([one.person.to_string(), actions.join(","), one.why.clone()]);
    }
    format!("{}\n\n{}", mine.show(paint, ""), people.show(paint, "Nobody."))
}

/// A line of bars for a row of numbers, the largest as high as a line; `_` is zero, a dot where there is none.
pub fn spark(values: &[Option<f64>]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = values.iter().flatten().copied().fold(0.0, f64::max);
    let bar = |value: f64| match value > 0.0 {
        true => BARS[((value / most * BARS.len() as f64).ceil() as usize).clamp(1, BARS.len()) - 1],
        false => '_',
    };
    values.iter().map(|value| value.map_or('·', bar)).collect()
}

/// A number of few digits: `0`, `0.04`, `3.5`, `120`.
pub fn number(n: f64) -> String {
    match n {
        0.0 => "0".to_owned(),
        n if n < 1.0 => format!("{n:.2}"),
        n if n < 100.0 => format!("{n:.1}"),
        n => format!("{n:.0}"),
    }
}

/// The first twelve characters of a commit.
pub fn commit(commit: Option<&str>) -> String {
    commit.map_or_else(|| "-".to_owned(), |c| c.chars().take(12).collect())
}

/// `-` for what is absent.
pub fn or_dash<T: std::fmt::Display>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |v| v.to_string())
}

/// Foreign text made fit for a terminal: no control characters, no escape sequences (they could
/// move the cursor, change the window's title or hide a line).
pub fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => skip_escape(&mut chars),
            '\t' => out.push('\t'),
            c if steers(c) => {}
            c => out.push(c),
        }
    }
    out
}

/// Whether a terminal obeys this character instead of showing it: control characters (ECMA-48 §5)
/// and those that turn the direction of writing (Unicode, UAX #9 §2).
pub fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Skips the rest of an escape sequence (ECMA-48 §5.4): `[`, parameters, one final byte 0x40–0x7e;
/// or, for operating system commands, everything up to BEL or the next escape.
fn skip_escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match chars.next() {
        Some('[') => {
            chars.find(|c| ('\u{40}'..='\u{7e}').contains(c));
        }
        Some(']') => {
            while chars.peek().is_some_and(|c| *c != '\u{1b}') {
                if chars.next() == Some('\u{7}') {
                    break;
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_sizes() {
        assert_eq!(
            [400, 12_345, 200_000, 7_500_000, 400_000_000].map(millis),
            ["0.4 s", "12.3 s", "3 min 20 s", "2 h 5 min", "4 d"]
        );
        assert_eq!([12, 1536, 5 << 20, 3 << 30].map(bytes), ["12 B", "1.5 KiB", "5.0 MiB", "3.0 GiB"]);
        assert_eq!(
            [1, 999, 1000, 1_234_567].map(|n| count(n, "file")),
            ["1 file", "999 files", "1,000 files", "1,234,567 files"]
        );
        assert_eq!(instant(Time::from_micros(1_790_000_000_123_456)), "2026-09-21 14:13:20Z");
    }

    #[test]
    fn rows_of_numbers_are_lines_of_bars() {
        let check = |values: &[Option<f64>], expect: &str| assert_eq!(spark(values), expect);
        check(&[], "");
        check(&[Some(0.0), Some(0.0), None], "__·");
        check(&[Some(8.0), Some(0.1), None, Some(4.0), Some(0.0)], "█▁·▄_");
        assert_eq!([0.0, 0.041, 3.47, 120.4].map(number), ["0", "0.04", "3.5", "120"]);
    }

    #[test]
    fn foreign_text_cannot_steer_the_terminal() {
        let check = |text: &str, expect: &str| assert_eq!(clean(text), expect, "{text:?}");
        check("\u{1b}[31;1mred\u{1b}[0m", "red");
        check("a\u{1b}]0;title\u{7}b", "ab");
        check("a\u{1b}]0;title\u{1b}\\b", "ab");
        check("a\rb\nc\u{8}d\te", "abcd\te");
        check("x\u{202e}y\u{9b}31mz", "xy31mz");
        check("\u{1b}", "");
        check("\u{1b}[", "");
    }
}
