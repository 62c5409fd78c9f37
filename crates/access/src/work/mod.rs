//! What is done beyond answering a call.

mod events;
mod first;
mod gatekeeper;
mod seal;
mod vault;

pub(crate) use events::{Tail, record, watch};
pub(crate) use first::new_code;
pub use first::{FirstSignIn, first_sign_in};
pub use gatekeeper::Gatekeeper;
pub use seal::MasterKey;
pub use vault::SettingVault;
