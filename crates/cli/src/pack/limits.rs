use std::collections::BTreeMap;
use std::path::Path;

use base::{Problem, Result, limits};

use super::{Form, Tree};
use crate::text::{bytes, count};

/// How large a tree may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub files: u64,
    /// Unpacked, bytes.
    pub bytes: u64,
    /// Packed, bytes.
    pub packed_bytes: u64,
}

/// Names of offenders in a message.
const OFFENDERS_MAX: usize = 5;

impl Limits {
    /// The published ones.
    pub const PUBLISHED: Self = Self {
        files: limits::SOURCE_FILES_MAX,
        bytes: limits::SOURCE_UNPACKED_BYTES_MAX,
        packed_bytes: limits::SOURCE_BYTES_MAX,
    };

    /// Refuses a tree that the server would refuse, before anything is sent.
    pub fn check(&self, tree: &Tree) -> Result<()> {
        let files = tree.entries.len() as u64;
        if tree.bytes > self.bytes {
            let found = format!("the working tree holds {}, and {} is the most", bytes(tree.bytes), bytes(self.bytes));
            return Err(self.refuse(tree, &found, |share| share.bytes));
        }
        if files > self.files {
            let found = format!(
                "the working tree holds {}, and {} is the most",
                count(files, "file"),
                count(self.files, "file")
            );
            return Err(self.refuse(tree, &found, |share| share.files));
        }
        Ok(())
    }

    /// The packed form became too large.
    pub fn refuse_packed(&self, tree: &Tree) -> Problem {
        let found = format!("the working tree is larger than {} when packed", bytes(self.packed_bytes));
        self.refuse(tree, &found, |share| share.bytes)
    }

    fn refuse(&self, tree: &Tree, found: &str, weight: fn(&Share) -> u64) -> Problem {
        let mut shares: Vec<_> = shares(tree).into_iter().collect();
        shares.sort_by_key(|(name, share)| (std::cmp::Reverse(weight(share)), name.clone()));
        let mut message = format!("{found}; the largest parts:");
        for (name, share) in shares.iter().take(OFFENDERS_MAX) {
            message.push_str(&format!("\n{name}  {}  {}", bytes(share.bytes), count(share.files, "file")));
        }
        let largest = shares.first().map_or("FOLDER/", |(name, _)| name);
        Problem::too_large("source-too-large", message)
            .at(tree.root.display())
            .hint(format!("leave out what is not source: echo '/{largest}' >> .orlopignore"))
    }
}

#[derive(Default)]
struct Share {
    bytes: u64,
    files: u64,
}

/// What each file or folder at the top holds.
fn shares(tree: &Tree) -> BTreeMap<String, Share> {
    let mut shares: BTreeMap<String, Share> = BTreeMap::new();
    for entry in &tree.entries {
        let mut parts = entry.path.components();
        let first = parts.next().map_or(Path::new(""), |part| Path::new(part.as_os_str())).display().to_string();
        let name = if parts.next().is_some() { format!("{first}/") } else { first };
        let share = shares.entry(name).or_default();
        share.files += 1;
        share.bytes += match entry.form {
            Form::File { size, .. } => size,
            Form::Link { .. } => 0,
        };
    }
    shares
}
