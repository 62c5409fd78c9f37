//! The credentials of a person on this machine: one file, readable by its owner alone.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base::{Problem, Result, Time};
use serde::{Deserialize, Serialize};

use crate::Host;

/// What is known of the servers that somebody signed in to.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Credentials {
    /// The server signed in to last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// By address.
    #[serde(default)]
    pub servers: BTreeMap<String, Credential>,
}

/// What is shown to one server. The token leaves this type only towards that server and git.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Credential {
    pub token: String,
    pub person: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Time>,
}

/// `$XDG_CONFIG_HOME/orlop/credentials.json`.
pub fn path(host: &dyn Host) -> Result<PathBuf> {
    Ok(home(host, "XDG_CONFIG_HOME", ".config")?.join("orlop/credentials.json"))
}

/// `$ORLOP_DATA`, else `$XDG_DATA_HOME/orlop`, else `~/.local/share/orlop`.
pub fn data_folder(host: &dyn Host) -> Result<PathBuf> {
    match host.variable("ORLOP_DATA") {
        Some(folder) => Ok(folder.into()),
        None => Ok(home(host, "XDG_DATA_HOME", ".local/share")?.join("orlop")),
    }
}

/// A base folder as the XDG Base Directory Specification finds it: relative ones do not count.
fn home(host: &dyn Host, variable: &str, beneath: &str) -> Result<PathBuf> {
    let absolute = |name| host.variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute(variable).or_else(|| Some(absolute("HOME")?.join(beneath))).ok_or_else(|| {
        Problem::invalid("no-home", format!("neither ${variable} nor $HOME names a folder"))
            .hint(format!("export {variable}=/path/to/a/folder"))
    })
}

impl Credentials {
    /// Reads the file; an absent one is empty.
    pub fn load(host: &dyn Host) -> Result<Self> {
        let path = path(host)?;
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(e) => return Err(unusable(&path, "read", &e)),
        };
        serde_json::from_slice(&text).map_err(|e| {
            // The parser's message names a place, never the text.
            Problem::invalid(
                "credentials-damaged",
                format!("the credentials cannot be understood ({:?})", e.classify()),
            )
            .at(format!("{}:{}:{}", path.display(), e.line(), e.column()))
            .hint(format!("rm {}; orlop login URL", path.display()))
        })
    }

    /// Writes the file anew beside the old one and puts it in its place, so that no moment shows
    /// half of it or shows it to others.
    pub fn save(&self, host: &dyn Host) -> Result<()> {
        let path = path(host)?;
        let failed = |e| unusable(&path, "written", &e);
        let folder = path.parent().unwrap_or(Path::new("/"));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        let fresh = path.with_extension(format!("json.{:016x}", u64::from_be_bytes(first_half(host.random()))));
        let text = serde_json::to_vec_pretty(self)
            .map_err(|e| Problem::internal("not-json", format!("the credentials cannot be written as JSON: {e}")))?;
        let written = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&fresh)
            .and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&fresh, &path));
        if written.is_err() {
            let _ = fs::remove_file(&fresh);
        }
        written.map_err(failed)
    }
}

fn first_half(bytes: [u8; 16]) -> [u8; 8] {
    let mut half = [0; 8];
    half.copy_from_slice(&bytes[..8]);
    half
}

fn unusable(path: &Path, what: &str, error: &std::io::Error) -> Problem {
    Problem::invalid("credentials-unusable", format!("the credentials cannot be {what}: {error}"))
        .at(path.display())
        .hint("set ORLOP_URL and ORLOP_TOKEN instead")
}
