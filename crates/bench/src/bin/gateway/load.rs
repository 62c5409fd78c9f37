//! The visitors: one thread, raw sockets. Either as fast as the answers come (`rate` 0), or so many
//! requests a second whatever happens; then latency counts from when a request was due, so that a
//! stall is not forgiven the requests that had to wait for it (coordinated omission).

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use bench::stats::percentile;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use serde_json::json;

/// What is asked of a proxy.
#[derive(Debug, Clone)]
pub struct Load {
    pub address: SocketAddr,
    pub hosts: usize,
    pub path: String,
    pub connections: usize,
    /// A new connection for each request.
    pub is_new: bool,
    /// Requests a second; 0 for as many as can be answered.
    pub rate: f64,
    pub warm_ms: u64,
    pub measure_ms: u64,
}

impl Load {
    /// As arguments of this program.
    pub fn args(&self) -> Vec<String> {
        let all: [&dyn std::fmt::Display; 8] = [
            &self.address,
            &self.hosts,
            &self.path,
            &self.connections,
            &self.is_new,
            &self.rate,
            &self.warm_ms,
            &self.measure_ms,
        ];
        std::iter::once("load".to_owned()).chain(all.iter().map(ToString::to_string)).collect()
    }

    /// The other way round.
    pub fn of(args: &[&str]) -> Option<Self> {
        let [address, hosts, path, connections, is_new, rate, warm_ms, measure_ms] = args else { return None };
        Some(Self {
            address: address.parse().ok()?,
            hosts: hosts.parse().ok()?,
            path: (*path).to_owned(),
            connections: connections.parse().ok()?,
            is_new: is_new.parse().ok()?,
            rate: rate.parse().ok()?,
            warm_ms: warm_ms.parse().ok()?,
            measure_ms: measure_ms.parse().ok()?,
        })
    }
}

struct Conn {
    stream: Option<TcpStream>,
    due: Instant,
    head: Vec<u8>,
    /// Bytes of the answer's body that are still to come; `None` before its head is whole.
    left: Option<usize>,
}

struct Visitors<'a> {
    load: &'a Load,
    requests: Vec<Vec<u8>>,
    host: usize,
    epoll: rustix::fd::OwnedFd,
    conns: Vec<Conn>,
    idle: VecDeque<usize>,
    latencies: Vec<u32>,
    errors: u64,
    first_error: Option<String>,
    measuring: bool,
}

/// Says `begin` when what follows counts, and the result as JSON.
pub fn main(load: &Load) -> std::io::Result<()> {
    let mut visitors = Visitors::new(load)?;
    let begun = Instant::now();
    let from = begun + Duration::from_millis(load.warm_ms);
    let to = from + Duration::from_millis(load.measure_ms);
    let mut sent = 0u64;
    let mut events: Vec<Event> = Vec::with_capacity(1024);
    if load.rate == 0.0 {
        (0..load.connections).for_each(|at| visitors.send(at, Instant::now()));
    } else {
        visitors.idle.extend(0..load.connections);
    }
    loop {
        let now = Instant::now();
        if now >= to {
            break;
        }
        if !visitors.measuring && now >= from {
            visitors.measuring = true;
            println!("begin");
        }
        let mut wait = to - now;
        if load.rate > 0.0 {
            let due = |n: u64| begun + Duration::from_secs_f64(n as f64 / load.rate);
            while due(sent) <= now
                && let Some(at) = visitors.idle.pop_front()
            {
                visitors.send(at, due(sent));
                sent += 1;
            }
            if !visitors.idle.is_empty() {
                wait = wait.min(due(sent).saturating_duration_since(now));
            }
        }
        if !visitors.measuring {
            wait = wait.min(from.saturating_duration_since(now));
        }
        // A wait of part of a millisecond would be rounded up: look again at once instead.
        let wait = if wait < Duration::from_millis(1) { Duration::ZERO } else { wait.min(Duration::from_millis(20)) };
        let wait = rustix::event::Timespec { tv_sec: 0, tv_nsec: i64::from(wait.subsec_nanos()) };
        events.clear();
        epoll::wait(&visitors.epoll, rustix::buffer::spare_capacity(&mut events), Some(&wait))?;
        for event in &events {
            visitors.read(event.data.u64() as usize);
        }
    }
    let span = Instant::now().saturating_duration_since(from).as_secs_f64();
    println!("end");
    let Visitors { latencies, errors, first_error, .. } = &mut visitors;
    let shares = [0.5, 0.9, 0.99, 0.999, 1.0].map(|share| percentile(latencies, share));
    println!(
        "{}",
        json!({ "requests": latencies.len(), "seconds": span, "errors": *errors, "firstError": first_error,
            "p50": shares[0], "p90": shares[1], "p99": shares[2], "p999": shares[3], "max": shares[4] })
    );
    Ok(())
}

