use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

/// How to run a gateway.
#[derive(Debug)]
pub struct Options {
    /// Its directory: `snapshot.json`, `snapshot.prev.json`, `admin.sock`, `hand-over.sock` and,
    /// unless told otherwise, `access.log`. Made with mode 0700 where it is missing.
    pub dir: PathBuf,
    /// Where to listen, besides `inherited`.
    pub listen: Vec<SocketAddr>,
    /// Sockets that listen already, from a service manager.
    pub inherited: Vec<TcpListener>,
    /// The access log.
    pub log: LogOptions,
    /// Bounds.
    pub limits: Limits,
    /// How long requests under way may take after a request to stop.
    pub drain: Duration,
    /// Take the listening sockets over from the gateway that runs in `dir`, if there is one, and
    /// let it drain. They come instead of binding the addresses in `listen` that it holds.
    pub take_over: bool,
    /// Threads that carry traffic; 0 for one per processor.
    pub workers: usize,
    /// Peers whose `Forwarded` and `X-Forwarded-*` are believed.
    pub trusted: Vec<IpAddr>,
}

impl Options {
    /// The defaults for a directory; nothing to listen on yet.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            listen: Vec::new(),
            inherited: Vec::new(),
            log: LogOptions::default(),
            limits: Limits::default(),
            drain: Duration::from_secs(30),
            take_over: false,
            workers: 0,
            trusted: Vec::new(),
        }
    }
}

/// The access log: one JSON object a line.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// The file; `None` for `access.log` in the gateway's directory.
    pub path: Option<PathBuf>,
    /// A file larger than this is put aside, bytes.
    pub file_bytes: u64,
    /// How many files put aside are kept.
    pub files: u32,
    /// Lines waiting for the disk, per worker, bytes; more are dropped and counted.
    pub waiting_bytes: usize,
    /// How long a line waits at most before it is written.
    pub flush_every: Duration,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            path: None,
            file_bytes: 64 << 20,
            files: 4,
            waiting_bytes: 4 << 20,
            flush_every: Duration::from_millis(200),
        }
    }
}

/// The bounds of a gateway.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Request head, bytes.
    pub head_bytes: usize,
    /// Request target, bytes.
    pub target_bytes: usize,
    /// Header lines of a request. The gateway adds up to ten, and common servers read no more than 100.
    pub fields: usize,
    /// Client connections.
    pub connections: u64,
    /// Client connections of one address (IPv6: of one /64), or of one service in an environment that calls another;
    /// trusted peers have no bound of their own. The control plane may set another.
    pub connections_per_client: u64,
    /// Requests under way, per worker.
    pub requests: u64,
    /// Requests at once on one HTTP/2 connection.
    pub streams: u32,
    /// From the first to the last byte of a request head.
    pub head_timeout: Duration,
    /// A client connection without a request.
    pub idle_timeout: Duration,
    /// Waiting for a client's request body: within it at least `slow_bytes` have to come, or the body's end.
    pub body_timeout: Duration,
    /// Connecting to an instance.
    pub connect_timeout: Duration,
    /// From the end of the request (or its last piece sent) to the head of the answer.
    pub answer_timeout: Duration,
    /// Waiting for a client to take its answer: within it at least `slow_bytes` have to be taken.
    pub write_timeout: Duration,
    /// What moves a client on, bytes: one that sends or takes a byte now and then holds its
    /// instance's connection like one that is silent.
    pub slow_bytes: usize,
    /// Silence inside an answer's body.
    pub stream_timeout: Duration,
    /// The same once the client has closed its side: it may wait for the rest, or it may be gone.
    pub closed_timeout: Duration,
    /// Silence in both directions of an upgraded connection.
    pub tunnel_timeout: Duration,
    /// Unused connections kept per instance and worker.
    pub pool: usize,
    /// How long an unused connection to an instance is kept.
    pub pool_age: Duration,
    /// Further attempts after the first, where a request may be sent again.
    pub retries: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes: 32 << 10,
            target_bytes: 8 << 10,
            fields: 90,
            connections: 20_000,
            connections_per_client: 10_000,
            requests: 20_000,
            streams: 128,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            body_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(3),
            answer_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(60),
            slow_bytes: 1024,
            stream_timeout: Duration::from_secs(15 * 60),
            closed_timeout: Duration::from_secs(30),
            tunnel_timeout: Duration::from_secs(60 * 60),
            pool: 256,
            pool_age: Duration::from_secs(30),
            retries: 2,
        }
    }
}
