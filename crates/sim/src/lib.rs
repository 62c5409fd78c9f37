//! The test world: a control plane over a real database and a faked outside, where time passes
//! only when told, chance has a printed seed, and the control plane can die at every commit, every
//! engine call and every snapshot. [`check`] holds the platform's promises as functions.
//!
//! Only tests depend on this crate.

mod chance;
pub mod check;
mod clock;
mod depot;
mod edge;
mod gate;
mod machine;
mod matrix;
mod objects;
mod photo;
mod place;
mod program;
mod recent;
mod sight;
mod source;
mod world;

pub use chance::{Chance, seeds};
pub use clock::{LifeClock, VirtualClock};
pub use depot::{Depot, Repository, push};
pub use edge::{Edge, EdgeHandle, ProbeRecord};
pub use gate::{Faults, Gate, Plan, Point, Snag};
pub use machine::{Bug, Call, Machine, MachineHandle, Verb};
pub use matrix::{Cell, Matrix};
pub use objects::ObjectMap;
pub use photo::Photo;
pub use place::Place;
pub use program::{End, Program};
pub use recent::Recent;
pub use sight::{Ack, Decided, Leak, Sight};
pub use source::tarball;
pub use world::{Ended, Installation, Request, Settled, World};
