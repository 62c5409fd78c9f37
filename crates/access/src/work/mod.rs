//! What is done beyond answering a call.

mod events;
mod first;

pub(crate) use events::{record, watch};
pub use first::{FirstSignIn, first_sign_in};
pub(crate) use first::new_code;
