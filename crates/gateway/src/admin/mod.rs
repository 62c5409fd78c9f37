//! The administration: a Unix socket of mode 0600 in the gateway's directory.

mod client;
mod hand_over;
mod server;
mod socket;
mod wire;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::Result;
use tokio::task::JoinHandle;

use crate::worker::Worker;

pub use client::Client;
pub(crate) use hand_over::{HandOver, Taken, take_over};
pub(crate) use socket::{bind, is_own};

/// The socket that the control plane talks to.
const SOCKET: &str = "admin.sock";
/// The socket by which a successor gets the listening sockets.
const HAND_OVER: &str = "hand-over.sock";

/// The socket on which keepers give connections of their instances.
pub(crate) const CALLERS: &str = "callers.sock";

/// Where a gateway with this directory takes connections of instances ([`ports::Caller`]).
pub fn callers_socket(dir: impl AsRef<Path>) -> PathBuf {
    dir.as_ref().join(CALLERS)
}

/// Both directions of the wire: a request for a probe, and a problem that comes back.
#[cfg(feature = "fuzzing")]
pub(crate) fn fuzz(data: &[u8]) {
    if let Ok(request) = serde_json::from_slice::<wire::ProbeRequest>(data) {
        assert!(serde_json::to_vec(&request).is_ok(), "what was read cannot be written");
    }
    if let Ok(problem) = serde_json::from_slice::<wire::WireProblem>(data) {
        let status = data.iter().fold(0u16, |sum, byte| sum.wrapping_mul(31).wrapping_add(u16::from(*byte)));
        assert!(!problem.into_problem(status).to_string().is_empty(), "a problem says nothing");
    }
}

/// Serves both sockets. `replace`: a predecessor still has them, and they are taken from it.
pub(crate) async fn serve(
    dir: &Path,
    worker: &Arc<Worker>,
    hand_over: HandOver,
    replace: bool,
) -> Result<Vec<JoinHandle<()>>> {
    let admin = socket::bind(dir, SOCKET, replace).await?;
    let successor = socket::bind(dir, HAND_OVER, replace).await?;
    Ok(vec![
        tokio::spawn(server::serve(admin, Arc::clone(worker))),
        tokio::spawn(hand_over.serve(successor, Arc::clone(&worker.core))),
    ])
}
