//! Pictures of graphs: where everything lies, and the SVG of it.

mod layout;
mod svg;

pub(crate) use svg::{Drawing, Look, Node};
