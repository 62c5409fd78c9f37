//! What the catalog knows by itself.

pub mod template;
