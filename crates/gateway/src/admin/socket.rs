use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

use base::{Problem, Result};
use tokio::net::{UnixListener, UnixStream};

/// Makes a listening Unix socket of mode 0600. It is made in a directory that nobody else can
/// enter and then moved to its place, so that there is no moment at which others could connect.
///
/// # Errors
/// `gateway-runs` where another gateway answers there and `replace` is not set; `gateway-start`.
pub(crate) async fn bind(dir: &Path, name: &str, replace: bool) -> Result<UnixListener> {
    let path = dir.join(name);
    if !replace && UnixStream::connect(&path).await.is_ok() {
        return Err(Problem::conflict("gateway-runs", format!("another gateway runs in {}", dir.display()))
            .hint("stop it, or start this one with take-over"));
    }
    let failed = |e: std::io::Error| {
        Problem::internal("gateway-start", format!("making the socket {} failed: {e}", path.display()))
            .hint("a socket's path may have 107 bytes at most")
    };
    let private = dir.join(format!(".{}", std::process::id()));
    let _ = fs::remove_dir_all(&private);
    fs::DirBuilder::new().mode(0o700).create(&private).map_err(failed)?;
    let result = (|| {
        let early = private.join("s");
        let listener = UnixListener::bind(&early)?;
        fs::set_permissions(&early, fs::Permissions::from_mode(0o600))?;
        fs::rename(&early, &path)?;
        Ok(listener)
    })();
    let _ = fs::remove_dir_all(&private);
    result.map_err(failed)
}

/// Whether the peer is this user or root.
pub(crate) fn is_own(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|cred| cred.uid() == own || cred.uid() == 0)
}
