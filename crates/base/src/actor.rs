use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{PersonName, Problem};

/// Who did something: a person, or a part of the platform by itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Actor {
    /// A person or machine account, by whatever credential.
    Person(PersonName),
    /// A part of the platform, by its name: `deliver.rollout`.
    Platform(String),
    /// Nobody that is known.
    Anonymous,
}

impl Actor {
    /// A part of the platform.
    pub fn platform(part: &str) -> Self {
        Self::Platform(part.to_owned())
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person(name) => write!(f, "person:{name}"),
            Self::Platform(part) => write!(f, "platform:{part}"),
            Self::Anonymous => f.write_str("anonymous"),
        }
    }
}

impl FromStr for Actor {
    type Err = Problem;
    fn from_str(text: &str) -> Result<Self, Problem> {
        match text.split_once(':') {
            Some(("person", name)) => Ok(Self::Person(name.parse()?)),
            Some(("platform", part)) => Ok(Self::Platform(part.to_owned())),
            None if text == "anonymous" => Ok(Self::Anonymous),
            _ => Err(Problem::unprocessable("bad-actor", "an actor is `person:NAME`, `platform:PART` or `anonymous`")),
        }
    }
}

impl Serialize for Actor {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Actor {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        for text in ["person:ada", "platform:deliver.rollout", "anonymous"] {
            assert_eq!(text.parse::<Actor>().unwrap().to_string(), text);
        }
        assert!("person:Ada Lovelace".parse::<Actor>().is_err());
        assert!("root".parse::<Actor>().is_err());
    }
}
