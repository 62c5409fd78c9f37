//! All SQL of this capability's own tables.

mod people;
mod settings;
mod tokens;
mod views;

pub(crate) use people::*;
pub(crate) use settings::*;
pub(crate) use tokens::*;
pub(crate) use views::*;
