//! The words every other crate of Orlop speaks: names with a grammar, typed ids, time, sizes,
//! secrets and [`Problem`], the one error that crosses a boundary. No input or output happens here.

mod actor;
mod digest;
mod id;
pub mod limits;
mod name;
pub mod placeholder;
mod problem;
mod schema;
mod secret;
mod size;
mod time;

pub use actor::Actor;
pub use digest::{Digest, Hasher};
pub use id::{BuildId, FactSeq, Generation, InstanceId, JobId, PersonId, ReleaseId, RolloutId, SourceId, TokenId};
pub use name::{
    BadName, EnvironmentName, HostName, NeedName, PersonName, ProcessName, ServiceName, SettingName, TeamName,
    TemplateName, ViewName,
};
pub use problem::{Kind, Problem, Result};
pub use secret::Secret;
pub use size::{Bytes, MilliCpu, Span};
pub use time::Time;
