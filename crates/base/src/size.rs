use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Problem;

/// An amount of memory or storage, in bytes. Written `256Mi`, `1G`, `4096` (the suffixes of
/// Kubernetes' resource quantities).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bytes(pub u64);

/// An amount of processor, in thousandths of a core. Written `500m`, `1`, `0.5`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MilliCpu(pub u32);

/// A span of time. Written `30s`, `15m`, `2h`, `500ms`, `1d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span(pub Duration);

const BYTE_UNITS: [(&str, u64); 8] = [
    ("Ti", 1 << 40),
    ("Gi", 1 << 30),
    ("Mi", 1 << 20),
    ("Ki", 1 << 10),
    ("T", 1_000_000_000_000),
    ("G", 1_000_000_000),
    ("M", 1_000_000),
    ("K", 1_000),
];

fn bad(what: &str, text: &str, example: &str) -> Problem {
    let shown: String = text.chars().filter(|c| !c.is_control()).take(40).collect();
    Problem::unprocessable("bad-size", format!("`{shown}` is not {what}")).hint(format!("write it like {example}"))
}

fn whole(text: &str) -> Option<u64> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

impl FromStr for Bytes {
    type Err = Problem;
    fn from_str(text: &str) -> Result<Self, Problem> {
        let (digits, unit) = BYTE_UNITS
            .iter()
            .find_map(|(suffix, unit)| text.strip_suffix(suffix).map(|rest| (rest, *unit)))
            .unwrap_or((text, 1));
        whole(digits)
            .and_then(|n| n.checked_mul(unit))
            .map(Self)
            .ok_or_else(|| bad("an amount of memory", text, "`256Mi` or `1Gi`"))
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = BYTE_UNITS[..4].iter().find(|(_, unit)| self.0 >= *unit && self.0.is_multiple_of(*unit));
        match unit {
            Some((suffix, unit)) => write!(f, "{}{suffix}", self.0 / unit),
            None => write!(f, "{}", self.0),
        }
    }
}

impl FromStr for MilliCpu {
    type Err = Problem;
    fn from_str(text: &str) -> Result<Self, Problem> {
        let millis = match text.strip_suffix('m') {
            Some(digits) => whole(digits),
            None => {
                let (cores, part) = text.split_once('.').unwrap_or((text, "0"));
                let padded = format!("{part:0<3}");
                (padded.len() == 3).then(|| Some(whole(cores)?.checked_mul(1000)? + whole(&padded)?)).flatten()
            }
        };
        millis
            .and_then(|m| u32::try_from(m).ok())
            .filter(|m| *m > 0)
            .map(Self)
            .ok_or_else(|| bad("an amount of processor", text, "`500m` or `2`"))
    }
}

impl fmt::Display for MilliCpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_multiple_of(1000) { write!(f, "{}", self.0 / 1000) } else { write!(f, "{}m", self.0) }
    }
}

const SPAN_UNITS: [(&str, u64); 5] = [("ms", 1), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)];

impl FromStr for Span {
    type Err = Problem;
    fn from_str(text: &str) -> Result<Self, Problem> {
        SPAN_UNITS
            .iter()
            .find_map(|(suffix, unit)| text.strip_suffix(suffix).map(|rest| (rest, *unit)))
            .and_then(|(digits, unit)| whole(digits)?.checked_mul(unit))
            .map(|ms| Self(Duration::from_millis(ms)))
            .ok_or_else(|| bad("a span of time", text, "`30s`, `5m` or `2h`"))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_millis();
        let unit = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)]
            .into_iter()
            .find(|(_, unit)| ms >= *unit && ms.is_multiple_of(*unit));
        match unit {
            Some((suffix, unit)) => write!(f, "{}{suffix}", ms / unit),
            None => write!(f, "{ms}ms"),
        }
    }
}

macro_rules! as_text {
    ($($name:ident),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}
as_text!(Bytes, MilliCpu, Span);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_mean_what_kubernetes_says() {
        assert_eq!("256Mi".parse::<Bytes>().unwrap(), Bytes(268_435_456));
        assert_eq!("1K".parse::<Bytes>().unwrap(), Bytes(1000));
        assert_eq!("500m".parse::<MilliCpu>().unwrap(), MilliCpu(500));
        assert_eq!("1.5".parse::<MilliCpu>().unwrap(), MilliCpu(1500));
        assert_eq!("0.05".parse::<MilliCpu>().unwrap(), MilliCpu(50));
        assert_eq!("15m".parse::<Span>().unwrap().0, Duration::from_secs(900));
        assert_eq!("500ms".parse::<Span>().unwrap().0, Duration::from_millis(500));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "Mi", "-1", "+1", "1.5Mi", "99999999999999Ti", " 1", "1e3", "٣"] {
            assert!(text.parse::<Bytes>().is_err(), "{text}");
        }
        for text in ["", "0", "m", "-1m", "1.2345", "1,5", "99999999999"] {
            assert!(text.parse::<MilliCpu>().is_err(), "{text}");
        }
        for text in ["", "s", "10", "1.5s", "-1s", "10 s", "99999999999999999d"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }

    #[test]
    fn display_is_read_back() {
        for n in [0, 1, 1023, 1024, 1 << 20, 5 << 30, 1_000_000] {
            assert_eq!(Bytes(n).to_string().parse::<Bytes>().unwrap(), Bytes(n));
        }
        for n in [1, 999, 1000, 1001, 64_000] {
            assert_eq!(MilliCpu(n).to_string().parse::<MilliCpu>().unwrap(), MilliCpu(n));
        }
        for n in [0, 1, 1000, 60_000, 90_000, 86_400_000] {
            let span = Span(Duration::from_millis(n));
            assert_eq!(span.to_string().parse::<Span>().unwrap(), span);
        }
    }
}
