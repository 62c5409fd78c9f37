//! Replacing the gateway's own binary: the successor gets the listening sockets over a Unix
//! socket (`SCM_RIGHTS`), begins to serve, says so, and only then does the predecessor drain.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base::{Problem, Result};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use super::{HAND_OVER, socket};
use crate::core::Core;
use crate::descriptors::{self, DESCRIPTORS_MAX};

/// How long the successor may take to begin to serve.
const TIMEOUT: Duration = Duration::from_secs(60);
/// What the predecessor sends with the sockets, and what the successor answers when it serves.
const HELLO: u8 = b'1';
const SERVING: u8 = b'S';

fn failed(e: impl std::fmt::Display) -> Problem {
    Problem::internal("take-over-failed", format!("taking the listening sockets over failed: {e}"))
        .hint("the gateway that runs goes on; start this one again")
}

/// The predecessor's side.
#[derive(Debug)]
pub(crate) struct HandOver {
    listeners: Vec<TcpListener>,
    replaced: CancellationToken,
    /// Cancelled when the gateway ends by itself: the sockets must not stay open here.
    closing: CancellationToken,
}

impl HandOver {
    /// `replaced` is cancelled when a successor serves.
    pub(crate) fn new(
        listeners: &[TcpListener],
        replaced: CancellationToken,
        closing: CancellationToken,
    ) -> Result<Self> {
        let listeners = listeners.iter().map(TcpListener::try_clone).collect::<std::io::Result<_>>();
        Ok(Self { listeners: listeners.map_err(failed)?, replaced, closing })
    }

    /// Waits for a successor; one that fails changes nothing.
    pub(super) async fn serve(self, socket: UnixListener, core: Arc<Core>) {
        let closing = self.closing.clone();
        closing.run_until_cancelled_owned(self.wait(socket, core)).await;
    }

    async fn wait(self, socket: UnixListener, core: Arc<Core>) {
        loop {
            let stream = match socket.accept().await {
                Ok((stream, _)) if socket::is_own(&stream) => stream,
                _ => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            match tokio::time::timeout(TIMEOUT, self.give(stream)).await {
                Ok(Ok(())) => {
                    // No snapshot is taken any more: the successor reads the last one from disk.
                    core.is_ending.store(true, Ordering::SeqCst);
                    self.replaced.cancel();
                    return;
                }
                Ok(Err(error)) => tracing::warn!(%error, "a successor did not take over"),
                Err(_) => tracing::warn!("a successor did not take over in time"),
            }
        }
    }

    async fn give(&self, mut stream: UnixStream) -> std::io::Result<()> {
        let fds: Vec<BorrowedFd<'_>> = self.listeners.iter().take(DESCRIPTORS_MAX).map(|l| l.as_fd()).collect();
        stream
            .async_io(Interest::WRITABLE, || {
                let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
                let mut control = SendAncillaryBuffer::new(&mut space);
                control.push(SendAncillaryMessage::ScmRights(&fds));
                let data = [HELLO];
                rustix::net::sendmsg(&stream, &[IoSlice::new(&data)], &mut control, SendFlags::NOSIGNAL)?;
                Ok(())
            })
            .await?;
        match stream.read_u8().await? {
            SERVING => Ok(()),
            other => Err(std::io::Error::other(format!("the successor said {other}"))),
        }
    }
}

/// The successor's side: the sockets, and the way to say that it serves.
#[derive(Debug)]
pub(crate) struct Taken {
    listeners: Vec<TcpListener>,
    stream: UnixStream,
}

/// Asks the gateway that runs in `dir` for its sockets; `None` where none runs.
pub(crate) async fn take_over(dir: &Path) -> Result<Option<Taken>> {
    let Ok(stream) = UnixStream::connect(dir.join(HAND_OVER)).await else { return Ok(None) };
    let mut data = [0];
    let receive = descriptors::receive(&stream, &mut data);
    let (got, fds) = tokio::time::timeout(TIMEOUT, receive).await.map_err(failed)?.map_err(failed)?;
    if got != 1 || data != [HELLO] {
        return Err(failed("the gateway that runs sent something else"));
    }
    Ok(Some(Taken { listeners: fds.into_iter().map(TcpListener::from).collect(), stream }))
}

impl Taken {
    pub(crate) fn listeners(&self) -> Result<Vec<TcpListener>> {
        self.listeners.iter().map(TcpListener::try_clone).collect::<std::io::Result<_>>().map_err(failed)
    }

    /// This gateway serves: the other one may go.
    pub(crate) async fn accepted(mut self) -> Result<()> {
        self.stream.write_u8(SERVING).await.map_err(failed)?;
        self.stream.flush().await.map_err(failed)
    }
}
