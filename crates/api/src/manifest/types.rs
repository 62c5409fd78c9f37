use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use base::limits::INSTANCES_MAX;
use base::{
    Bytes, HostName, MilliCpu, NeedName, Problem, ProcessName, Result, ServiceName, SettingName, Span, TeamName,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ExternalUrl;
use super::suggest::shown;

/// What a service file says. Each part is absent where the file does not name it, so that the
/// recipe, the platform and the environment can fill it in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Manifest {
    /// The service's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceName>,
    /// Its owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<TeamName>,
    /// What sort of service; absent: what the recipe finds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// How it is built.
    pub build: Build,
    /// How its main process runs.
    pub run: Run,
    /// How large and how many.
    pub size: Size,
    /// Processes by name; what is here wins over `run` and `size`.
    pub processes: BTreeMap<ProcessName, Process>,
    /// What it may reach.
    pub needs: BTreeMap<NeedName, Need>,
    /// Environment variables, as templates ([`super::expand`]).
    pub settings: BTreeMap<SettingName, String>,
    /// Host names beside the platform's own.
    pub routes: Vec<Route>,
    /// How a new release takes over.
    pub rollout: Rollout,
}

/// What sort of service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// Answers requests on `$PORT`.
    Web,
    /// Listens to nobody.
    Worker,
    /// Files that the platform serves.
    Site,
}

/// How a service is built.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Build {
    /// By which recipe; absent: detected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipe: Option<Recipe>,
}

/// A recipe that a service file may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Recipe {
    /// A Cargo package or workspace.
    Rust,
    /// A Go module.
    Go,
    /// Python.
    Python,
    /// A `package.json`.
    Node,
    /// A folder of files.
    Site,
    /// Processes from a `Procfile`.
    Procfile,
    /// `run.command` as it is.
    Command,
}

/// How the main process runs: the one named `web`, or the only one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Run {
    /// Program and arguments, with [`base::placeholder`]s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// `GET` of this answers 200–399 once an instance is ready; absent: the port accepts a connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<UrlPath>,
    /// Runs once before traffic moves to a new release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<Vec<String>>,
    /// SIGTERM to SIGKILL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<Span>,
}

/// How large one instance is and how many there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Size {
    /// Processor limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<MilliCpu>,
    /// Memory limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Bytes>,
    /// How many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instances: Option<Instances>,
}

/// How many instances: `2`, or a range `1..10`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Instances {
    /// Fewest.
    pub min: u32,
    /// Most.
    pub max: u32,
}

/// What the file says of one process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Process {
    /// Program and arguments, with [`base::placeholder`]s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Only for `web`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<UrlPath>,
    /// SIGTERM to SIGKILL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<Span>,
    /// How large and how many.
    pub size: Size,
}

/// Something that the service may reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Need {
    /// Another service of the installation, in the same environment.
    Service(ServiceName),
    /// Something outside.
    External(ExternalUrl),
}

/// A host name of the service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Route {
    /// The name.
    pub host: HostName,
}

/// How a new release takes over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Rollout {
    /// In which way.
    pub strategy: Strategy,
}

/// In which way a new release takes over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Strategy {
    /// All traffic moves once the new instances are ready.
    #[default]
    Replace,
}

/// The path of a URL: `/healthz`. Printable ASCII without spaces and `#`, at most 1024 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UrlPath(String);

/// What the file and the defaults together say of one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessShape {
    /// Program and arguments; absent: what the recipe says.
    pub command: Option<Vec<String>>,
    /// Readiness path.
    pub health: Option<UrlPath>,
    /// SIGTERM to SIGKILL.
    pub stop: Span,
    /// Processor limit of one instance.
    pub cpu: MilliCpu,
    /// Memory limit of one instance.
    pub memory: Bytes,
    /// How many.
    pub instances: Instances,
}

