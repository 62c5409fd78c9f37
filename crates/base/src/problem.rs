use std::borrow::Cow;
use std::fmt;

/// The result of anything that can be refused or fail in a way a person may read about.
pub type Result<T, E = Problem> = std::result::Result<T, E>;

/// What sort of failure a [`Problem`] is. It decides the HTTP status (RFC 9110 §15) and whether a
/// caller may try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request or a file in it cannot be understood (400).
    Invalid,
    /// No valid credential was shown (401).
    Unauthenticated,
    /// The credential is valid and does not allow this (403).
    Forbidden,
    /// The thing does not exist, or the caller may not know that it does (404).
    NotFound,
    /// The state of the thing does not allow this now (409).
    Conflict,
    /// An `If-Match` or a version did not match (412).
    Stale,
    /// Larger than the published limit (413).
    TooLarge,
    /// Understood, but a value in it is not acceptable (422).
    Unprocessable,
    /// More than the published rate or quota (429).
    TooMany,
    /// A fault of the platform (500).
    Internal,
    /// The platform cannot do this at the moment; trying again later may help (503).
    Unavailable,
    /// A deadline passed (504).
    Timeout,
}

impl Kind {
    /// The HTTP status code of this kind (RFC 9110 §15).
    pub const fn status(self) -> u16 {
        match self {
            Self::Invalid => 400,
            Self::Unauthenticated => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::Conflict => 409,
            Self::Stale => 412,
            Self::TooLarge => 413,
            Self::Unprocessable => 422,
            Self::TooMany => 429,
            Self::Internal => 500,
            Self::Unavailable => 503,
            Self::Timeout => 504,
        }
    }

    /// The kind that a status code stands for; unknown 4xx are `Invalid`, all else `Internal`.
    pub const fn from_status(status: u16) -> Self {
        match status {
            401 => Self::Unauthenticated,
            403 => Self::Forbidden,
            404 => Self::NotFound,
            409 => Self::Conflict,
            412 => Self::Stale,
            413 => Self::TooLarge,
            422 => Self::Unprocessable,
            429 => Self::TooMany,
            503 => Self::Unavailable,
            504 => Self::Timeout,
            400..=499 => Self::Invalid,
            _ => Self::Internal,
        }
    }

    /// Whether the same request may succeed later without a change.
    pub const fn may_retry(self) -> bool {
        matches!(self, Self::TooMany | Self::Unavailable | Self::Timeout)
    }
}

/// The one error type of the platform's own boundaries: what was tried and found (`message`), a
/// stable word for programs (`code`), and what to do about it (`hint`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What sort of failure.
    pub kind: Kind,
    /// Stable, lower case, hyphenated: `service-not-found`.
    pub code: Cow<'static, str>,
    /// What was tried and what was found, one sentence.
    pub message: String,
    /// What to do; the exact line or command where there is one.
    pub hint: Option<String>,
    /// Where in the input: `orlop.yaml:3:5`, `body.hosts[0]`.
    pub place: Option<String>,
    /// Seconds after which trying again makes sense.
    pub retry_after_s: Option<u32>,
}

macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident => $kind:ident),* $(,)?) => {$(
        $(#[$doc])*
        pub fn $name(code: impl Into<Cow<'static, str>>, message: impl fmt::Display) -> Self {
            Self::new(Kind::$kind, code, message)
        }
    )*};
}

impl Problem {
    /// A problem of any kind.
    pub fn new(kind: Kind, code: impl Into<Cow<'static, str>>, message: impl fmt::Display) -> Self {
        Self { kind, code: code.into(), message: message.to_string(), hint: None, place: None, retry_after_s: None }
    }

    constructors! {
        /// Not understood (400).
        invalid => Invalid,
        /// No valid credential (401).
        unauthenticated => Unauthenticated,
        /// Not allowed (403).
        forbidden => Forbidden,
        /// No such thing (404).
        not_found => NotFound,
        /// Not in this state (409).
        conflict => Conflict,
        /// Version mismatch (412).
        stale => Stale,
        /// Over a size limit (413).
        too_large => TooLarge,
        /// A value is not acceptable (422).
        unprocessable => Unprocessable,
        /// Over a rate or quota (429).
        too_many => TooMany,
        /// The platform's fault (500).
        internal => Internal,
        /// Not now (503).
        unavailable => Unavailable,
        /// A deadline passed (504).
        timeout => Timeout,
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    /// Adds where in the input the fault is.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.place = Some(place.to_string());
        self
    }

    /// Adds after how many seconds to try again.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, " ({hint})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_comes_back_as_its_kind() {
        for kind in [
            Kind::Invalid,
            Kind::Unauthenticated,
            Kind::Forbidden,
            Kind::NotFound,
            Kind::Conflict,
            Kind::Stale,
            Kind::TooLarge,
            Kind::Unprocessable,
            Kind::TooMany,
            Kind::Internal,
            Kind::Unavailable,
            Kind::Timeout,
        ] {
            assert_eq!(Kind::from_status(kind.status()), kind);
        }
    }

    #[test]
    fn display_has_place_message_and_hint() {
        let p = Problem::invalid("bad-key", "unknown key `prot`").at("orlop.yaml:2:1").hint("write `port`");
        assert_eq!(p.to_string(), "orlop.yaml:2:1: unknown key `prot` (write `port`)");
    }
}
