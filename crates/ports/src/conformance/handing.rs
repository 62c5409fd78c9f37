//! Both ends of the sockets over which descriptors of connections are handed, as [`Address::Socket`]
//! and [`Caller`] describe them, for tests of the drivers that hold the other end.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpStream as StdStream};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixListener, UnixStream};

use crate::Address;
#[cfg(doc)]
use crate::Caller;

/// A connection to the port of an instance.
///
/// # Errors
/// Where nobody listens there, and where the socket gives no descriptor.
pub async fn connect(address: &Address) -> io::Result<TcpStream> {
    match address {
        Address::Tcp(address) => TcpStream::connect(address).await,
        Address::Socket(path) => {
            let keeper = UnixStream::connect(path).await?;
            let (_, descriptor) = receive(&keeper, &mut [0]).await?;
            let stream = StdStream::from(descriptor.ok_or(io::ErrorKind::ConnectionRefused)?);
            stream.set_nonblocking(true)?;
            let stream = TcpStream::from_std(stream)?;
            stream.writable().await?;
            stream.take_error()?.map_or(Ok(stream), Err)
        }
    }
}

/// What a keeper does, for an instance that listens at an address: hands out connections until the
/// task is dropped.
///
/// # Errors
/// Where no socket can be made at the path.
pub fn hand_out(path: &Path, to: SocketAddr) -> io::Result<tokio::task::JoinHandle<()>> {
    let listener = UnixListener::bind(path)?;
    Ok(tokio::spawn(async move {
        while let Ok((asker, _)) = listener.accept().await {
            if let Ok(stream) = TcpStream::connect(to).await {
                let _ = send(&asker, b"C", &stream).await;
            }
        }
    }))
}

/// Gives the gateway a connection of an instance, with the JSON of a [`Caller`].
///
/// # Errors
/// Where no gateway listens at the path.
pub async fn call(path: &Path, caller: &[u8], connection: impl AsFd) -> io::Result<()> {
    send(&UnixStream::connect(path).await?, caller, connection).await
}

async fn send(stream: &UnixStream, bytes: &[u8], descriptor: impl AsFd) -> io::Result<()> {
    let give = || {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptors = [descriptor.as_fd()];
        control.push(SendAncillaryMessage::ScmRights(&descriptors));
        rustix::net::sendmsg(stream, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    };
    stream.async_io(Interest::WRITABLE, give).await
}

async fn receive(stream: &UnixStream, bytes: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
    let take = || {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let into = &mut [IoSliceMut::new(bytes)];
        let got = rustix::net::recvmsg(stream, into, &mut control, RecvFlags::CMSG_CLOEXEC)?;
        let descriptor = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        });
        Ok((got.bytes, descriptor))
    };
    stream.async_io(Interest::READABLE, take).await
}