impl<'a> Visitors<'a> {
    fn new(load: &'a Load) -> std::io::Result<Self> {
        let request = |host: usize| {
            format!(
                "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0)\r\n\
                 Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\nAccept-Language: en-GB,en;q=0.5\r\n\
                 Accept-Encoding: gzip, deflate, br\r\nCookie: session=0123456789abcdef\r\n\r\n",
                load.path,
                bench::host(host)
            )
            .into_bytes()
        };
        let now = Instant::now();
        let conn = || Conn { stream: None, due: now, head: Vec::new(), left: None };
        Ok(Self {
            load,
            requests: (0..load.hosts).map(request).collect(),
            host: 0,
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            conns: (0..load.connections).map(|_| conn()).collect(),
            idle: VecDeque::new(),
            latencies: Vec::with_capacity(1 << 20),
            errors: 0,
            first_error: None,
            measuring: false,
        })
    }

    fn send(&mut self, at: usize, due: Instant) {
        // All hosts in turn, far from each other.
        self.host = (self.host + 389) % self.requests.len();
        self.conns[at].due = due;
        if let Err(why) = self.try_send(at) {
            self.failed(at, &why.to_string());
        }
    }

    fn try_send(&mut self, at: usize) -> std::io::Result<()> {
        let conn = &mut self.conns[at];
        if conn.stream.is_none() {
            let stream = TcpStream::connect(self.load.address)?;
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            epoll::add(&self.epoll, &stream, EventData::new_u64(at as u64), EventFlags::IN)?;
            conn.stream = Some(stream);
        }
        let Some(stream) = &mut conn.stream else { return Ok(()) };
        stream.write_all(&self.requests[self.host])
    }

    /// The connection is of no more use.
    fn failed(&mut self, at: usize, why: &str) {
        self.errors += 1;
        self.first_error.get_or_insert_with(|| why.to_owned());
        self.conns[at].stream = None;
        self.conns[at].left = None;
        self.conns[at].head.clear();
        // Not at once: a proxy that is gone must not make this a busy loop.
        std::thread::sleep(Duration::from_millis(1));
        self.next(at);
    }

    fn next(&mut self, at: usize) {
        if self.load.rate > 0.0 {
            self.idle.push_back(at);
        } else if self.errors < 1000 {
            self.send(at, Instant::now());
        }
    }

    fn read(&mut self, at: usize) {
        let mut buffer = [0; 64 << 10];
        let conn = &mut self.conns[at];
        let Some(stream) = &mut conn.stream else { return };
        let read = match stream.read(&mut buffer) {
            Ok(0) => return self.failed(at, "the proxy closed the connection"),
            Ok(read) => read,
            Err(why) if why.kind() == ErrorKind::WouldBlock => return,
            Err(why) => return self.failed(at, &why.to_string()),
        };
        let left = match conn.left {
            Some(left) => left.checked_sub(read),
            None => {
                conn.head.extend_from_slice(&buffer[..read]);
                match length(&conn.head) {
                    Ok(None) => return,
                    Ok(Some((head, body))) => (head + body).checked_sub(conn.head.len()),
                    Err(why) => return self.failed(at, &why),
                }
            }
        };
        match left {
            None => self.failed(at, "more came than was announced"),
            Some(0) => self.done(at),
            left => conn.left = left,
        }
    }

    fn done(&mut self, at: usize) {
        let conn = &mut self.conns[at];
        if self.measuring {
            self.latencies.push(u32::try_from(conn.due.elapsed().as_micros()).unwrap_or(u32::MAX));
        }
        conn.head.clear();
        conn.left = None;
        if self.load.is_new {
            conn.stream = None;
        }
        self.next(at);
    }
}

/// Bytes of a whole head and of the body it announces.
fn length(head: &[u8]) -> Result<Option<(usize, usize)>, String> {
    let Some(end) = head.windows(4).position(|w| w == b"\r\n\r\n") else { return Ok(None) };
    let text = String::from_utf8_lossy(&head[..end]);
    if !text.starts_with("HTTP/1.1 200") {
        return Err(format!("an answer other than 200: {}", text.lines().next().unwrap_or_default()));
    }
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    length.map(|body| Some((end + 4, body))).ok_or_else(|| "an answer without a length".to_owned())
}
