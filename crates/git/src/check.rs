//! Whether the objects of a push are sound and complete.
//!
//! The rule is stronger than reachability from the new tips: *every* object of a pack must have
//! everything it points to, in the pack or in the repository. So by induction every object of a
//! repository is complete, and "it is here already" is all that has to be asked.

use std::collections::{BTreeSet, HashMap};

use base::{Problem, Result};
use gix::ObjectId;
use gix::bstr::ByteSlice as _;
use gix::objs::{CommitRef, TagRef};

use crate::fault;
use crate::modules;
use crate::pack::Kind;
use crate::resolve::Resolved;
use crate::store::Store;
use crate::tree;

/// Answers of the repository that are remembered; then the memory starts anew.
const REMEMBERED_MAX: usize = 500_000;

/// Submodules that are told by name.
const SUBMODULES_TOLD_MAX: usize = 5;

pub(crate) struct Check<'s> {
    store: &'s Store,
    /// What the pack points to and the repository has not: it must be in the pack.
    needed: HashMap<ObjectId, Kind>,
    /// So many objects the pack has: more than these cannot be needed from it.
    needed_max: usize,
    stored: HashMap<ObjectId, Kind>,
    shallow: bool,
    pointers: u64,
    submodules: BTreeSet<String>,
    /// Every version of `.gitmodules` that a tree of the pack names: at most one for each tree.
    modules: BTreeSet<ObjectId>,
}

/// What is known of a sound pack.
pub(crate) struct Checked {
    /// What the person should know.
    pub notes: Vec<String>,
    /// Files whose content has to be looked at once it can be read.
    pub modules: BTreeSet<ObjectId>,
}

impl<'s> Check<'s> {
    pub(crate) fn new(store: &'s Store, objects: usize, shallow: bool) -> Self {
        Self {
            store,
            needed: HashMap::new(),
            needed_max: objects,
            stored: HashMap::new(),
            shallow,
            pointers: 0,
            submodules: BTreeSet::new(),
            modules: BTreeSet::new(),
        }
    }

    /// Looks at one object of the pack.
    pub(crate) fn object(&mut self, id: &ObjectId, kind: Kind, data: &[u8]) -> Result<()> {
        match kind {
            Kind::Blob => {
                self.pointers = self.pointers.saturating_add(u64::from(is_pointer(data)));
                Ok(())
            }
            Kind::Tree => {
                for entry in tree::parse(data).map_err(|e| unsound(kind, id, &e))? {
                    if entry.mode.kind() == Some(Kind::Blob) && modules::is_modules(entry.name) {
                        self.modules.insert(entry.id);
                    }
                    match entry.mode.kind() {
                        Some(kind) => self.need(entry.id, kind)?,
                        None if self.submodules.len() < SUBMODULES_TOLD_MAX => {
                            self.submodules.insert(tree::shown(entry.name));
                        }
                        None => {}
                    }
                }
                Ok(())
            }
            Kind::Commit => self.commit(id, data),
            Kind::Tag => self.tag(id, data),
        }
    }

    /// All objects were looked at: what is needed must be among them, as what it is needed.
    pub(crate) fn finish(self, pack: &Resolved) -> Result<Checked> {
        for (id, kind) in &self.needed {
            match pack.kind(id) {
                Some(found) if found == *kind => {}
                Some(found) => return Err(confused(id, *kind, found)),
                None => return Err(missing(id, self.shallow)),
            }
        }
        let mut notes = Vec::new();
        if self.pointers > 0 {
            let pointers = self.pointers;
            notes.push(format!("{pointers} new file(s) are Git LFS pointers: their content is not here (`git lfs migrate export --include='*'` puts it into git)"));
        }
        for name in self.submodules {
            notes
                .push(format!("`{name}` is a submodule: its content is not here (`git subtree add` puts it into git)"));
        }
        Ok(Checked { notes, modules: self.modules })
    }

    fn commit(&mut self, id: &ObjectId, data: &[u8]) -> Result<()> {
        check_head(data).map_err(|e| unsound(Kind::Commit, id, e))?;
        let commit = CommitRef::from_bytes(data, gix::hash::Kind::Sha1)
            .map_err(|_| unsound(Kind::Commit, id, "cannot be read"))?;
        self.need(commit.tree(), Kind::Tree)?;
        commit.parents().try_for_each(|parent| self.need(parent, Kind::Commit))
    }

    fn tag(&mut self, id: &ObjectId, data: &[u8]) -> Result<()> {
        check_head(data).map_err(|e| unsound(Kind::Tag, id, e))?;
        let tag =
            TagRef::from_bytes(data, gix::hash::Kind::Sha1).map_err(|_| unsound(Kind::Tag, id, "cannot be read"))?;
        self.need(tag.target(), tag.target_kind.into())
    }

    fn need(&mut self, id: ObjectId, kind: Kind) -> Result<()> {
        let known = match self.needed.get(&id).or_else(|| self.stored.get(&id)) {
            Some(known) => Some(*known),
            None => self.ask(&id)?,
        };
        match known {
            Some(known) if known == kind => Ok(()),
            Some(known) => Err(confused(&id, kind, known)),
            None if self.needed.len() >= self.needed_max => Err(missing(&id, self.shallow)),
            None => {
                self.needed.insert(id, kind);
                Ok(())
            }
        }
    }

    fn ask(&mut self, id: &ObjectId) -> Result<Option<Kind>> {
        let found = self.store.kind(id)?;
        if let Some(kind) = found {
            if self.stored.len() >= REMEMBERED_MAX {
                self.stored.clear();
            }
            self.stored.insert(*id, kind);
        }
        Ok(found)
    }
}

/// The first line of a pointer that stands for a large file elsewhere (git-lfs spec.md).
fn is_pointer(data: &[u8]) -> bool {
    data.len() < 1024 && data.starts_with(b"version https://git-lfs.github.com/spec/")
}

/// A NUL in the head hides the rest from programs that read it as text.
fn check_head(data: &[u8]) -> Result<(), &'static str> {
    let head = data.split_once_str(b"\n\n").map_or(data, |(head, _)| head);
    if head.contains(&0) { Err("has a NUL in its head") } else { Ok(()) }
}

fn unsound(kind: Kind, id: &ObjectId, fault: &str) -> Problem {
    fault::pack(format!("{} {id} {fault}", kind.word())).hint("`git fsck` in your clone shows such objects")
}

fn confused(id: &ObjectId, wanted: Kind, found: Kind) -> Problem {
    fault::pack(format!("object {id} is used as a {} but is a {}", wanted.word(), found.word()))
}

fn missing(id: &ObjectId, shallow: bool) -> Problem {
    let problem = fault::pack(format!("object {id} is missing"));
    if shallow {
        problem.hint("your clone is shallow: `git fetch --unshallow`, then push again")
    } else {
        problem.hint("`git fsck` in your clone shows whether it is missing there too")
    }
}
