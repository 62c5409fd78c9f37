//! Services, their owners and their state; templates.

use base::{EnvironmentName, NeedName, ProcessName, RolloutId, ServiceName, TeamName, TemplateName, Time};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::{ServicePath, TeamPath};
use crate::endpoint::endpoints;
use crate::{Access, Action, Page};

endpoints! {
    /// Services that the caller may see.
    ListServices = "listServices": Get "/v1/services", Access::SignedIn, Json { query: ServiceQuery, reply: Page<Service> }
    /// Makes a service that belongs to a team.
    CreateService = "createService": Post "/v1/teams/{team}/services", Access::Team(Action::Deploy), Json { path: TeamPath, body: NewService, reply: Service }
    /// One service.
    GetService = "getService": Get "/v1/services/{service}", Access::Service(Action::Read), Json { path: ServicePath, reply: Service }
    /// Changes the description or hands the service to another team of the caller.
    ChangeService = "changeService": Patch "/v1/services/{service}", Access::Service(Action::Manage), Json { path: ServicePath, body: ServiceChange, reply: Service }
    /// Takes the service out of use: its instances end, its routes close; history and name stay, undo brings it back.
    RemoveService = "removeService": Delete "/v1/services/{service}", Access::Service(Action::Manage), Json { path: ServicePath, reply: Service }
    /// Brings a removed service back.
    RestoreService = "restoreService": Post "/v1/services/{service}/restore", Access::Service(Action::Manage), Json { path: ServicePath, reply: Service }
    /// The state of everything the caller may see.
    ListStatus = "listStatus": Get "/v1/status", Access::SignedIn, Json { query: StatusQuery, reply: Page<ServiceStatus> }
    /// How many of the places that the caller may see are in which state.
    CountStatus = "countStatus": Get "/v1/status/counts", Access::SignedIn, Json { reply: StatusCounts }
    /// The state of one service in each environment, with the evidence.
    GetStatus = "getStatus": Get "/v1/services/{service}/status", Access::Service(Action::Read), Json { path: ServicePath, reply: ServiceStatus }
    /// Why a service is in the state it is in: the chain from what was wanted to what is seen.
    WhyService = "whyService": Get "/v1/services/{service}/why", Access::Service(Action::Read), Json { path: ServicePath, query: WhyQuery, reply: Why }
    /// Services and what they need of each other, as what runs says.
    GetTopology = "getTopology": Get "/v1/topology", Access::SignedIn, Json { query: TopologyQuery, reply: Topology }
    /// What breaks if a service is down: every service that needs it, directly or through others.
    GetImpact = "getImpact": Get "/v1/services/{service}/impact", Access::Service(Action::Read), Json { path: ServicePath, query: TopologyQuery, reply: Impact }
    /// Built-in templates.
    ListTemplates = "listTemplates": Get "/v1/templates", Access::SignedIn, Json { reply: Page<Template> }
    /// The files of a new service made from a template.
    RenderTemplate = "renderTemplate": Post "/v1/templates/{template}/files", Access::SignedIn, Json { path: TemplatePath, body: TemplateInputs, reply: TemplateFiles }
}

/// Which services.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceQuery {
    /// Items a page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// The `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Only this team's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<TeamName>,
    /// Only those whose name or description contains this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<String>,
    /// Removed ones too.
    #[serde(default)]
    pub removed: bool,
}

/// A service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// Name.
    pub service: ServiceName,
    /// Owner.
    pub team: TeamName,
    /// One line.
    pub description: String,
    /// When it was made.
    pub created: Time,
    /// When it was taken out of use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed: Option<Time>,
    /// Rises with each change; the ETag.
    pub version: i64,
}

/// A service to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewService {
    /// Name.
    pub service: ServiceName,
    /// One line.
    #[serde(default)]
    pub description: String,
}

/// A change to a service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceChange {
    /// New description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// New owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<TeamName>,
}

/// How a service is, in one word. Nothing is `healthy` that was not observed to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Health {
    /// Observed serving (or, for workers, running) as wanted.
    Healthy,
    /// Serves, but not as wanted: fewer instances, a failed rollout, crashes.
    Degraded,
    /// Wanted and not serving.
    Down,
    /// A rollout is under way.
    Changing,
    /// Nothing was ever deployed here.
    Empty,
    /// Not known: what is seen is too old.
    Unknown,
}

impl Health {
    /// The word on the wire and on every page.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Down => "down",
            Self::Changing => "changing",
            Self::Empty => "empty",
            Self::Unknown => "unknown",
        }
    }
}

/// Which states.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StatusQuery {
    /// Items a page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// The `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Only this team's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<TeamName>,
    /// Only services that are so in one environment at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// Only services of this kind: `web`, `worker`, `site`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 200)]
    pub kind: Option<String>,
    /// Only services of which something crashes again and again; `false`: only the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crash_loop: Option<bool>,
    /// Only those whose name or description contains this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 200)]
    pub search: Option<String>,
    /// In which order; default: by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sort: Option<StatusOrder>,
}

impl StatusQuery {
    /// Longest text that is looked for, characters; the schema says the same.
    pub const TEXT_CHARS_MAX: usize = 200;

