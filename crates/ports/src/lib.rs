//! The outside world as traits, with the plain values that cross them. A capability asks for what
//! it needs here; a driver (`process`, `gateway`, `git`, …) gives it; `sim` fakes it. One
//! conformance suite per port runs on every driver and on the fake.

mod address;
mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
mod engine;
mod gateway;
mod objects;
mod signals;
mod sources;
mod steady;
mod vault;

pub use address::{Address, Caller};
pub use clock::{Clock, Random, new_id};
pub use engine::{
    Availability, Base, Connect, Engine, ExitKind, Feature, Health, InstanceSeen, InstanceSpec, InstanceState,
    LogCursor, LogEnd, LogLine, LogStream, Mount, Network, Probe, Purpose, Way,
};
pub use gateway::{
    AppliedSnapshot, Backend, BackendCounters, Gateway, GatewayStatus, Instance, LATENCY_BOUNDS_MS, ListenerStatus,
    ProbeAnswer, Route, RouteName, SNAPSHOT_FORMAT, Snapshot, SnapshotChange, other_base,
};
pub use objects::{ByteStream, Objects};
pub use signals::{
    Between, CounterKey, Counts, Covered, GatewayLook, Grid, Holding, InstanceUsage, LOOK_SPAN_MAX, POINTS_MAX,
    RequestHistory, RequestSeries, Signals, UsageHistory, UsageLook, UsageSeries, Used, Window, covered,
};
pub use sources::{Advice, Progress, PushUpdate, PushVerdict, ReceiveLimits, ReceivePolicy, Sources};
pub use steady::SteadyTime;
pub use vault::{SettingRef, Vault};
