use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Problem;

/// A text that is outside the grammar of the name it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{shown}` is not a {what}: {rule}")]
pub struct BadName {
    what: &'static str,
    rule: &'static str,
    shown: String,
}

impl From<BadName> for Problem {
    fn from(bad: BadName) -> Self {
        Self::unprocessable("bad-name", &bad).hint(bad.rule)
    }
}

/// Foreign text is shown shortened and without control characters.
fn shown(text: &str) -> String {
    let mut out: String = text.chars().take(60).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().count() > 60 {
        out.push('…');
    }
    out
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// The grammar in words, for error messages and documents.
            pub const RULE: &'static str = $rule;

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadName;
            fn from_str(text: &str) -> Result<Self, BadName> {
                let check: fn(&str) -> bool = $check;
                if check(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(BadName { what: $what, rule: $rule, shown: shown(text) })
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = String::deserialize(d)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

/// Lower-case words joined by single hyphens, first character a letter (a DNS label, RFC 1035 §2.3.1).
fn label(text: &str, max: usize) -> bool {
    (1..=max).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with('-')
        && !text.contains("--")
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// One word, optionally followed by a hyphen and a number: `dev`, `staging`, `pr-123`. The shape
/// makes the host name `<service>-<environment>` readable from the right without ambiguity.
fn environment(text: &str) -> bool {
    let (word, number) = text.split_once('-').map_or((text, None), |(w, n)| (w, Some(n)));
    text.len() <= 16 && label(word, 16) && number.is_none_or(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

fn setting(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

fn person(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-+@".contains(&b))
}

/// Host names in lower case, without a trailing dot (RFC 1123 §2.1): labels of 1–63 characters, 253 in all.
fn host(text: &str) -> bool {
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && !l.starts_with('-')
            && !l.ends_with('-')
            && l.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    (1..=253).contains(&text.len())
        && text.split('.').all(label)
        && !text.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()))
}

name!(
    /// The name of a service, unique in the installation and part of its host names.
    ServiceName,
    "service name",
    "use 1 to 40 lower-case letters, digits and single hyphens, starting with a letter",
    |t| label(t, 40)
);
name!(
    /// The name of a team.
    TeamName,
    "team name",
    "use 1 to 40 lower-case letters, digits and single hyphens, starting with a letter",
    |t| label(t, 40)
);
name!(
    /// The name of an environment: `dev`, `staging`, `prod`, `pr-123`.
    EnvironmentName,
    "environment name",
    "use one lower-case word of at most 16 letters and digits, optionally with a number: `dev`, `pr-123`",
    environment
);
name!(
    /// The name of one kind of process of a service: `web`, `worker`.
    ProcessName,
    "process name",
    "use 1 to 30 lower-case letters, digits and single hyphens, starting with a letter",
    |t| label(t, 30)
);
name!(
    /// The name under which a service knows something that it needs.
    NeedName,
    "name of a need",
    "use 1 to 40 lower-case letters, digits and single hyphens, starting with a letter",
    |t| label(t, 40)
);
name!(
    /// The name of a built-in template.
    TemplateName,
    "template name",
    "use 1 to 40 lower-case letters, digits and single hyphens, starting with a letter",
    |t| label(t, 40)
);
name!(
    /// The name under which a person keeps what they look for.
    ViewName,
    "name of a view",
    "use 1 to 40 lower-case letters, digits and single hyphens, starting with a letter",
    |t| label(t, 40)
);
name!(
    /// The name of a setting or secret; it becomes an environment variable of the instances.
    SettingName,
    "setting name",
    "use 1 to 128 capital letters, digits and underscores, starting with a letter",
    setting
);
name!(
    /// The login name of a person or machine account.
    PersonName,
    "person's name",
    "use 1 to 64 lower-case letters, digits and `. _ - + @`, starting with a letter",
    person
);
name!(
    /// A host name that the gateway may answer for.
    HostName,
    "host name",
    "use lower-case labels of letters, digits and hyphens joined by dots, 253 characters at most, no address",
    host
);

impl SettingName {
    /// The environment-variable form of a need's name: `inventory-db` → `INVENTORY_DB`.
    pub fn of_need(need: &NeedName, suffix: &str) -> Self {
        Self(format!("{}_{suffix}", need.0.replace('-', "_").to_ascii_uppercase()))
    }

    /// Names that the platform sets itself and that users therefore may not choose.
    pub fn is_reserved(&self) -> bool {
        self.0 == "PORT" || self.0.starts_with("ORLOP_") || matches!(self.0.as_str(), "HOME" | "PATH" | "TMPDIR")
    }
}

impl HostName {
    /// The host name of a service in an environment beneath the installation's domain.
    pub fn of_service(service: &ServiceName, environment: &EnvironmentName, domain: &Self) -> Self {
        Self(format!("{service}-{environment}.{domain}"))
    }
}

impl EnvironmentName {
    /// The environment into which a push goes unless told otherwise.
    pub fn dev() -> Self {
        Self("dev".to_owned())
    }
}

impl ProcessName {
    /// The process that gets the service's traffic.
    pub fn web() -> Self {
        Self("web".to_owned())
    }

    /// The single process of a service that gets no traffic.
    pub fn worker() -> Self {
        Self("worker".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: FromStr>(good: &[&str], bad: &[&str]) {
        for text in good {
            assert!(text.parse::<T>().is_ok(), "refused `{text}`");
        }
        for text in bad {
            assert!(text.parse::<T>().is_err(), "took `{text}`");
        }
    }

    #[test]
    fn grammars() {
        let long = "a".repeat(41);
        check::<ServiceName>(
            &["a", "shop", "shop-2", &long[..40]],
            &["", "-a", "a-", "a--b", "A", "2a", "a_b", "a.b", "a/b", "../a", "a b", "a\0", "ä", &long],
        );
        check::<EnvironmentName>(&["dev", "pr-123", "e2"], &["", "a-b", "pr-", "pr-1-2", "2", "-1", "pr-12x"]);
        check::<SettingName>(&["A", "LOG_LEVEL", "X2"], &["", "a", "_A", "2A", "A-B", "A=B", "A\n"]);
        check::<PersonName>(&["ada", "ada.l@example.org"], &["", "Ada", "@a", "a b", "--a"]);
        check::<HostName>(
            &["localhost", "shop.example.com", "3scale.net", "xn--bcher-kva.example"],
            &["", ".", "a..b", "-a.b", "a.b.", "127.0.0.1", "A.b", "a_b.c", "a b", "[::1]", "a:80"],
        );
    }

    #[test]
    fn bad_names_are_shown_short_and_clean() {
        let bad = format!("x\u{1b}[31m{}", "y".repeat(100)).parse::<ServiceName>().unwrap_err();
        let text = bad.to_string();
        assert!(!text.contains('\u{1b}') && text.len() < 250, "{text}");
    }

    #[test]
    fn no_two_pairs_share_a_host() {
        let domain: HostName = "localhost".parse().unwrap();
        let mut seen = std::collections::BTreeMap::new();
        for service in ["a", "a-b", "a-pr", "a-b-c", "a-1"] {
            for env in ["b", "c", "pr-1", "b-1", "dev", "b1"] {
                let (Ok(s), Ok(e)) = (service.parse::<ServiceName>(), env.parse::<EnvironmentName>()) else { continue };
                let host = HostName::of_service(&s, &e, &domain);
                assert_eq!(seen.insert(host.clone(), (service, env)), None, "{host}");
            }
        }
    }
}
