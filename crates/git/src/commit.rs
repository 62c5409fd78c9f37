//! What is told about a commit.

use base::{Problem, Result};
use gix::ObjectId;
use gix::bstr::ByteSlice as _;
use gix::objs::CommitRef;

use crate::store::Store;

/// Longest subject and author that are handed on, characters.
const TEXT_CHARS_MAX: usize = 200;

/// Reads the 40 hex digits of a commit.
pub(crate) fn parse_id(hex: &str) -> Result<ObjectId> {
    ObjectId::from_hex(hex.as_bytes()).map_err(|_| {
        Problem::unprocessable("bad-commit", "a commit is 40 hex digits").hint("`git rev-parse HEAD` shows them")
    })
}

/// First line of a commit's message, and its author as `Name <mail>`.
pub(crate) fn subject_author(store: &Store, id: &ObjectId) -> Result<(String, String)> {
    let Some((_, data)) = store.read(id)? else { return Ok(Default::default()) };
    let Ok(commit) = CommitRef::from_bytes(&data, gix::hash::Kind::Sha1) else { return Ok(Default::default()) };
    let subject = clean(commit.message.trim_start().lines().next().unwrap_or_default());
    let author = match commit.author() {
        Ok(author) => clean(format!("{} <{}>", author.name, author.email).as_bytes()),
        Err(_) => String::new(),
    };
    Ok((subject, author))
}

/// Foreign text in one short line.
fn clean(text: &[u8]) -> String {
    let text = text.to_str_lossy();
    text.trim().chars().filter(|c| !c.is_control()).take(TEXT_CHARS_MAX).collect()
}
