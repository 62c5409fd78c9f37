//! People, teams, tokens, settings, audit.

use std::collections::BTreeMap;

use base::{
    Actor, EnvironmentName, FactSeq, Generation, PersonName, ServiceName, SettingName, Span, TeamName, Time, TokenId,
    ViewName,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::catalog::StatusQuery;
use crate::endpoint::endpoints;
use crate::{Access, Action, Nothing, Page, PageQuery};

endpoints! {
    /// Who am I, and what may I do?
    Whoami = "whoami": Get "/v1/whoami", Access::SignedIn, Json { reply: Me }
    /// Trades a one-time sign-in code for a token, or for a session of the portal.
    SignIn = "signIn": Post "/v1/sign-in", Access::Public, Json { body: SignInCode, reply: IssuedToken }
    /// Starts a session of the portal; it can do no more than the caller's own credential, and ends with it.
    StartSession = "startSession": Post "/v1/sessions", Access::SignedIn, Json { body: NewSession, reply: IssuedToken }
    /// Teams that the caller may see.
    ListTeams = "listTeams": Get "/v1/teams", Access::SignedIn, Json { query: PageQuery, reply: Page<Team> }
    /// Makes a team.
    CreateTeam = "createTeam": Post "/v1/teams", Access::Platform(Action::Admin), Json { body: NewTeam, reply: Team }
    /// One team with its members.
    GetTeam = "getTeam": Get "/v1/teams/{team}", Access::Team(Action::Read), Json { path: TeamPath, reply: Team }
    /// Removes a team that owns nothing.
    RemoveTeam = "removeTeam": Delete "/v1/teams/{team}", Access::Platform(Action::Admin), Json { path: TeamPath, reply: Nothing }
    /// Gives a person a role in a team.
    SetMember = "setMember": Put "/v1/teams/{team}/members/{person}", Access::Team(Action::Manage), Json { path: MemberPath, body: Membership, reply: Team }
    /// Takes a person out of a team.
    RemoveMember = "removeMember": Delete "/v1/teams/{team}/members/{person}", Access::Team(Action::Manage), Json { path: MemberPath, reply: Team }
    /// All accounts.
    ListPeople = "listPeople": Get "/v1/people", Access::Platform(Action::Admin), Json { query: PageQuery, reply: Page<Person> }
    /// Makes an account.
    CreatePerson = "createPerson": Post "/v1/people", Access::Platform(Action::Admin), Json { body: NewPerson, reply: Person }
    /// Removes an account; its tokens stop working at once.
    RemovePerson = "removePerson": Delete "/v1/people/{person}", Access::Platform(Action::Admin), Json { path: PersonPath, reply: Nothing }
    /// Makes a one-time sign-in code for a person.
    IssueSignIn = "issueSignIn": Post "/v1/people/{person}/sign-in", Access::Platform(Action::Admin), Json { path: PersonPath, reply: SignInLink }
    /// The caller's own tokens, sessions of the portal among them.
    ListTokens = "listTokens": Get "/v1/tokens", Access::SignedIn, Json { query: PageQuery, reply: Page<Token> }
    /// Issues a token to the caller; it can do no more than the caller's own credential.
    IssueToken = "issueToken": Post "/v1/tokens", Access::SignedIn, Json { body: NewToken, reply: IssuedToken }
    /// Revokes one of the caller's tokens; platform admins may revoke any.
    RevokeToken = "revokeToken": Delete "/v1/tokens/{token}", Access::SignedIn, Json { path: TokenPath, reply: Nothing }
    /// The caller's own views of the list of services.
    ListViews = "listViews": Get "/v1/views", Access::SignedIn, Json { query: PageQuery, reply: Page<View> }
    /// Keeps what the caller looks for in the list of services under a name; replaces what had that name.
    SaveView = "saveView": Put "/v1/views/{view}", Access::SignedIn, Json { path: ViewPath, body: StatusQuery, reply: View }
    /// Forgets one of the caller's views.
    RemoveView = "removeView": Delete "/v1/views/{view}", Access::SignedIn, Json { path: ViewPath, reply: Nothing }
    /// Who can do what with a service, and why; what the caller can.
    GetAccess = "getAccess": Get "/v1/services/{service}/access", Access::Service(Action::Read), Json { path: ServicePath, reply: AccessReport }
    /// Who can do what with what a team owns, and why; what the caller can.
    GetTeamAccess = "getTeamAccess": Get "/v1/teams/{team}/access", Access::Team(Action::Read), Json { path: TeamPath, reply: AccessReport }
    /// Settings of a service: names and versions, values only of those that are not secret.
    ListSettings = "listSettings": Get "/v1/services/{service}/settings", Access::Service(Action::Read), Json { path: ServicePath, query: SettingQuery, reply: Page<Setting> }
    /// Gives a setting or secret a new version.
    SetSetting = "setSetting": Put "/v1/services/{service}/settings/{name}", Access::Service(Action::Configure), Json { path: SettingPath, query: SettingQuery, body: SettingValue, reply: Setting }
    /// Removes a setting; its versions stay for releases that use them.
    RemoveSetting = "removeSetting": Delete "/v1/services/{service}/settings/{name}", Access::Service(Action::Configure), Json { path: SettingPath, query: SettingQuery, reply: Nothing }
    /// All versions of a setting, newest first.
    ListSettingVersions = "listSettingVersions": Get "/v1/services/{service}/settings/{name}/versions", Access::Service(Action::Read), Json { path: SettingPath, query: SettingQuery, reply: Page<Setting> }
    /// What is set for a service in one environment beside another one. Values of secrets are neither shown nor compared.
    CompareSettings = "compareSettings": Get "/v1/services/{service}/setting-comparison", Access::Service(Action::Read), Json { path: ServicePath, query: SettingComparisonQuery, reply: Page<SettingComparison> }
    /// Brings an earlier version of a setting back, as a new version; a secret without showing it.
    RestoreSetting = "restoreSetting": Post "/v1/services/{service}/settings/{name}/restore", Access::Service(Action::Configure), Json { path: SettingPath, query: SettingQuery, body: SettingVersion, reply: Setting }
    /// Settings of the whole installation.
    ListPlatformSettings = "listPlatformSettings": Get "/v1/settings", Access::Platform(Action::Admin), Json { query: PageQuery, reply: Page<Setting> }
    /// Gives an installation-wide setting or secret a new version.
    SetPlatformSetting = "setPlatformSetting": Put "/v1/settings/{name}", Access::Platform(Action::Admin), Json { path: PlatformSettingPath, body: SettingValue, reply: Setting }
    /// The audit trail: every fact, newest first.
    ListAudit = "listAudit": Get "/v1/audit", Access::Platform(Action::Admin), Json { query: AuditQuery, reply: Page<AuditRecord> }
    /// Checks the hash chain of the audit trail from its beginning.
    VerifyAudit = "verifyAudit": Get "/v1/audit/verification", Access::Platform(Action::Admin), Json { reply: AuditVerification }
    /// What happened to one service, newest first.
    ListActivity = "listActivity": Get "/v1/services/{service}/activity", Access::Service(Action::Read), Json { path: ServicePath, query: PageQuery, reply: Page<AuditRecord> }
    /// Changes that the caller may see, as they happen.
    WatchEvents = "watchEvents": Get "/v1/events", Access::SignedIn, Events { query: EventQuery, reply: AuditRecord }
}

/// `{service}` in a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServicePath {
    /// The service.
    pub service: ServiceName,
}

