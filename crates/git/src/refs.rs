//! Reading and moving refs.

use std::fs::File;

use base::Result;
use gix::ObjectId;
use gix::refs::transaction::{Change, LogChange, PreviousValue, RefEdit, RefLog};
use gix::refs::{FullName, Target};

use crate::commands::Command;
use crate::internal;
use crate::layout::{Repository, sync_dir};

/// All branches and tags with what they point to, sorted by name.
pub(crate) fn list(repository: &gix::Repository) -> Result<Vec<(String, ObjectId)>> {
    let fail = |e: gix::Error| internal("reading refs", e);
    let platform = repository.references().map_err(fail)?;
    let mut out = Vec::new();
    for reference in platform.all().map_err(fail)? {
        let reference = reference.map_err(|e| internal("reading refs", e))?;
        let name = reference.name().as_bstr().to_string();
        let offered = name.starts_with("refs/heads/") || name.starts_with("refs/tags/");
        if let Some(id) = reference.try_id().filter(|_| offered) {
            out.push((name, id.detach()));
        }
    }
    out.sort();
    out.dedup();
    Ok(out)
}

/// Where a ref is.
pub(crate) fn find(refs: &[(String, ObjectId)], name: &str) -> Option<ObjectId> {
    let at = refs.binary_search_by(|(other, _)| other.as_str().cmp(name)).ok()?;
    refs.get(at).map(|(_, id)| *id)
}

/// Why a command cannot be carried out on these refs, if it cannot.
pub(crate) fn conflict(refs: &[(String, ObjectId)], command: &Command) -> Option<String> {
    let now = find(refs, &command.name);
    if now != command.old {
        return Some(match (now, command.old) {
            (None, _) => "it does not exist here; `git fetch --prune` first".to_owned(),
            (Some(_), None) => "it exists here already; `git fetch` first".to_owned(),
            _ => "it has moved here meanwhile; `git fetch` first".to_owned(),
        });
    }
    if now.is_some() || command.new.is_none() {
        return None;
    }
    let in_the_way = refs.iter().map(|(name, _)| name.as_str()).find(|name| nested(name, &command.name));
    in_the_way.map(|name| clash(name, &command.name))
}

/// Refuses new refs of one push that cannot stand beside each other.
pub(crate) fn refuse_clashes(commands: &mut [Command]) {
    let mut names: Vec<String> =
        commands.iter().filter(|c| c.refused.is_none() && c.new.is_some()).map(|c| c.name.clone()).collect();
    names.sort();
    for command in commands.iter_mut().filter(|c| c.refused.is_none() && c.new.is_some()) {
        if let Some(other) = names.iter().find(|name| name.len() < command.name.len() && nested(name, &command.name)) {
            command.refused = Some(clash(other, &command.name));
        }
    }
}

/// Whether one name is a directory of the other: files cannot be both.
fn nested(a: &str, b: &str) -> bool {
    let within = |short: &str, long: &str| long.strip_prefix(short).is_some_and(|rest| rest.starts_with('/'));
    within(a, b) || within(b, a)
}

fn clash(other: &str, name: &str) -> String {
    format!("'{other}' is in the way of '{name}': a name cannot be a branch and a folder of branches")
}

/// Moves refs, all or none, each only if it is still where the command says. The new values are
/// on the disk before their names are, and the names before this returns.
pub(crate) fn apply(repository: &Repository, commands: &[&Command]) -> Result<()> {
    let opened = repository.open()?;
    let edits = commands.iter().map(|c| edit(c)).collect::<Result<Vec<_>>>()?;
    let fail = gix::lock::acquire::Fail::AfterDurationWithBackoff(std::time::Duration::from_secs(5));
    let transaction = opened.refs.transaction().prepare(edits, fail, fail).map_err(|e| internal("moving refs", e))?;
    let path = |name: &str| repository.path().join(name);
    for command in commands.iter().filter(|c| c.new.is_some()) {
        let lock = path(&format!("{}.lock", command.name));
        // An update to the value it has needs no lock file.
        if let Ok(file) = File::open(lock) {
            file.sync_all().map_err(|e| internal("moving refs", e))?;
        }
    }
    transaction.commit(None).map_err(|e| internal("moving refs", e))?;
    for command in commands {
        let file = path(&command.name);
        for folder in file.ancestors().skip(1).take_while(|f| *f != repository.path()) {
            // Deleting the last branch of a folder removes the folder.
            if folder.is_dir() {
                sync_dir(folder).map_err(|e| internal("moving refs", e))?;
            }
        }
    }
    Ok(())
}

fn edit(command: &Command) -> Result<RefEdit> {
    let name = FullName::try_from(command.name.as_str()).map_err(|e| internal("moving refs", e))?;
    let change = match command.new {
        Some(new) => Change::Update {
            log: LogChange { mode: RefLog::AndReference, force_create_reflog: false, message: "push".into() },
            expected: match command.old {
                Some(old) => PreviousValue::MustExistAndMatch(Target::Object(old)),
                None => PreviousValue::MustNotExist,
            },
            new: Target::Object(new),
        },
        None => Change::Delete {
            expected: match command.old {
                Some(old) => PreviousValue::MustExistAndMatch(Target::Object(old)),
                None => PreviousValue::MustExist,
            },
            log: RefLog::AndReference,
        },
    };
    Ok(RefEdit::new(name, change))
}
