//! The proxies, each made to do the same: route a thousand hosts to a thousand upstreams, keep
//! connections, tell the upstream about the client, give each request an id, write an access log.

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::{Program, host, program};
use base::{Generation, InstanceId, ReleaseId, RolloutId, Time};
use ports::{Backend, Gateway as _, Instance, Route, SNAPSHOT_FORMAT, Snapshot};

/// How long a proxy may take until it serves.
const READY: Duration = Duration::from_secs(20);

/// A proxy that runs.
#[derive(Debug)]
pub struct Peer {
    /// Its name in [`PEERS`].
    pub name: &'static str,
    /// Where it listens.
    pub address: SocketAddr,
    /// The process.
    pub program: Program,
}

/// The upstreams of all proxies.
#[derive(Debug)]
pub struct Upstream {
    /// One port for each host.
    pub ports: Vec<u16>,
    /// Where HAProxy sends its log.
    pub sink: u16,
    _program: Program,
}

impl Upstream {
    /// Starts so many of them in one process on this processor.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn start(count: usize, core: usize) -> Result<Self, String> {
        let mut program = Program::role(&["origin", &count.to_string()], &[core])?;
        let ports = program.line()?.split(' ').filter_map(|word| word.parse().ok()).collect();
        let sink = program.line()?.parse().map_err(|_| "the upstream said nothing")?;
        Ok(Self { ports, sink, _program: program })
    }
}

/// What can be compared with.
pub const PEERS: [&str; 4] = ["orlop", "nginx", "nginx, log unbuffered", "haproxy"];

/// The version of a peer, where it is installed.
pub fn version(name: &str) -> Option<String> {
    let (command, arg) = match name {
        "orlop" => return Some(env!("CARGO_PKG_VERSION").to_owned()),
        "haproxy" => ("haproxy", "-v"),
        _ => ("nginx", "-v"),
    };
    let path = program::find(command)?.display().to_string();
    let (_, text) = program::said(&[&path, arg])?;
    let words = text.split([' ', '/', '\n']);
    words.into_iter().find(|word| word.starts_with(|c: char| c.is_ascii_digit())).map(str::to_owned)
}

