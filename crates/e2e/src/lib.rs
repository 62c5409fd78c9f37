//! The end-to-end harness: a whole installation, started from the real binary, and the people around
//! it: one who pushes with git, one who types commands, visitors who never stop asking.

mod cases;
mod client;
mod evidence;
pub mod history;
mod installation;
mod outcome;
mod program;
mod source;
mod steady;
mod visitors;

pub use cases::{Cases, missing};
pub use client::{Answer, Client};
pub use evidence::{evidence, target};
pub use installation::{Installation, Options};
pub use outcome::Outcome;
pub use program::{Finished, orlop_binary};
pub use source::{Source, fixture};
pub use steady::{Answered, Body, Steady, upload};
pub use visitors::{Seen, Visitors};

/// Fails what is tested here, with what was found.
#[macro_export]
macro_rules! ensure {
    ($holds:expr, $($found:tt)+) => {
        if !$holds {
            return Err(base::Problem::internal("unexpected", format!($($found)+)));
        }
    };
}
