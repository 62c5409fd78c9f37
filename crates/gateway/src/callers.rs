//! Connections of instances to services that they need. An instance cannot reach the gateway; its
//! keeper gives the gateway the connection itself and says whose it is ([`ports::Caller`]).

use std::io;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use http::HeaderValue;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::admin;
use crate::descriptors;
use crate::worker::{Crew, Peer};

/// How long a keeper may take to say whose connection it gives; it does so at once.
const SAYS_WITHIN: Duration = Duration::from_secs(5);
/// Keepers that are being listened to at once.
const KEEPERS_MAX: usize = 256;
/// How long accepting pauses when the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Who calls, with what is said of it to the callee and in the log.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) told: ports::Caller,
    /// `service/environment`
    pub(crate) place: HeaderValue,
}

impl Caller {
    fn read(text: &[u8]) -> io::Result<Self> {
        let told: ports::Caller = serde_json::from_slice(text)?;
        let place = format!("{}/{}", told.service, told.environment);
        let place = HeaderValue::try_from(place).map_err(io::Error::other)?;
        Ok(Self { told, place })
    }

    /// Whether it has declared this host as something that it needs.
    pub(crate) fn may_ask(&self, host: &str) -> bool {
        self.told.hosts.iter().any(|declared| declared.as_str() == host)
    }
}

/// Takes connections until `closing`; those that are given already are still taken then.
pub(crate) async fn accept(listener: UnixListener, crew: Crew, closing: CancellationToken) {
    let places = Arc::new(Semaphore::new(KEEPERS_MAX));
    let crew = Arc::new(crew);
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let next = match closing.run_until_cancelled(listener.accept()).await {
            Some(next) => next,
            None => match listener.accept().now_or_never() {
                Some(Ok(next)) => Ok(next),
                _ => break,
            },
        };
        match next {
            Ok((keeper, _)) => {
                let crew = Arc::clone(&crew);
                tokio::spawn(async move {
                    if let Err(error) = take(keeper, &crew).await {
                        tracing::warn!(%error, "a connection of an instance was not taken");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "accepting at the socket for callers failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // Whoever was heard must be on its way to a worker before this ends.
    let all = u32::try_from(KEEPERS_MAX).unwrap_or(u32::MAX);
    let _ = tokio::time::timeout(SAYS_WITHIN, places.acquire_many(all)).await;
}

async fn take(keeper: UnixStream, crew: &Crew) -> io::Result<()> {
    if !admin::is_own(&keeper) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let heard = tokio::time::timeout(SAYS_WITHIN, hear(&keeper)).await.map_err(|_| io::ErrorKind::TimedOut)?;
    let (caller, connection) = heard?;
    let stream = TcpStream::from(connection);
    stream.set_nonblocking(true)?;
    let address = stream.peer_addr()?;
    crew.give(stream, Peer { address, caller: Some(Arc::new(caller)) }).await;
    Ok(())
}

/// Reads to the end what a keeper says, and takes the connection that comes with it.
async fn hear(keeper: &UnixStream) -> io::Result<(Caller, OwnedFd)> {
    let mut text = Vec::new();
    let mut piece = vec![0; 4096];
    let mut connection = None;
    loop {
        let (count, descriptors) = descriptors::receive(keeper, &mut piece).await?;
        connection = connection.or(descriptors.into_iter().next());
        if count == 0 {
            break;
        }
        text.extend_from_slice(piece.get(..count).unwrap_or_default());
        if text.len() > ports::Caller::BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a keeper says too much"));
        }
    }
    let connection = connection.ok_or_else(|| io::Error::other("a keeper gave no connection"))?;
    Ok((Caller::read(&text)?, connection))
}
