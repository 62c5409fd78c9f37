//! The story that `orlop demo` tells, as a client of the API: three pushes and a rollback under
//! the eyes of a visitor.

mod git;
mod report;
mod story;
mod visitor;

pub use report::Report;
pub use story::{Place, play};
