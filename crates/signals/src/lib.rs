//! Recent history of requests and of what instances use, in bounded memory: the driver of
//! [`ports::Signals`] that is in the box.

mod book;
mod memory;
mod packed;

pub use memory::{Memory, Options};
