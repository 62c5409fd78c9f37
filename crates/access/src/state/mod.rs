//! All SQL of this capability's own tables.

mod people;
mod settings;
mod tokens;

pub(crate) use people::*;
pub(crate) use settings::*;
pub(crate) use tokens::*;
