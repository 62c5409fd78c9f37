//! Backups of a whole installation: one file that anybody can look into with `tar`, made while the
//! installation works, believed only after it was read back, restored whole or not at all.
//!
//! [`take`] makes one, [`prove`] reads one back, [`restore`] makes an installation of one, and
//! [`record`] keeps what was proved. The ledger is kept as the lines of [`store::Dump`], so a backup
//! of an installation on SQLite can be restored to PostgreSQL and the other way round.

mod manifest;
mod pass;
mod prove;
pub mod record;
mod restore;
mod take;
mod trees;

use std::future::Future;
use std::path::Path;
use std::pin::Pin;

use base::{Problem, Result, Secret};
use store::Reader;

pub use manifest::{Entry, Manifest};
pub use prove::{Proof, prove};
pub use restore::{Restored, Target, restore};
pub use take::{Source, take};

/// The keys that hang on the master key of an installation.
pub struct Keys {
    /// Seals manifests; at least 32 bytes.
    pub backup: Secret<Vec<u8>>,
    /// Seals the end of the fact log.
    pub audit: Secret<Vec<u8>>,
}

/// What this crate has to be told about the rest of the platform, to understand what it keeps.
pub struct House<'a> {
    /// Makes the keys of the text of a key file.
    pub keys: &'a (dyn Fn(&str) -> Result<Keys> + Sync),
    /// Opens a database at this URL, with these keys.
    pub options: &'a (dyn Fn(String, Keys) -> store::Options + Sync),
    /// The keys of all objects without which what the ledger says would not be true.
    pub needed: &'a (dyn for<'r> Fn(&'r mut Reader) -> Needed<'r> + Sync),
    /// Is told what is going on, a few words at a time.
    pub tell: &'a (dyn Fn(&str) + Sync),
}

/// The answer to [`House::needed`], once it is there.
pub type Needed<'r> = Pin<Box<dyn Future<Output = Result<Vec<String>>> + Send + 'r>>;

/// Something about the backup's own file or folder did not work.
fn disk(what: &str, path: &Path, error: &std::io::Error) -> Problem {
    let found = format!("{what} {}: {error}", path.display());
    match error.kind() {
        std::io::ErrorKind::NotFound => Problem::not_found("backup-not-found", found),
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            Problem::unavailable("storage-full", found).hint("make room there, or name another place with --to")
        }
        _ => Problem::unavailable("backup-io", found).hint("see that the folder exists and that you may use it"),
    }
}

/// The backup is not what it was when it was made.
fn damaged(what: impl std::fmt::Display) -> Problem {
    Problem::invalid("bad-backup", format!("the backup is damaged: {what}"))
        .hint("use another one; `orlop backup list` shows those that were read back whole")
}