impl Manifest {
    /// SIGTERM to SIGKILL where nothing is said.
    pub const STOP_DEFAULT: Span = Span(Duration::from_secs(30));
    /// Longest time between SIGTERM and SIGKILL.
    pub const STOP_MAX: Span = Span(Duration::from_secs(15 * 60));
    /// Processor limit where nothing is said.
    pub const CPU_DEFAULT: MilliCpu = MilliCpu(500);
    /// Memory limit where nothing is said.
    pub const MEMORY_DEFAULT: Bytes = Bytes(512 << 20);

    /// What is so for the process of this name. `main` tells whether `run` and `size.instances` are
    /// about it: the process named `web`, or the only one there is.
    pub fn process(&self, name: &ProcessName, main: bool) -> ProcessShape {
        let own = self.processes.get(name).cloned().unwrap_or_default();
        let run = if main { self.run.clone() } else { Run::default() };
        let instances = own.size.instances.or(self.size.instances.filter(|_| main));
        ProcessShape {
            command: own.command.or(run.command),
            health: own.health.or(run.health),
            stop: own.stop.or(self.run.stop).unwrap_or(Self::STOP_DEFAULT),
            cpu: own.size.cpu.or(self.size.cpu).unwrap_or(Self::CPU_DEFAULT),
            memory: own.size.memory.or(self.size.memory).unwrap_or(Self::MEMORY_DEFAULT),
            instances: instances.unwrap_or(Instances { min: 1, max: 1 }),
        }
    }
}

/// A closed list of words as they are written in the file.
macro_rules! words {
    ($($name:ident { $($variant:ident = $word:literal),* $(,)? })*) => {$(
        impl $name {
            /// The word in the file.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }

            /// What the word means, if it is one.
            pub(super) fn of(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    )*};
}

words! {
    Kind { Web = "web", Worker = "worker", Site = "site" }
    Recipe {
        Rust = "rust", Go = "go", Python = "python", Node = "node", Site = "site", Procfile = "procfile",
        Command = "command",
    }
    Strategy { Replace = "replace" }
}

impl UrlPath {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UrlPath {
    type Err = Problem;
    fn from_str(text: &str) -> Result<Self> {
        if text.starts_with('/') && text.len() <= 1024 && text.bytes().all(|b| b.is_ascii_graphic() && b != b'#') {
            return Ok(Self(text.to_owned()));
        }
        Err(Problem::unprocessable("bad-value", format!("`{}` is not a path", shown(text)))
            .hint("write only the path, as in `/healthz`: no scheme, host, space or `#`, at most 1024 characters"))
    }
}

impl fmt::Display for UrlPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for UrlPath {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

impl FromStr for Instances {
    type Err = Problem;
    fn from_str(text: &str) -> Result<Self> {
        let number = |text: &str| {
            let digits = (1..=9).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| text.parse::<u32>().ok()).flatten()
        };
        let (min, max) = text.split_once("..").unwrap_or((text, text));
        let bad =
            |what: String| Problem::unprocessable("bad-value", what).hint("write a number or a range: `2` or `1..10`");
        match number(min).zip(number(max)) {
            Some((min, max)) if min > max => Err(bad(format!("the range `{}` ends before it begins", shown(text)))),
            Some((_, max)) if max > INSTANCES_MAX => {
                Err(bad(format!("`{}` is over {INSTANCES_MAX}, the most instances of a process", shown(text))))
            }
            Some((0, max)) if max > 0 => Err(Problem::unprocessable(
                "not-yet",
                format!(
                    "`{}` would let the process go down to nothing by itself, which is not supported yet",
                    shown(text)
                ),
            )
            .hint(format!("begin the range at 1: `1..{max}`"))),
            Some((min, max)) => Ok(Self { min, max }),
            None => Err(bad(format!("`{}` is not a number of instances", shown(text)))),
        }
    }
}

impl fmt::Display for Instances {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.min == self.max { write!(f, "{}", self.min) } else { write!(f, "{}..{}", self.min, self.max) }
    }
}

impl Serialize for Instances {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Instances {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}
