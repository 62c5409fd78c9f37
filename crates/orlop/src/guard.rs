//! Who starts the gateway again when there is no control plane to do it: its guard.
//!
//! A gateway that serves starts the same binary once more as its guard and holds the other end of the
//! guard's standard input. When that pipe ends without a word, the gateway has vanished, and the
//! guard becomes the new gateway (execve(2)), which serves its last snapshot and starts a guard of its
//! own. Gateways and guards hold a shared lock on one file, so that `orlop down` can tell when the
//! last of them has gone; a farewell beside it keeps guards from bringing a gateway back.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ChildStdin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use base::{Problem, Result};
use ports::Gateway as _;
use rustix::fs::{FlockOperation, flock};

use crate::log::say;
use crate::spawn;

/// The word by which a gateway knows that its guard has started it.
pub(crate) const AGAIN: &str = "again";
/// What a gateway says to its guard when it ends because it was told to.
const ENDED: &[u8] = b"ended";
/// A new gateway is started after this pause.
const PAUSE: Duration = Duration::from_millis(100);
/// A gateway that has not lived for this long is given a longer pause: something ends it each time.
const LIVED: Duration = Duration::from_secs(10);
/// The longer pause; also the one before a guard that has died is replaced.
pub(crate) const PAUSE_LONG: Duration = Duration::from_secs(2);

const LOCK: &str = "lock";
const FAREWELL: &str = "farewell";

/// The gateway's side.
#[derive(Default)]
pub(crate) struct Guard {
    link: Arc<Link>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Link {
    is_ending: AtomicBool,
    pipe: Mutex<Option<ChildStdin>>,
}

impl Guard {
    /// Starts a guard, and another one whenever it has died.
    pub(crate) fn begin(&self, args: [String; 2]) {
        let link = Arc::clone(&self.link);
        let thread = std::thread::spawn(move || {
            while !link.is_ending.load(Ordering::SeqCst) {
                match spawn::guard(&args) {
                    Ok(mut child) => {
                        *link.pipe.lock().unwrap_or_else(PoisonError::into_inner) = child.stdin.take();
                        // The word may have been given before there was a pipe for it.
                        if link.is_ending.load(Ordering::SeqCst) {
                            link.dismiss();
                        }
                        let _ = child.wait();
                    }
                    Err(problem) => tracing::warn!(%problem, "the gateway has no guard"),
                }
                if !link.is_ending.load(Ordering::SeqCst) {
                    std::thread::sleep(PAUSE_LONG);
                }
            }
        });
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
    }

    /// The gateway ends because it was told to: the guard ends as well, before this returns.
    pub(crate) fn end(self) {
        self.link.is_ending.store(true, Ordering::SeqCst);
        self.link.dismiss();
        if let Some(thread) = self.thread.into_inner().unwrap_or_else(PoisonError::into_inner) {
            let _ = thread.join();
        }
    }
}

impl Link {
    fn dismiss(&self) {
        if let Some(mut pipe) = self.pipe.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // A guard that has just died needs no word.
            let _ = pipe.write_all(ENDED);
        }
    }
}

/// `orlop guard FOLDER ADDRESS`: waits for the end of whoever started it.
pub(crate) fn main(args: &[String]) -> Result<()> {
    let [folder, address] = args else { return Err(Problem::invalid("usage", "a gateway starts its guard by itself")) };
    let place = PathBuf::from(folder);
    let _presence = presence(&place)?;
    let begun = Instant::now();
    let mut said = Vec::new();
    let _ = std::io::stdin().read_to_end(&mut said);
    if said == ENDED {
        return Ok(());
    }
    std::thread::sleep(if begun.elapsed() < LIVED { PAUSE_LONG } else { PAUSE });
    if place.join(FAREWELL).exists() {
        return Ok(());
    }
    say!("{{\"level\":\"WARN\",\"message\":\"the gateway had vanished; its guard starts it again\"}}");
    Err(spawn::become_gateway([folder.as_str(), address, AGAIN]))
}

/// Whether a gateway that cannot start need not try again: another one serves, or none is wanted.
pub(crate) async fn is_needless(folder: &Path) -> bool {
    folder.join(FAREWELL).exists() || gateway::Client::new(folder).status().await.is_ok()
}

/// Held by every gateway and every guard of a folder as long as they live.
pub(crate) fn presence(folder: &Path) -> Result<File> {
    let failed = |e: std::io::Error| {
        Problem::unavailable("gateway-start", format!("cannot use the folder {}: {e}", folder.display()))
    };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    let path = folder.join(LOCK);
    let write = || OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    // A lock needs no permission to write: the gateway starts where the disk can only be read, too.
    let file = write().or_else(|_| File::open(&path)).map_err(failed)?;
    flock(&file, FlockOperation::LockShared).map_err(|e| failed(e.into()))?;
    Ok(file)
}

/// Whether no gateway and no guard of this folder is left.
pub(crate) fn all_gone(folder: &Path) -> bool {
    match File::open(folder.join(LOCK)) {
        Ok(file) => flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok(),
        Err(_) => true,
    }
}

/// While this lasts no guard brings a gateway back.
pub(crate) struct Farewell(PathBuf);

impl Farewell {
    /// Tells all guards. On a disk that can only be read they are told by their gateways alone.
    pub(crate) fn say(folder: &Path) -> Self {
        let path = folder.join(FAREWELL);
        let _ = File::create(&path);
        Self(path)
    }
}

impl Drop for Farewell {
    fn drop(&mut self) {
        // One that stays behind only keeps guards from their duty until the next `orlop down`.
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_out_is_noticed_and_a_farewell_ends() {
        let dir = tempfile::tempdir().unwrap();
        assert!(all_gone(dir.path()));
        let (gateway, guard) = (presence(dir.path()).unwrap(), presence(dir.path()).unwrap());
        assert!(!all_gone(dir.path()));
        drop(gateway);
        assert!(!all_gone(dir.path()));
        drop(guard);
        assert!(all_gone(dir.path()));
        let farewell = Farewell::say(dir.path());
        assert!(dir.path().join(FAREWELL).exists());
        drop(farewell);
        assert!(!dir.path().join(FAREWELL).exists());
    }
}
