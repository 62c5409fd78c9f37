//! Numbers to heights and to words.

use super::Value;

/// What a number means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Events a second.
    PerSecond,
    /// Milliseconds, in the buckets of the gateway's histogram.
    Millis,
    /// Bytes.
    Bytes,
    /// Thousandths of a processor core.
    Millicores,
    /// Parts of a hundred.
    Percent,
}

/// Bounds of the gateway's latency buckets, milliseconds. A latency is known by its bucket, so the
/// axis has one step for each: a band is as high as what is not known.
const BUCKETS: [f64; 13] = [0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0];
/// Lines across a picture, the one at the bottom not counted.
const LINES: f64 = 3.0;

/// The axis of a picture.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Scale {
    /// From zero to this.
    Linear(f64),
    /// From one bucket's bound to the next, up to the bucket with this number.
    Buckets(usize),
}

impl Scale {
    /// An axis on which all of these have room.
    pub(crate) fn over(unit: Unit, tops: impl Iterator<Item = f64>) -> Self {
        let top = tops.filter(|top| top.is_finite()).fold(0.0, f64::max);
        match unit {
            Unit::Millis => {
                let at = BUCKETS.iter().position(|bound| *bound >= top).unwrap_or(BUCKETS.len());
                Self::Buckets(at.clamp(4, BUCKETS.len()))
            }
            Unit::Percent => Self::Linear(round_up(top.max(1.0)).min(100.0)),
            Unit::Bytes => Self::Linear(round_up_binary(top.max(1024.0))),
            _ => Self::Linear(round_up(if top > 0.0 { top } else { 1.0 })),
        }
    }

    /// The height of a number, from 0 at the bottom to 100 at the top.
    pub(crate) fn height(&self, n: f64) -> f64 {
        let part = match self {
            Self::Linear(top) => n / top,
            Self::Buckets(count) => bucket(n) / *count as f64,
        };
        if part.is_finite() { (part * 100.0).clamp(0.0, 100.0) } else { 0.0 }
    }

    /// Heights without a bound, which is the top.
    pub(crate) fn top(&self) -> f64 {
        100.0
    }

    /// The lines across and what they say.
    pub(crate) fn lines(&self, unit: Unit) -> Vec<(f64, String)> {
        match self {
            Self::Linear(top) => {
                let line = |i: f64| (100.0 * i / LINES, unit.number(top * i / LINES));
                [1.0, 2.0, 3.0].map(line).to_vec()
            }
            Self::Buckets(count) => {
                let every = count.div_ceil(4).max(1);
                let known = BUCKETS.iter().enumerate().skip(1).take(*count);
                let shown = known.filter(|(at, _)| at.checked_rem(every) == Some(0));
                shown.map(|(_, bound)| (self.height(*bound), unit.number(*bound))).collect()
            }
        }
    }
}

/// How many buckets lie below a number, in parts where it lies within one.
fn bucket(n: f64) -> f64 {
    let above = BUCKETS.iter().position(|bound| *bound >= n).unwrap_or(BUCKETS.len());
    let (Some(high), Some(low)) = (BUCKETS.get(above), above.checked_sub(1).and_then(|at| BUCKETS.get(at))) else {
        return above as f64;
    };
    above as f64 - (high - n) / (high - low)
}

/// The next of 3, 6, 15, 30, 60, …: thirds of it are round.
fn round_up(n: f64) -> f64 {
    let scale = 10f64.powf(n.log10().floor());
    let found = [1.5, 3.0, 6.0, 9.0, 15.0].into_iter().map(|step| step * scale).find(|step| *step >= n);
    found.filter(|found| found.is_finite()).unwrap_or(n)
}

/// The same in units of 1024.
fn round_up_binary(n: f64) -> f64 {
    let unit = 1024f64.powf((n.log2() / 10.0).floor());
    round_up(n / unit) * unit
}

impl Unit {
    /// A number with its unit, short.
    pub(crate) fn number(self, n: f64) -> String {
        match self {
            Self::PerSecond => format!("{}/s", short(n)),
            Self::Millis => format!("{} ms", short(n)),
            Self::Millicores => format!("{}m", short(n)),
            Self::Percent => format!("{}%", short(n)),
            Self::Bytes => {
                let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)].map(|(name, bits)| (name, 2f64.powi(bits)));
                let found = units.into_iter().find(|(_, unit)| n >= *unit);
                found.map_or_else(|| format!("{} B", short(n)), |(name, unit)| format!("{} {name}", short(n / unit)))
            }
        }
    }

    /// A value in words; a dash where there is none.
    pub(crate) fn value(self, value: Option<Value>) -> String {
        match value {
            None => "–".to_owned(),
            Some(Value::Exactly(n)) => self.number(n),
            Some(Value::Between(above, None)) => format!("> {}", self.number(above)),
            Some(Value::Between(above, Some(at_most))) if above <= 0.0 => format!("≤ {}", self.number(at_most)),
            Some(Value::Between(above, Some(at_most))) => format!("{}–{}", short(above), self.number(at_most)),
        }
    }
}

/// Three digits that count, and no zeros at the end.
fn short(n: f64) -> String {
    if !n.is_finite() {
        return "–".to_owned();
    }
    let digits = match n.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{n:.digits$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        let top = |unit, n| Scale::over(unit, [n].into_iter());
        assert_eq!(top(Unit::PerSecond, 4.0), Scale::Linear(6.0));
        assert_eq!(top(Unit::PerSecond, 0.0), Scale::Linear(1.5));
        assert_eq!(top(Unit::PerSecond, 12.0), Scale::Linear(15.0));
        assert_eq!(top(Unit::Bytes, 30.0 * 1024.0 * 1024.0), Scale::Linear(30.0 * 1024.0 * 1024.0));
        assert_eq!(top(Unit::Percent, 99.0), Scale::Linear(100.0));
        assert_eq!(top(Unit::Millis, 3.0), Scale::Buckets(4));
        assert_eq!(top(Unit::Millis, 1e9), Scale::Buckets(13));
    }

    #[test]
    fn latencies_have_a_step_for_each_bucket() {
        let scale = Scale::Buckets(4);
        assert_eq!([0.0, 1.0, 2.0, 5.0, 10.0, 99.0].map(|n| scale.height(n)), [0.0, 25.0, 50.0, 75.0, 100.0, 100.0]);
        assert_eq!(scale.height(7.5), 87.5);
        let lines = scale.lines(Unit::Millis);
        assert_eq!(lines.first(), Some(&(25.0, "1 ms".to_owned())));
    }

    #[test]
    fn numbers_are_short_and_have_their_unit() {
        assert_eq!(
            [0.0, 0.0412, 3.46, 12.0, 1234.5].map(|n| Unit::PerSecond.number(n)),
            ["0/s", "0.041/s", "3.46/s", "12/s", "1234/s"]
        );
        assert_eq!(Unit::Bytes.number(1_572_864.0), "1.5 MiB");
        assert_eq!(Unit::Percent.number(100.0), "100%");
    }
}