/// `{team}` in a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TeamPath {
    /// The team.
    pub team: TeamName,
}

/// `{team}` and `{person}` in a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemberPath {
    /// The team.
    pub team: TeamName,
    /// The person.
    pub person: PersonName,
}

/// `{person}` in a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PersonPath {
    /// The person.
    pub person: PersonName,
}

/// `{token}` in a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenPath {
    /// The token's id.
    pub token: TokenId,
}

/// `{view}` in a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ViewPath {
    /// The view's name.
    pub view: ViewName,
}

/// What somebody looks for often, under a name; only they see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct View {
    /// Its name.
    pub view: ViewName,
    /// What is looked for; a page of it is no part.
    pub query: StatusQuery,
    /// When it was kept.
    pub saved: Time,
}

/// `{service}` and `{name}` in a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SettingPath {
    /// The service.
    pub service: ServiceName,
    /// The setting.
    pub name: SettingName,
}

/// `{name}` in a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlatformSettingPath {
    /// The setting.
    pub name: SettingName,
}

/// The caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Me {
    /// Name.
    pub person: PersonName,
    /// Whether a platform admin.
    pub admin: bool,
    /// Role in each team.
    pub teams: BTreeMap<String, Role>,
    /// The credential of this call.
    pub token: Token,
}