/// Starts a proxy on these processors and waits until it serves.
///
/// # Errors
/// Where it does not start, with what it said.
pub fn start(name: &'static str, dir: &Path, cores: &[usize], upstream: &Upstream) -> Result<Peer, String> {
    let dir = dir.join(name.replace([' ', ','], "-"));
    std::fs::create_dir_all(&dir).map_err(|why| why.to_string())?;
    let address = free_address()?;
    let program = match name {
        "orlop" => orlop(&dir, address, cores, upstream)?,
        "haproxy" => haproxy(&dir, address, cores, upstream)?,
        _ => nginx(&dir, address, cores, upstream, name == "nginx")?,
    };
    let mut peer = Peer { name, address, program };
    let begun = Instant::now();
    while std::net::TcpStream::connect(address).is_err() {
        if begun.elapsed() > READY || !peer.program.runs() {
            let log = std::fs::read_to_string(dir.join("stderr.log")).unwrap_or_default();
            return Err(format!("{name} does not serve: {log}"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(peer)
}

fn free_address() -> Result<SocketAddr, String> {
    TcpListener::bind(("127.0.0.1", 0)).and_then(|l| l.local_addr()).map_err(|why| why.to_string())
}

fn orlop(dir: &Path, address: SocketAddr, cores: &[usize], upstream: &Upstream) -> Result<Program, String> {
    let folder = dir.display().to_string();
    let program = Program::role(&["orlop", &folder, &address.to_string()], cores)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|why| why.to_string())?;
    let client = gateway::Client::new(dir);
    let snapshot = snapshot(upstream);
    let begun = Instant::now();
    loop {
        match runtime.block_on(client.apply(&snapshot)) {
            Ok(_) => return Ok(program),
            Err(problem) if begun.elapsed() > READY => return Err(problem.to_string()),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Runs the gateway itself, with its defaults; ends with SIGTERM.
///
/// # Errors
/// Where it cannot start.
pub fn orlop_role(folder: &str, address: &str) -> Result<(), String> {
    let mut options = gateway::Options::new(folder);
    options.listen = vec![address.parse().map_err(|why| format!("{address}: {why}"))?];
    options.drain = Duration::from_millis(100);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|why| why.to_string())?;
    runtime.block_on(gateway::run(options, |_| {})).map_err(|problem| problem.to_string())
}

fn snapshot(upstream: &Upstream) -> Snapshot {
    let at = |n: usize| Time::from_micros(1_790_000_000_000_000 + n as i64 * 1000);
    let routes = upstream.ports.iter().enumerate().map(|(n, port)| Route {
        service: format!("service-{n}").parse().expect("a service name"),
        environment: "dev".parse().expect("an environment name"),
        hosts: vec![host(n).parse().expect("a host name")],
        backends: vec![Backend {
            rollout: RolloutId::new(at(n), [1; 10]),
            release: ReleaseId::new(at(n), [2; 10]),
            weight: 100,
            instances: vec![Instance {
                id: InstanceId::new(at(n), [3; 10]),
                address: ports::Address::Tcp(SocketAddr::from(([127, 0, 0, 1], *port))),
            }],
        }],
    });
    Snapshot { format: SNAPSHOT_FORMAT, generation: Generation(1), routes: routes.collect() }
}

fn nginx(
    dir: &Path,
    address: SocketAddr,
    cores: &[usize],
    upstream: &Upstream,
    buffered: bool,
) -> Result<Program, String> {
    let at = dir.display();
    let log = if buffered { " buffer=64k flush=1s" } else { "" };
    let workers = cores.len();
    let user = if rustix::process::getuid().is_root() { "user root;" } else { "" };
    let mut text = format!(
        "daemon off; worker_processes {workers}; pid {at}/pid; error_log {at}/error.log; {user}\n\
         worker_rlimit_nofile 20000;\nevents {{ worker_connections 19000; }}\nhttp {{\n\
         log_format line escape=json '{{\"time\":\"$time_iso8601\",\"id\":\"$request_id\",\"client\":\"$remote_addr\",\
         \"protocol\":\"$server_protocol\",\"method\":\"$request_method\",\"host\":\"$host\",\"path\":\"$uri\",\
         \"status\":$status,\"bytesIn\":$request_length,\"bytesOut\":$body_bytes_sent,\
         \"head\":\"$upstream_header_time\",\"took\":$request_time,\"instance\":\"$upstream_addr\"}}';\n\
         access_log {at}/access.log line{log};\nkeepalive_requests 1000000000; keepalive_timeout 75s;\n\
         server_names_hash_max_size 4096; server_names_hash_bucket_size 128;\n\
         proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Host $http_host;\n\
         proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Host $http_host;\n\
         proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Request-Id $request_id;\n\
         add_header X-Request-Id $request_id;\n\
         client_body_temp_path {at}/body; proxy_temp_path {at}/proxy; fastcgi_temp_path {at}/fastcgi;\n\
         uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;\n"
    );
    for (n, port) in upstream.ports.iter().enumerate() {
        let host = host(n);
        let _ = writeln!(
            text,
            "upstream u{n} {{ server 127.0.0.1:{port}; keepalive 64; keepalive_requests 1000000000; }}\n\
             server {{ listen {address}; server_name {host}; location / {{ proxy_pass http://u{n}; }} }}"
        );
    }
    text.push_str("}\n");
    let file = dir.join("nginx.conf");
    std::fs::write(&file, text).map_err(|why| why.to_string())?;
    let nginx = program::find("nginx").ok_or("nginx is not installed")?.display().to_string();
    let argv = [nginx, "-p".to_owned(), at.to_string(), "-c".to_owned(), file.display().to_string()];
    Program::start(&argv, cores, Some(&dir.join("stderr.log")))
}

fn haproxy(dir: &Path, address: SocketAddr, cores: &[usize], upstream: &Upstream) -> Result<Program, String> {
    let (at, sink, threads) = (dir.display(), upstream.sink, cores.len());
    let mut text = format!(
        "global\n  nbthread {threads}\n  maxconn 9000\n  log 127.0.0.1:{sink} len 1024 format raw local0\n\
         defaults\n  mode http\n  log global\n  option httplog\n  timeout connect 3s\n  timeout client 75s\n\
         timeout server 60s\n  http-reuse always\n  option forwardfor\n\
         frontend in\n  bind {address} backlog 1024\n  unique-id-format %[rand,hex]%[rand,hex]%[rand,hex]%[rand,hex]\n\
         unique-id-header X-Request-Id\n  http-request set-header X-Forwarded-Host %[req.hdr(host)]\n\
         http-request set-header X-Forwarded-Proto http\n  http-response set-header X-Request-Id %[unique-id]\n\
         use_backend %[req.hdr(host),lower,map({at}/hosts.map)]\n"
    );
    let mut map = String::new();
    for (n, port) in upstream.ports.iter().enumerate() {
        let _ = writeln!(text, "backend b{n}\n  server s 127.0.0.1:{port}");
        let _ = writeln!(map, "{} b{n}", host(n));
    }
    let file = dir.join("haproxy.cfg");
    let write = |path: &Path, text: &str| std::fs::write(path, text).map_err(|why| why.to_string());
    write(&dir.join("hosts.map"), &map)?;
    write(&file, &text)?;
    let haproxy = program::find("haproxy").ok_or("haproxy is not installed")?.display().to_string();
    let argv = [haproxy, "-db".to_owned(), "-f".to_owned(), file.display().to_string()];
    Program::start(&argv, cores, Some(&dir.join("stderr.log")))
}
