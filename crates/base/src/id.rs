use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Problem, Time};

/// Crockford's base 32, lower case: no `i`, `l`, `o`, `u`.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

fn encode(value: u128) -> String {
    (0..26u32).rev().map(|i| char::from(ALPHABET[(value >> (5 * i)) as usize & 31])).collect()
}

fn decode(text: &str) -> Option<u128> {
    if text.len() != 26 || text.as_bytes()[0] > b'7' {
        return None;
    }
    text.bytes().try_fold(0u128, |acc, byte| {
        let digit = ALPHABET.iter().position(|a| *a == byte)?;
        Some(acc << 5 | digit as u128)
    })
}

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal),* $(,)?) => {$(
        $(#[$doc])*
        ///
        /// Sorts by the time of creation: 48 bits of milliseconds since 1970, then 80 random bits.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(u128);

        impl $name {
            /// What every id of this type begins with.
            pub const PREFIX: &'static str = $prefix;

            /// Makes an id from the instant of creation and ten random bytes.
            pub fn new(now: Time, random: [u8; 10]) -> Self {
                let millis = u128::from(now.micros().max(0).unsigned_abs() / 1000) & 0xffff_ffff_ffff;
                let mut low = [0u8; 16];
                low[6..].copy_from_slice(&random);
                Self(millis << 80 | u128::from_be_bytes(low))
            }

            /// The first characters that tell this id from its siblings, for people.
            pub fn short(&self) -> String {
                let text = encode(self.0);
                text[text.len() - 8..].to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), encode(self.0))
            }
        }

        impl FromStr for $name {
            type Err = Problem;
            fn from_str(text: &str) -> Result<Self, Problem> {
                text.strip_prefix(concat!($prefix, "_")).and_then(decode).map(Self).ok_or_else(|| {
                    Problem::unprocessable("bad-id", concat!("this is not an id of the form ", $prefix, "_…"))
                })
            }
        }

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

id! {
    /// One pushed or uploaded state of a service's code.
    SourceId = "src",
    /// One attempt to turn a source into an artifact.
    BuildId = "bld",
    /// An immutable release.
    ReleaseId = "rel",
    /// One attempt to make a release current in one environment.
    RolloutId = "ro",
    /// One running (or once running) copy of a process.
    InstanceId = "in",
    /// A durable job.
    JobId = "job",
    /// A credential.
    TokenId = "tok",
    /// A person or machine account.
    PersonId = "per",
}

/// The place of a fact in the one total order of all facts; the first is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FactSeq(pub i64);

/// The version of an intent. Whoever carries an intent out refuses one that is older than what it has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub i64);

impl Generation {
    /// The generation after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for FactSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_order() {
        let a = ReleaseId::new(Time::from_micros(1_000_000), [255; 10]);
        let b = ReleaseId::new(Time::from_micros(2_000_000), [0; 10]);
        assert!(a < b && a.to_string() < b.to_string());
        assert_eq!(a.to_string().parse::<ReleaseId>().unwrap(), a);
        assert_eq!(a.short().len(), 8);
    }

    #[test]
    fn foreign_texts_are_refused() {
        let good = ReleaseId::new(Time::from_micros(5), [1; 10]).to_string();
        for bad in ["", "rel_", "rel_zz", &good.replace("rel", "src"), &good.to_uppercase(), &format!("{good}0")] {
            assert!(bad.parse::<ReleaseId>().is_err(), "{bad}");
        }
        assert!(format!("rel_{}", "z".repeat(26)).parse::<ReleaseId>().is_err(), "more than 128 bits");
    }
}
