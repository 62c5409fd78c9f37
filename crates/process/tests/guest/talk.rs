//! Connections outward, as programs make them: by name, many, large, slow.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// Longest wait for the other side; only reached when something is wrong.
const PATIENCE: Duration = Duration::from_secs(30);

fn connect(host: &str, port: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port.parse().unwrap_or(0)))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Says something, ends its side, and tells all that comes back.
pub(crate) fn talk(host: &str, port: &str, text: &str) -> io::Result<String> {
    let mut stream = connect(host, port)?;
    stream.write_all(text.replace("\\r\\n", "\r\n").as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    let mut back = String::new();
    stream.read_to_string(&mut back)?;
    Ok(back.replace('\r', "").replace('\n', "|"))
}

fn byte(at: u64) -> u8 {
    // A sequence that does not repeat with any size of a buffer.
    (at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8
}

/// Sends so many bytes to an echo and compares what comes back.
pub(crate) fn bulk(host: &str, port: &str, bytes: u64) -> io::Result<String> {
    let stream = connect(host, port)?;
    let mut up = stream.try_clone()?;
    let sender = std::thread::spawn(move || -> io::Result<()> {
        let mut at = 0;
        while at < bytes {
            let piece: Vec<u8> = (at..bytes.min(at + 100_000)).map(byte).collect();
            up.write_all(&piece)?;
            at += piece.len() as u64;
        }
        up.shutdown(Shutdown::Write)
    });
    let (mut down, mut buffer, mut at) = (stream, vec![0u8; 70_000], 0u64);
    loop {
        let count = down.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        for given in &buffer[..count] {
            if *given != byte(at) {
                return Err(io::Error::other(format!("byte {at} is another one")));
            }
            at += 1;
        }
    }
    sender.join().map_err(|_| io::Error::other("the sender broke off"))??;
    Ok(format!("{at} back"))
}

/// Opens all connections before it uses any.
pub(crate) fn many(host: &str, port: &str, count: u64) -> io::Result<String> {
    let mut all = (0..count).map(|_| connect(host, port)).collect::<io::Result<Vec<_>>>()?;
    for (n, stream) in all.iter_mut().enumerate() {
        stream.write_all(format!("{n:05}").as_bytes())?;
    }
    for (n, stream) in all.iter_mut().enumerate() {
        let mut back = [0u8; 5];
        stream.read_exact(&mut back)?;
        if back != format!("{n:05}").as_bytes() {
            return Err(io::Error::other(format!("connection {n} got {back:?}")));
        }
    }
    Ok(format!("{count} answered"))
}

/// Sends and does not read until the way is full; then reads everything.
pub(crate) fn slow(host: &str, port: &str, bytes: u64) -> io::Result<String> {
    let mut stream = connect(host, port)?;
    stream.set_nonblocking(true)?;
    let (piece, mut sent, mut full) = (vec![7u8; 64 << 10], 0u64, 0);
    while full < 20 && sent < bytes {
        match stream.write(&piece) {
            Ok(count) => (sent, full) = (sent + count as u64, 0),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                full += 1;
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(e) => return Err(e),
        }
    }
    let was_full = full >= 20;
    stream.set_nonblocking(false)?;
    let up = stream.try_clone()?;
    up.shutdown(Shutdown::Write)?;
    let mut back = 0u64;
    let mut buffer = vec![0u8; 64 << 10];
    loop {
        match stream.read(&mut buffer)? {
            0 => break,
            count => back += count as u64,
        }
    }
    let whole = back == sent;
    Ok(format!("full {was_full}, whole {whole}"))
}

/// The figure alone, or the error.
pub(crate) fn tell(figure: io::Result<u64>) {
    match figure {
        Ok(figure) => println!("{figure}"),
        Err(e) => println!("error: {e}"),
    }
}

fn median(mut all: Vec<Duration>) -> u64 {
    all.sort_unstable();
    all.get(all.len() / 2).map_or(0, |span| u64::try_from(span.as_micros()).unwrap_or(u64::MAX))
}

/// One byte there and back, again and again: the median in microseconds.
pub(crate) fn ping(host: &str, port: &str, count: u64) -> io::Result<u64> {
    let mut stream = connect(host, port)?;
    stream.set_nodelay(true)?;
    let mut all = Vec::new();
    for _ in 0..count {
        let began = Instant::now();
        stream.write_all(b"x")?;
        stream.read_exact(&mut [0])?;
        all.push(began.elapsed());
    }
    Ok(median(all))
}

/// A new connection until its first byte is back: the median in microseconds.
pub(crate) fn meet(host: &str, port: &str, count: u64) -> io::Result<u64> {
    let mut all = Vec::new();
    for _ in 0..count {
        let began = Instant::now();
        let mut stream = connect(host, port)?;
        stream.write_all(b"x")?;
        stream.read_exact(&mut [0])?;
        all.push(began.elapsed());
    }
    Ok(median(all))
}

/// So many MiB there and back: MiB a second, one way.
pub(crate) fn flow(host: &str, port: &str, mib: u64) -> io::Result<u64> {
    let mut stream = connect(host, port)?;
    let mut up = stream.try_clone()?;
    let began = Instant::now();
    let sender = std::thread::spawn(move || (0..mib * 4).try_for_each(|_| up.write_all(&[7; 256 << 10])));
    let (mut left, mut buffer) = (mib << 20, vec![0; 256 << 10]);
    while left > 0 {
        match stream.read(&mut buffer)? {
            0 => return Err(io::Error::other("the echo ended")),
            count => left = left.saturating_sub(count as u64),
        }
    }
    sender.join().map_err(|_| io::Error::other("the sender broke off"))??;
    let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX).max(1);
    Ok(mib * 1_000_000 / micros)
}