/// A one-time code.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignInCode {
    /// The code of the sign-in link.
    pub code: String,
    /// What the new token is called in the list of tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A session of the portal instead of a token.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub session: bool,
}

/// A session to start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewSession {
    /// What it is called in the list: the browser.
    pub name: String,
}

/// What sort of credential a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum TokenKind {
    /// For programs: sent as `Authorization: Bearer …` or as a git password.
    #[default]
    Token,
    /// A person at the portal: held in a cookie, understood by the portal alone.
    Session,
}

/// A sign-in link.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SignInLink {
    /// The one-time code.
    pub code: String,
    /// Until when it works.
    pub expires: Time,
}

/// A role in a team.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// Sees.
    Viewer,
    /// Sees, deploys, operates, configures.
    Developer,
    /// Everything about the team.
    Owner,
}

impl Role {
    /// The word on the wire, in tables, in commands and on every page.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Developer => "developer",
            Self::Owner => "owner",
        }
    }

    /// What a role allows with what its team owns. The platform decides by it, and who shows what would be
    /// refused reads it here.
    pub const fn allows(self, action: Action) -> bool {
        match self {
            Self::Viewer => matches!(action, Action::Read),
            Self::Developer => matches!(action, Action::Read | Action::Deploy | Action::Operate | Action::Configure),
            Self::Owner => !matches!(action, Action::Admin),
        }
    }
}

/// A team.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Team {
    /// Name.
    pub team: TeamName,
    /// Role of each member.
    pub members: BTreeMap<String, Role>,
    /// When it was made.
    pub created: Time,
    /// Rises with each change; the ETag.
    pub version: i64,
}

/// A team to make; the caller becomes its owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewTeam {
    /// Name.
    pub team: TeamName,
}

/// A membership.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Membership {
    /// The role.
    pub role: Role,
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Person {
    /// Login name.
    pub person: PersonName,
    /// Whether a platform admin.
    pub admin: bool,
    /// When it was made.
    pub created: Time,
    /// Role in each team.
    pub teams: BTreeMap<String, Role>,
}

/// An account to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewPerson {
    /// Login name.
    pub person: PersonName,
    /// Whether a platform admin.
    #[serde(default)]
    pub admin: bool,
}

/// A token without its secret part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Token {
    /// Id; not secret.
    pub token: TokenId,
    /// Whose.
    pub person: PersonName,
    /// Token or session.
    #[serde(default)]
    pub kind: TokenKind,
    /// What it is for.
    pub name: String,
    /// What it may do at most; the owner's roles limit it further.
    pub scopes: Vec<Action>,
    /// Only these services, if any are named.
    pub services: Vec<ServiceName>,
    /// When it was made.
    pub created: Time,
    /// When it stops working.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Time>,
    /// When it stops working unless it is used before: sessions that nobody uses end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lapses: Option<Time>,
    /// When it was last used, to the minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<Time>,
}

/// A token to issue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewToken {
    /// What it is for.
    pub name: String,
    /// What it may do at most; default: read and deploy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<Action>,
    /// Only these services; default: all of the caller's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServiceName>,
    /// How long it works; default 90 days, at most 366.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<Span>,
}

