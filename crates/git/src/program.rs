//! The only place that starts a program: the host's git, by its absolute path, with typed
//! arguments, and with nothing of the environment or configuration of the host.

#![expect(clippy::disallowed_methods, reason = "this module is the one of this crate that starts a program")]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use base::{Problem, Result};
use tokio::process::{Child, Command};

use crate::fault;

/// The git program.
#[derive(Debug, Clone)]
pub(crate) struct Program(Arc<Path>);

/// The version of the protocol a client asks for (`Git-Protocol: version=2`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    V0,
    V1,
    V2,
}

impl Protocol {
    /// Reads the header; anything that is not known is answered as the oldest version, as git does.
    pub(crate) fn parse(header: Option<&str>) -> Self {
        let words = header.unwrap_or_default().split(':').filter_map(|word| word.trim().strip_prefix("version="));
        words.fold(Self::V0, |best, version| match version {
            "2" => Self::V2,
            "1" if best == Self::V0 => Self::V1,
            _ => best,
        })
    }

    fn variable(self) -> &'static str {
        match self {
            Self::V0 => "version=0",
            Self::V1 => "version=1",
            Self::V2 => "version=2",
        }
    }
}

impl Program {
    pub(crate) fn new(path: PathBuf) -> Result<Self> {
        if !path.is_absolute() {
            return Err(Problem::unprocessable("bad-git-program", "the path of git must be absolute")
                .hint("`command -v git` shows it"));
        }
        Ok(Self(path.into()))
    }

    /// Starts `git upload-pack` for a repository; it dies with the handle.
    pub(crate) fn upload_pack(&self, repository: &Path, advertise: bool, protocol: Protocol) -> Result<Child> {
        let mut command = Command::new(&*self.0);
        command.args(["-c", "safe.directory=*", "-c", "uploadpack.allowFilter=true", "upload-pack", "--strict"]);
        command.arg("--stateless-rpc");
        if advertise {
            command.arg("--http-backend-info-refs");
        }
        command.arg("--").arg(repository);
        command.env_clear();
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null").env("HOME", "/nonexistent");
        command.env("GIT_PROTOCOL", protocol.variable()).env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C");
        command.stdin(if advertise { Stdio::null() } else { Stdio::piped() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).current_dir("/").kill_on_drop(true);
        command.spawn().map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => fault::git_missing(),
            _ => crate::internal("starting git", e),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocol_header() {
        for (header, expect) in [
            (None, Protocol::V0),
            (Some("version=2"), Protocol::V2),
            (Some("version=1"), Protocol::V1),
            (Some("version=0"), Protocol::V0),
            (Some("version=3"), Protocol::V0),
            (Some("version=2:foo=bar"), Protocol::V2),
            (Some("version=2\nLD_PRELOAD=x"), Protocol::V0),
        ] {
            assert_eq!(Protocol::parse(header), expect, "{header:?}");
        }
    }

    #[test]
    fn only_absolute_paths() {
        assert!(Program::new("git".into()).is_err());
        assert!(Program::new("/usr/bin/git".into()).is_ok());
    }
}
