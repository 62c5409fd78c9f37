//! The service file `orlop.yaml`: what it may say, what that means, and what is wrong with it.
//!
//! ```
//! let text = "kind: web\nrun: { health: /healthz }\nneeds: { inventory: { service: inventory } }\n";
//! let manifest = api::manifest::parse(text, "orlop.yaml")?;
//! assert_eq!(manifest.run.health.as_ref().map(|path| path.as_str()), Some("/healthz"));
//!
//! let problem = api::manifest::parse("run:\n  comand: [./shop]\n", "orlop.yaml").unwrap_err();
//! assert_eq!(problem.place.as_deref(), Some("orlop.yaml:2:3"));
//! # Ok::<(), base::Problem>(())
//! ```
//!
//! One table ([`KEYS`]) says which keys there are. From it come the check of a file, the suggestions
//! in errors, `orlop explain KEY` and the JSON Schema, so that they cannot disagree. What the
//! platform cannot do yet is in the table too, and is refused in words, never ignored.

mod explain;
mod external;
mod keys;
mod node;
mod read;
mod reference;
mod rules;
mod schema;
mod shape;
mod suggest;
#[cfg(test)]
mod tests;
mod types;
mod values;

use base::limits::MANIFEST_BYTES_MAX;
use base::{Problem, Result};

pub use explain::{Explanation, explain, explanations};
pub use external::ExternalUrl;
pub use keys::{KEYS, Key, Support, Takes};
pub use reference::{NeedPart, Reference, check_references, expand, missing_reference, references, resolve_settings};
pub use schema::schema;
pub use types::{
    Build, Instances, Kind, Manifest, Need, Process, ProcessShape, Recipe, Rollout, Route, Run, Size, Strategy, UrlPath,
};

/// The name of the file in a repository.
pub const FILE: &str = "orlop.yaml";

/// Reads the text of a service file. `file_name` is what errors call it. An empty file means the
/// same as none: [`Manifest::default`].
///
/// # Errors
/// The first fault found, with its place (`orlop.yaml:3:5`, columns count characters from 1) and
/// what to write instead. Codes: `manifest-too-large`, `bad-yaml`, `unknown-key`, `duplicate-key`,
/// `wrong-type`, `bad-value`, `not-yet`, `conflicting-keys`, `bad-reference`, `undeclared-need`.
pub fn parse(text: &str, file_name: &str) -> Result<Manifest> {
    let name = suggest::shown(file_name);
    if text.len() > MANIFEST_BYTES_MAX {
        return Err(too_large(text.len()).at(name));
    }
    manifest(text).map_err(|fault| fault.in_file(&name))
}

/// Reads a service file whose encoding is not known to be right.
///
/// # Errors
/// As [`parse`], and `bad-yaml` with the place where the bytes are not UTF-8.
pub fn parse_bytes(bytes: &[u8], file_name: &str) -> Result<Manifest> {
    let name = suggest::shown(file_name);
    if bytes.len() > MANIFEST_BYTES_MAX {
        return Err(too_large(bytes.len()).at(name));
    }
    let text = std::str::from_utf8(bytes).map_err(|fault| {
        let before = bytes.get(..fault.valid_up_to()).unwrap_or_default();
        let at = node::At::after(&String::from_utf8_lossy(before));
        node::Fault::new(at, Problem::unprocessable("bad-yaml", "the file is not UTF-8 text from here on"))
            .hint("save the file in the encoding UTF-8")
            .in_file(&name)
    })?;
    parse(text, file_name)
}

fn too_large(bytes: usize) -> Problem {
    let what = format!("the file has {bytes} bytes, and {MANIFEST_BYTES_MAX} are allowed");
    Problem::too_large("manifest-too-large", what)
        .hint("keep long values as settings of the platform: `orlop setting set NAME=VALUE`")
}

fn manifest(text: &str) -> Result<Manifest, node::Fault> {
    let Some(root) = node::compose(text)? else { return Ok(Manifest::default()) };
    shape::check(&root)?;
    let read = read::manifest(&root)?;
    rules::check(&read, &root)?;
    Ok(read)
}