/// A token, shown once.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct IssuedToken {
    /// What to send as `Authorization: Bearer …` or as a git password.
    pub secret: String,
    /// The rest of it.
    pub token: Token,
}

/// Which environment's settings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SettingQuery {
    /// The environment; absent: the setting of all environments (in lists: every one).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentName>,
}

/// A version of a setting.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Setting {
    /// Name.
    pub name: SettingName,
    /// The service; absent: the whole installation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceName>,
    /// The environment; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentName>,
    /// Counts from 1.
    pub version: i64,
    /// Whether its value can only be written.
    pub secret: bool,
    /// Whether this version says that it was removed.
    pub removed: bool,
    /// The value, unless it is a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// When this version was made.
    pub created: Time,
    /// By whom.
    pub actor: Actor,
}

/// Which environments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SettingComparisonQuery {
    /// One environment.
    pub from: EnvironmentName,
    /// The other one.
    pub to: EnvironmentName,
}

/// A setting in two environments, as it is set now.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SettingComparison {
    /// Name.
    pub name: SettingName,
    /// How they compare.
    pub verdict: SettingVerdict,
    /// What holds in `from`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Setting>,
    /// What holds in `to`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Setting>,
}

/// How a setting in one environment compares with the same in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum SettingVerdict {
    /// One setting for both, or two plain ones with the same value.
    Equal,
    /// Two plain ones with different values, or only one of them is a secret.
    Different,
    /// Each has a secret of its own; whether they are alike is told to nobody.
    Own,
    /// Only `from` has it.
    OnlyFrom,
    /// Only `to` has it.
    OnlyTo,
}

/// A new value.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SettingValue {
    /// The value, at most 64 KiB.
    pub value: String,
    /// Whether it can never be read again. A secret stays a secret.
    #[serde(default)]
    pub secret: bool,
}

/// A version to bring back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SettingVersion {
    /// The version.
    pub version: i64,
}

/// Who can do what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessReport {
    /// The team that owns it.
    pub team: TeamName,
    /// What the caller can do with the credential of this call, from the weakest action.
    pub mine: Vec<Right>,
    /// What people can, with a credential of full scope. Who can do nothing is not listed.
    pub people: Vec<PersonRights>,
}

/// Whether an action is allowed, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Right {
    /// The action.
    pub action: Action,
    /// Whether it is allowed.
    pub allowed: bool,
    /// What makes that so, one line.
    pub why: String,
    /// What to do where it is not allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What one person can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PersonRights {
    /// Who.
    pub person: PersonName,
    /// What makes that so, one line.
    pub why: String,
    /// Their role in the team.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// What they can do, from the weakest.
    pub actions: Vec<Action>,
}

/// Which part of the audit trail.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuditQuery {
    /// Items a page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// The `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Only this kind: `deliver.rollout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Only subjects that begin so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
}

/// Which events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EventQuery {
    /// Only this kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Only this service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceName>,
    /// Begin after this sequence number; default: now. `Last-Event-ID` wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<FactSeq>,
}

/// One fact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditRecord {
    /// Its place in the order of all.
    pub seq: FactSeq,
    /// Its kind.
    pub kind: String,
    /// What it is about.
    pub subject: String,
    /// The generation of the intent that it belongs to.
    pub generation: Generation,
    /// Who caused it.
    pub actor: Actor,
    /// What caused it, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// When.
    pub at: Time,
    /// What it says.
    #[schema(value_type = Object)]
    pub body: serde_json::Value,
    /// Hash that chains it to the one before.
    pub hash: String,
}

/// The outcome of checking the audit trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditVerification {
    /// Whether every record is what was written, in order, none missing.
    pub ok: bool,
    /// Records checked.
    pub checked: i64,
    /// The first record that is not as it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_bad: Option<FactSeq>,
    /// What is wrong with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}
