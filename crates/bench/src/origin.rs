//! The upstream of every proxy: answers from memory, one thread, as many ports as asked for.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

/// Bytes of a small answer's body.
pub const SMALL: usize = 128;
/// Bytes of a large answer's body.
pub const LARGE: usize = 64 << 10;
/// The path of large answers begins so.
pub const LARGE_PATH: &str = "/large";

struct Conn {
    stream: TcpStream,
    /// Of a head that has not come whole.
    held: Vec<u8>,
    /// What is still to be sent, and from where.
    rest: Option<(Arc<[u8]>, usize)>,
}

/// Serves until it is ended; says its ports, then the port that swallows HAProxy's log.
///
/// # Errors
/// Where a socket fails.
pub fn main(ports: usize) -> std::io::Result<()> {
    let listeners = (0..ports).map(|_| TcpListener::bind(("127.0.0.1", 0))).collect::<std::io::Result<Vec<_>>>()?;
    let sink = UdpSocket::bind(("127.0.0.1", 0))?;
    let numbers = listeners.iter().map(|l| Ok(l.local_addr()?.port().to_string()));
    println!("{}", numbers.collect::<std::io::Result<Vec<_>>>()?.join(" "));
    println!("{}", sink.local_addr()?.port());
    std::thread::spawn(move || {
        let mut line = [0; 4096];
        while sink.recv(&mut line).is_ok() {}
    });
    let answers = [answer(SMALL), answer(LARGE)];
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    for (at, listener) in listeners.iter().enumerate() {
        listener.set_nonblocking(true)?;
        rustix::net::listen(listener, 1024)?;
        epoll::add(&epoll, listener, EventData::new_u64(at as u64), EventFlags::IN)?;
    }
    let mut conns: Vec<Option<Conn>> = Vec::new();
    let mut free: Vec<usize> = Vec::new();
    let mut events: Vec<Event> = Vec::with_capacity(512);
    loop {
        events.clear();
        epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), None)?;
        for event in &events {
            let at = event.data.u64() as usize;
            if let Some(listener) = listeners.get(at) {
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    stream.set_nodelay(true)?;
                    let slot = free.pop().unwrap_or_else(|| {
                        conns.push(None);
                        conns.len() - 1
                    });
                    epoll::add(&epoll, &stream, EventData::new_u64((ports + slot) as u64), EventFlags::IN)?;
                    conns[slot] = Some(Conn { stream, held: Vec::new(), rest: None });
                }
                continue;
            }
            let slot = at - ports;
            let Some(conn) = &mut conns[slot] else { continue };
            let was_waiting = conn.rest.is_some();
            if !step(conn, &answers) {
                conns[slot] = None;
                free.push(slot);
                continue;
            }
            if was_waiting != conn.rest.is_some() {
                let flags = if conn.rest.is_some() { EventFlags::OUT } else { EventFlags::IN };
                epoll::modify(&epoll, &conn.stream, event.data, flags)?;
            }
        }
    }
}

fn answer(bytes: usize) -> Arc<[u8]> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nServer: origin\r\nDate: Wed, 25 Nov 2026 12:00:00 GMT\r\nContent-Type: text/plain\r\n\
         Cache-Control: no-cache\r\nContent-Length: {bytes}\r\n\r\n"
    );
    [head.as_bytes(), &vec![b'x'; bytes]].concat().into()
}

/// Reads and answers; `false` when the connection is over.
fn step(conn: &mut Conn, answers: &[Arc<[u8]>; 2]) -> bool {
    if let Some((text, from)) = conn.rest.take() {
        return send(conn, text, from);
    }
    let mut buffer = [0; 16 << 10];
    let read = match conn.stream.read(&mut buffer) {
        Ok(0) => return false,
        Ok(read) => read,
        Err(why) => return why.kind() == ErrorKind::WouldBlock,
    };
    conn.held.extend_from_slice(&buffer[..read]);
    if !conn.held.ends_with(b"\r\n\r\n") {
        return true;
    }
    let large = conn.held.get(4..).is_some_and(|rest| rest.starts_with(LARGE_PATH.as_bytes()));
    conn.held.clear();
    send(conn, Arc::clone(&answers[usize::from(large)]), 0)
}

fn send(conn: &mut Conn, text: Arc<[u8]>, mut from: usize) -> bool {
    while from < text.len() {
        match conn.stream.write(&text[from..]) {
            Ok(written) => from += written,
            Err(why) if why.kind() == ErrorKind::WouldBlock => {
                conn.rest = Some((text, from));
                return true;
            }
            Err(_) => return false,
        }
    }
    true
}