    /// The field whose text is too long, if one is.
    pub fn too_long(&self) -> Option<&'static str> {
        let texts = [("search", &self.search), ("kind", &self.kind)];
        let is_too_long =
            |text: &Option<String>| text.as_ref().is_some_and(|t| t.chars().count() > Self::TEXT_CHARS_MAX);
        texts.into_iter().find(|(_, text)| is_too_long(text)).map(|(field, _)| field)
    }
}

/// The order of a list of states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum StatusOrder {
    /// By name.
    #[default]
    Name,
    /// What needs somebody first.
    Health,
    /// What changed last first.
    Change,
    /// By team, then by name.
    Team,
}

/// How much there is of what.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatusCounts {
    /// Services.
    pub services: u32,
    /// Places (a service in an environment) by the word of their health.
    pub places: std::collections::BTreeMap<String, u32>,
}

/// The state of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceStatus {
    /// Which.
    pub service: ServiceName,
    /// Whose.
    pub team: TeamName,
    /// One line about it.
    #[serde(default)]
    pub description: String,
    /// `web`, `worker` or `site`; absent where nothing was ever deployed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// In each environment where something is or was.
    pub environments: Vec<EnvironmentStatus>,
}

/// The state of a service in one environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentStatus {
    /// Where.
    pub environment: EnvironmentName,
    /// One word.
    pub health: Health,
    /// Why that word, one line.
    pub reason: String,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// What was observed, one line each.
    pub evidence: Vec<String>,
    /// What happens next, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// By when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Time>,
    /// Its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Number of the release that has the traffic (or runs, for workers).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<i64>,
    /// Instances that are ready.
    pub ready: u32,
    /// Instances that shall be.
    pub wanted: u32,
    /// The newest rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutId>,
    /// A process that crashes again and again, and is restarted ever more slowly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crash_loop: Option<CrashLoop>,
}

/// A process that crashes again and again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CrashLoop {
    /// Which process.
    pub process: ProcessName,
    /// Crashes since its release was started here.
    pub crashes: u32,
    /// How it ended last, and when it is started again.
    pub trouble: String,
    /// What it wrote last before it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_line: Option<String>,
}

/// Where to look.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WhyQuery {
    /// The environment; default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentName>,
}

/// An explanation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Why {
    /// The answer in one line.
    pub answer: String,
    /// The chain of facts it follows from, newest first.
    pub because: Vec<Because>,
    /// What a person can do.
    pub advice: Vec<String>,
}

/// One fact in an explanation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Because {
    /// When.
    pub at: Time,
    /// Who.
    pub actor: String,
    /// What, one line.
    pub what: String,
    /// The fact it was read from.
    pub seq: base::FactSeq,
}

/// A template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Template {
    /// Name.
    pub template: TemplateName,
    /// One line.
    pub description: String,
    /// What it is written in.
    pub language: String,
}

/// `{template}` in a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplatePath {
    /// The template.
    pub template: TemplateName,
}

/// What a template asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TemplateInputs {
    /// The new service's name.
    pub service: ServiceName,
}

/// The files of a template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateFiles {
    /// The files.
    pub files: Vec<TemplateFile>,
}

/// One file of a template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateFile {
    /// Relative path.
    pub path: String,
    /// Its text.
    pub content: String,
    /// Whether it can be run.
    pub executable: bool,
}

/// Where to look.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TopologyQuery {
    /// The environment; default: all of them together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentName>,
}

/// Services and their needs. What the caller may not see is left out, and so are needs of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Topology {
    /// Services that run somewhere, in order of names.
    pub services: Vec<TopologyService>,
    /// Who needs whom.
    pub needs: Vec<TopologyNeed>,
}

/// A service in the graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TopologyService {
    /// Which.
    pub service: ServiceName,
    /// Whose.
    pub team: TeamName,
    /// Its state in each environment.
    pub environments: Vec<TopologyPlace>,
}

/// A service in one environment, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TopologyPlace {
    /// Where.
    pub environment: EnvironmentName,
    /// One word.
    pub health: Health,
    /// Its address; absent: it takes no traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// One service needs another, or something outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TopologyNeed {
    /// Who needs.
    pub from: ServiceName,
    /// What its service file calls it.
    pub name: NeedName,
    /// The needed service; absent: something outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceName>,
    /// Host of what is outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<String>,
    /// In which environments.
    pub environments: Vec<EnvironmentName>,
}

/// What breaks with a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Impact {
    /// The service that is down.
    pub service: ServiceName,
    /// In one line.
    pub answer: String,
    /// Everything that needs it, nearest first; only what the caller may see.
    pub dependents: Vec<Dependent>,
    /// Services that it needs itself.
    pub needs: Vec<TopologyNeed>,
}

/// A service that needs another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Dependent {
    /// Which.
    pub service: ServiceName,
    /// Whose.
    pub team: TeamName,
    /// Steps away: 1 needs it directly.
    pub distance: u32,
    /// The shortest way to it: who needs whom, beginning with this one.
    pub through: Vec<ServiceName>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_are_too_long_are_named() {
        let check = |search: usize, kind: usize, expect: Option<&str>| {
            let text = |length: usize| Some("é".repeat(length));
            let query = StatusQuery { search: text(search), kind: text(kind), ..StatusQuery::default() };
            assert_eq!(query.too_long(), expect, "{search} {kind}");
        };
        check(200, 200, None);
        check(201, 200, Some("search"));
        check(0, 201, Some("kind"));
        assert_eq!(StatusQuery::default().too_long(), None);
    }
}
