//! New connections to instances.

use std::io;
use std::net::TcpStream as StdStream;
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::time::Duration;

use ports::Address;
use tokio::net::{TcpStream, UnixStream};

use crate::{admin, descriptors};

/// Between two tries where a keeper has too many askers at once.
const CROWDED_PAUSE: Duration = Duration::from_millis(2);
/// The longest path of a Unix socket (sockaddr_un, unix(7)); a longer one is reached by its folder.
const PATH_BYTES_MAX: usize = 107;

/// Opens a connection. The caller bounds its time.
pub(super) async fn connect(address: &Address) -> io::Result<TcpStream> {
    match address {
        Address::Tcp(address) => TcpStream::connect(address).await,
        Address::Socket(path) => handed_out(path).await,
    }
}

/// Asks a keeper for a connection that it makes inside the instance's network.
async fn handed_out(path: &Path) -> io::Result<TcpStream> {
    let keeper = ask(path).await?;
    if !admin::is_own(&keeper) {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "another user answers at the keeper's socket"));
    }
    let mut byte = [0];
    let (_, descriptors) = descriptors::receive(&keeper, &mut byte).await?;
    let given = descriptors.into_iter().next();
    let given = given.ok_or_else(|| io::Error::new(io::ErrorKind::ConnectionRefused, "the keeper gave nothing"))?;
    let stream = StdStream::from(given);
    stream.set_nonblocking(true)?;
    let stream = TcpStream::from_std(stream)?;
    // It may still be on its way: connect(2), EINPROGRESS.
    stream.writable().await?;
    match stream.take_error()? {
        Some(error) => Err(error),
        None => Ok(stream),
    }
}

/// Connecting to a Unix socket does not wait: it fails where too many wait already.
async fn ask(path: &Path) -> io::Result<UnixStream> {
    loop {
        match open(path).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => tokio::time::sleep(CROWDED_PAUSE).await,
            other => return other,
        }
    }
}

async fn open(path: &Path) -> io::Result<UnixStream> {
    if path.as_os_str().len() <= PATH_BYTES_MAX {
        return UnixStream::connect(path).await;
    }
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let folder = std::fs::File::open(folder)?;
    let short = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name);
    UnixStream::connect(short).await
}
