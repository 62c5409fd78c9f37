//! Values of this subject.

use std::collections::BTreeSet;
use std::time::Duration;

use api::Action;
use api::access::TokenKind;
use base::{Digest, EnvironmentName, PersonName, ServiceName, SettingName, Time, TokenId};

/// What every token begins with, so that scanners for leaked secrets can find it.
pub(crate) const TOKEN_PREFIX: &str = "orlop_";
/// What every secret of a session begins with. A version that knows no sessions refuses it.
pub(crate) const SESSION_PREFIX: &str = "session_";
/// A session that nobody uses ends after this long.
pub(crate) const SESSION_IDLE: Duration = Duration::from_secs(12 * 3600);
/// A session ends after this long in any case.
pub(crate) const SESSION_LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);
/// What every one-time code begins with.
pub(crate) const CODE_PREFIX: &str = "once_";

/// A new secret text with 256 random bits. Only its digest is kept; with so much chance in it a
/// plain SHA-256 cannot be searched.
pub(crate) fn new_secret(prefix: &str, random: &dyn ports::Random) -> String {
    use base64::Engine as _;
    let mut bytes = [0u8; 32];
    random.fill(&mut bytes);
    format!("{prefix}{}", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes))
}

/// What is kept of a secret text.
pub(crate) fn fingerprint(secret: &str) -> Digest {
    Digest::of(secret.as_bytes())
}

/// A token as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenRow {
    pub id: TokenId,
    pub person: PersonName,
    pub kind: TokenKind,
    /// The token that a session was made with; it ends with it.
    pub parent: Option<TokenId>,
    pub name: String,
    pub scopes: BTreeSet<Action>,
    pub services: BTreeSet<ServiceName>,
    pub created: Time,
    pub expires: Option<Time>,
    pub revoked: Option<Time>,
    pub used: Option<Time>,
}

impl TokenRow {
    /// Whether it works now.
    pub(crate) fn is_good(&self, now: Time) -> bool {
        self.revoked.is_none() && self.until().is_none_or(|at| now < at)
    }

    /// When time ends it, unless it is used meanwhile.
    pub(crate) fn until(&self) -> Option<Time> {
        self.expires.into_iter().chain(self.lapses()).min()
    }

    /// When it ends if nobody uses it.
    fn lapses(&self) -> Option<Time> {
        (self.kind == TokenKind::Session).then(|| self.used.unwrap_or(self.created).plus(SESSION_IDLE))
    }

    /// As it is shown.
    pub(crate) fn wire(self) -> api::access::Token {
        api::access::Token {
            lapses: self.lapses(),
            kind: self.kind,
            token: self.id,
            person: self.person,
            name: self.name,
            scopes: self.scopes.into_iter().collect(),
            services: self.services.into_iter().collect(),
            created: self.created,
            expires: self.expires,
            used: self.used,
        }
    }
}

/// Where a setting holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Scope {
    /// `None`: every service.
    pub service: Option<ServiceName>,
    /// `None`: every environment.
    pub environment: Option<EnvironmentName>,
}

impl Scope {
    /// What the encryption of a value is bound to, so that a sealed value cannot be moved elsewhere.
    pub(crate) fn label(&self, name: &SettingName, version: i64) -> String {
        let part = |text: Option<&str>| text.unwrap_or("*").to_owned();
        format!(
            "setting/{}/{}/{name}/{version}",
            part(self.service.as_ref().map(AsRef::as_ref)),
            part(self.environment.as_ref().map(AsRef::as_ref))
        )
    }
}

/// One version of a setting as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SettingRow {
    pub scope: Scope,
    pub name: SettingName,
    pub version: i64,
    pub secret: bool,
    pub removed: bool,
    pub sealed: String,
    pub created: Time,
    pub actor: base::Actor,
}
