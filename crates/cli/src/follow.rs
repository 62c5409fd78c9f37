//! Following long work to its end.

mod deploy;
mod rollout;
mod until;

pub use self::deploy::deploy;
pub use self::rollout::{describe, is_final, rollout};
