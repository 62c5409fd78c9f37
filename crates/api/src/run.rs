//! Instances, their logs, and how many there are.

use base::{Bytes, EnvironmentName, InstanceId, ProcessName, ReleaseId, ServiceName, Time};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::ServicePath;
use crate::endpoint::endpoints;
use crate::{Access, Action, Page};

endpoints! {
    /// Instances of a service.
    ListInstances = "listInstances": Get "/v1/services/{service}/instances", Access::Service(Action::Read), Json { path: ServicePath, query: PlaceQuery, reply: Page<Instance> }
    /// Output of a service's instances, merged by time; followed when asked.
    WatchLogs = "watchLogs": Get "/v1/services/{service}/logs", Access::Service(Action::Read), Events { path: ServicePath, query: LogQuery, reply: LogLine }
    /// Looks through everything that is kept of a service's output, from the newest line back. One call looks at
    /// a bounded part and names where the next one goes on.
    SearchLogs = "searchLogs": Get "/v1/services/{service}/logs/search", Access::Service(Action::Read), Json { path: ServicePath, query: LogSearchQuery, reply: LogSearch }
    /// Sets how many instances of a process run.
    Scale = "scale": Put "/v1/services/{service}/scale", Access::Service(Action::Operate), Json { path: ServicePath, body: ScaleTo, reply: Scaled }
}

/// In which environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlaceQuery {
    /// The environment; default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentName>,
}

/// An instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Instance {
    /// Which.
    pub instance: InstanceId,
    /// Where.
    pub environment: EnvironmentName,
    /// Which process.
    pub process: ProcessName,
    /// Of which release.
    pub release: ReleaseId,
    /// The release's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<i64>,
    /// `starting`, `ready`, `unready`, `stopping`, `exited`.
    pub state: String,
    /// What makes that true.
    pub evidence: String,
    /// Since when.
    pub since: Time,
    /// When it was started.
    pub started: Time,
    /// Where its port is: an address of the machine, or `unix:` and the socket over which the
    /// gateway gets connections to an instance that has a network of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Resident memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Bytes>,
    /// Processor time used, microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_us: Option<u64>,
}

/// Which log lines.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogQuery {
    /// The environment; default: the first where something runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentName>,
    /// Only this process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<ProcessName>,
    /// Only this instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<InstanceId>,
    /// How many past lines; default 100, at most 10,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail: Option<u32>,
    /// Whether to go on with new lines.
    #[serde(default)]
    pub follow: bool,
}

/// A line of output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogLine {
    /// When it was written.
    pub at: Time,
    /// By which instance.
    pub instance: InstanceId,
    /// Which process.
    pub process: ProcessName,
    /// `out`, `err` or `platform`.
    pub stream: String,
    /// The text.
    pub text: String,
}

/// What is searched for in a log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogSearchQuery {
    /// The environment; default: the first where something runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentName>,
    /// Only this process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<ProcessName>,
    /// Only this instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<InstanceId>,
    /// Only lines of this stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<Stream>,
    /// What a line holds, upper or lower case; default: every line is found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500)]
    pub text: Option<String>,
    /// Lines shown before and behind each that is found, at most 200; default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<u32>,
    /// Begin with the last line that was written by then; default: the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// Go on where an answer's `next` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Lines to find, 1–2,000; default 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// From where a line came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
    /// The platform's own remarks.
    Platform,
}

impl Stream {
    /// The word on the wire.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Out => "out",
            Self::Err => "err",
            Self::Platform => "platform",
        }
    }
}

/// What was found in a log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogSearch {
    /// Lines that follow one another stand together; all oldest first.
    pub runs: Vec<Vec<FoundLine>>,
    /// Lines that fit.
    pub found: u32,
    /// Lines that were looked at.
    pub looked: u32,
    /// When the oldest of them was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_to: Option<Time>,
    /// Where to go on, further back; absent: everything that is kept was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A line, and whether it is one that was searched for or stands beside one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FoundLine {
    /// The line.
    #[serde(flatten)]
    pub line: LogLine,
    /// Whether it fits.
    pub found: bool,
}

/// How many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScaleTo {
    /// Where.
    pub environment: EnvironmentName,
    /// Which process; default `web`, or the only one there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<ProcessName>,
    /// How many instances, 0–100.
    #[schema(maximum = 100)]
    pub instances: u32,
}

/// How many there shall be now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Scaled {
    /// Of which service.
    pub service: ServiceName,
    /// Where.
    pub environment: EnvironmentName,
    /// Which process.
    pub process: ProcessName,
    /// How many.
    pub instances: u32,
    /// How many there were to be before.
    pub before: u32,
}
