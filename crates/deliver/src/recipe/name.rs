use std::fmt;
use std::str::FromStr;

use base::Problem;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::shown;

/// The recipes there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RecipeName {
    /// A Cargo package or workspace.
    Rust,
    /// A Go module.
    Go,
    /// Python with `requirements.txt`, `pyproject.toml`, or nothing but the standard library.
    Python,
    /// A `package.json`.
    Node,
    /// A folder of files that the platform serves itself.
    Site,
    /// Processes from a `Procfile`; nothing is built.
    Procfile,
    /// The command of the service file; nothing is built.
    Command,
}

impl RecipeName {
    /// All of them, in the order in which detection tries them.
    pub const ALL: [Self; 7] =
        [Self::Rust, Self::Go, Self::Python, Self::Node, Self::Site, Self::Procfile, Self::Command];

    /// The name as it is written in the service file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Go => "go",
            Self::Python => "python",
            Self::Node => "node",
            Self::Site => "site",
            Self::Procfile => "procfile",
            Self::Command => "command",
        }
    }
}

impl FromStr for RecipeName {
    type Err = Problem;
    fn from_str(text: &str) -> Result<Self, Problem> {
        Self::ALL.into_iter().find(|name| name.as_str() == text).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|name| format!("`{name}`")).collect();
            Problem::unprocessable("unknown-recipe", format!("there is no recipe `{}`", shown(text)))
                .hint(format!("use one of {}, or leave `build.recipe` out to have it detected", known.join(", ")))
        })
    }
}

impl fmt::Display for RecipeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for RecipeName {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for RecipeName {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_others_are_refused_with_the_list() {
        for name in RecipeName::ALL {
            assert_eq!(name.to_string().parse::<RecipeName>().unwrap(), name);
        }
        let problem = "Rust\u{1b}[31m".parse::<RecipeName>().unwrap_err();
        assert_eq!(problem.code, "unknown-recipe");
        let text = problem.to_string();
        assert!(text.contains("`python`") && !text.contains('\u{1b}'), "{text}");
    }
}
