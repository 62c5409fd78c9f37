//! Who may do what: people, teams, tokens, roles; settings and secrets; the audit trail.

mod decide;
mod http;
mod model;
mod state;
mod work;

use kernel::Capability;
// The plain values that decisions are made about.
pub(crate) use kernel::{Identity, Target};

pub use work::{FirstSignIn, Gatekeeper, MasterKey, SettingVault, first_sign_in};

/// The tables of this capability.
pub fn migrations() -> Vec<store::Migration> {
    tables().migrations
}

/// Registers the capability. The vault is the one that the platform's ports hold.
pub fn capability(vault: SettingVault) -> Capability {
    tables().endpoints(http::endpoints(&vault))
}

fn tables() -> Capability {
    Capability::named("access")
        .migration("people", include_str!("../migrations/0001_people.sql"))
        .migration("settings", include_str!("../migrations/0002_settings.sql"))
        .migration("sessions", include_str!("../migrations/0003_sessions.sql"))
        .migration("views", include_str!("../migrations/0004_views.sql"))
}
