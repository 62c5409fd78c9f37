//! A working tree as a gzip-compressed tar: what git would see of it, in one order.

mod limits;
mod survey;
mod write;

pub use self::limits::Limits;
pub use self::survey::{Entry, Form, Tree, survey};
pub use self::write::{Packing, chunks};
