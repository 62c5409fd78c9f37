//! Archives in and out: artifacts and sources are unpacked beneath a directory handle, results of
//! builds are packed. Nothing here follows a link of the content it handles.

mod export;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzz;
mod oci;
mod source;
mod tree;
mod unpack;

pub(crate) use export::export;
pub(crate) use oci::fetch as fetch_image;
pub(crate) use source::{blocking, fetch as fetch_source, io_problem};
pub(crate) use tree::{make_private, remove_tree};
