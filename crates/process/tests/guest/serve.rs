//! A small HTTP server with moods.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

static TERM: AtomicBool = AtomicBool::new(false);
static HITS: AtomicUsize = AtomicUsize::new(0);

extern "C" fn on_term(_: i32) {
    TERM.store(true, SeqCst);
}

/// From here on SIGTERM changes nothing.
pub(crate) fn ignore_term() {
    // SAFETY: SIG_IGN installs no handler.
    unsafe {
        libc::signal(libc::SIGTERM, libc::SIG_IGN);
    }
}

/// `serve [on ADDRESS] [late MS] [sick-from MS sick-to MS] [say TEXT] [deaf]`: answers `GET /healthz` with 200,
/// or 503 while it is sick; ends with status 0 on SIGTERM.
pub(crate) fn serve(words: &[&str]) -> ExitCode {
    let value =
        |name: &str| words.iter().position(|w| *w == name).and_then(|i| words.get(i + 1)).map(|v| (*v).to_owned());
    let millis = |name: &str| value(name).and_then(|v| v.parse().ok()).map(Duration::from_millis);
    let handler = on_term as extern "C" fn(i32);
    // SAFETY: the handler only stores into an atomic.
    unsafe {
        libc::signal(libc::SIGTERM, handler as libc::sighandler_t);
    }
    std::thread::sleep(millis("late").unwrap_or_default());
    let port: u16 = std::env::var("PORT").ok().and_then(|p| p.parse().ok()).unwrap_or(0);
    let deaf = words.contains(&"deaf");
    let address = value("on").unwrap_or_else(|| "127.0.0.1".to_owned());
    let listener = match TcpListener::bind((address.as_str(), port)) {
        Ok(listener) => listener,
        Err(e) => {
            eprintln!("bind {port}: {e}");
            return ExitCode::from(97);
        }
    };
    println!("listening on {port}");
    if let Some(rounds) = value("work").and_then(|v| v.parse().ok()) {
        return work(&listener, rounds);
    }
    let listener = if deaf {
        drop(listener);
        None
    } else {
        Some(listener)
    };
    let began = Instant::now();
    if let Some(listener) = &listener {
        listener.set_nonblocking(true).expect("a socket can be made non-blocking");
    }
    while !TERM.load(SeqCst) {
        let sick = millis("sick-from").is_some_and(|from| began.elapsed() >= from)
            && millis("sick-to").is_none_or(|to| began.elapsed() < to);
        match listener.as_ref().map(TcpListener::accept) {
            Some(Ok((stream, _))) => answer(stream, sick, &value("say").unwrap_or_else(|| "hello".to_owned())),
            _ => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    println!("bye after {} requests", HITS.load(SeqCst));
    ExitCode::SUCCESS
}

/// A steady service: one connection at a time, each request costs the same work, answered in bytes.
fn work(listener: &TcpListener, rounds: u64) -> ExitCode {
    for mut stream in listener.incoming().flatten() {
        std::thread::spawn(move || {
            let mut byte = [0u8; 1];
            while stream.read_exact(&mut byte).is_ok() {
                let mut n = u64::from(byte[0]);
                for _ in 0..rounds {
                    n = std::hint::black_box(n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(7));
                }
                if stream.write_all(&[n as u8]).is_err() {
                    break;
                }
            }
        });
    }
    ExitCode::SUCCESS
}

fn answer(mut stream: TcpStream, sick: bool, say: &str) {
    let mut buffer = [0u8; 1024];
    let _ = stream.set_nonblocking(false);
    let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
    let n = stream.read(&mut buffer).unwrap_or(0);
    HITS.fetch_add(1, SeqCst);
    let request = String::from_utf8_lossy(&buffer[..n]);
    let status = if request.starts_with("GET /healthz") && sick { "503 Sick" } else { "200 OK" };
    let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{say}", say.len());
}
