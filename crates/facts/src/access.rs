use std::collections::BTreeMap;

use base::{EnvironmentName, PersonName, ServiceName, SettingName, TeamName, Time, TokenId, ViewName};
use serde::{Deserialize, Serialize};

use crate::Fact;

/// A team as it is now; subject: its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TeamState {
    /// The team.
    pub team: TeamName,
    /// Members and their role words (`owner`, `developer`, `viewer`).
    pub members: BTreeMap<PersonName, String>,
    /// Whether it was removed.
    pub removed: bool,
}

impl Fact for TeamState {
    const KIND: &'static str = "access.team";
    fn subject(&self) -> String {
        self.team.to_string()
    }
}

/// A person was added, changed or removed; subject: the name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PersonChanged {
    /// Who.
    pub person: PersonName,
    /// Whether this person is a platform admin.
    pub admin: bool,
    /// Whether the account was removed.
    pub removed: bool,
}

impl Fact for PersonChanged {
    const KIND: &'static str = "access.person";
    fn subject(&self) -> String {
        self.person.to_string()
    }
}

/// A token was issued, revoked or used up; subject: its id. Never holds the token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenChanged {
    /// Which token.
    pub token: TokenId,
    /// Whose it is.
    pub person: PersonName,
    /// What it is for, in the owner's words.
    pub name: String,
    /// When it stops working.
    pub expires: Option<Time>,
    /// Whether it was revoked.
    pub revoked: bool,
}

impl Fact for TokenChanged {
    const KIND: &'static str = "access.token";
    fn subject(&self) -> String {
        self.token.to_string()
    }
}

/// Somebody kept or forgot a view of the services; subject: the person. Never says what the view looks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ViewChanged {
    /// Whose it is.
    pub person: PersonName,
    /// Its name.
    pub view: ViewName,
    /// Whether it was forgotten.
    pub removed: bool,
}

impl Fact for ViewChanged {
    const KIND: &'static str = "access.view";
    fn subject(&self) -> String {
        self.person.to_string()
    }
}

/// A setting or secret got a new version or was removed; subject: `scope/NAME`. Never holds a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SettingChanged {
    /// The service; `None`: the whole installation.
    pub service: Option<ServiceName>,
    /// The environment; `None`: all.
    pub environment: Option<EnvironmentName>,
    /// Its name.
    pub name: SettingName,
    /// The version that holds now.
    pub version: i64,
    /// Whether it is a secret.
    pub secret: bool,
    /// Whether it was removed.
    pub removed: bool,
}

impl Fact for SettingChanged {
    const KIND: &'static str = "access.setting";
    fn subject(&self) -> String {
        let part = |name: Option<&str>| name.unwrap_or("*").to_owned();
        format!(
            "{}/{}/{}",
            part(self.service.as_ref().map(AsRef::as_ref)),
            part(self.environment.as_ref().map(AsRef::as_ref)),
            self.name
        )
    }
}
