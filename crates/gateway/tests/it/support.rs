//! A gateway in a temporary directory, instances behind it, and clients in front of it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use base::{Generation, InstanceId, ReleaseId, RolloutId, Time};
use bytes::Bytes;
use gateway::{Client, Limits, Options, Running};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use ports::{Address, Backend, Gateway as _, Instance, Route, SNAPSHOT_FORMAT, Snapshot};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// Ids that differ in every test.
pub fn number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn random(n: u32) -> [u8; 10] {
    let mut bytes = [0; 10];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    bytes
}

pub fn rollout() -> RolloutId {
    RolloutId::new(Time::from_micros(1), random(number()))
}

pub fn release() -> ReleaseId {
    ReleaseId::new(Time::from_micros(1), random(number()))
}

/// A gateway at work, with its directory.
pub struct Front {
    pub running: Option<Running>,
    pub dir: tempfile::TempDir,
    pub address: SocketAddr,
    pub client: Client,
    generation: i64,
}

impl Front {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn limited(change: impl FnOnce(&mut Limits)) -> Self {
        Self::with(|options| change(&mut options.limits)).await
    }

    pub async fn with(change: impl FnOnce(&mut Options)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self::within(dir, change).await
    }

    pub async fn within(dir: tempfile::TempDir, change: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options::new(dir.path());
        options.listen = vec!["127.0.0.1:0".parse().unwrap()];
        options.workers = 2;
        options.drain = Duration::from_secs(10);
        options.log.flush_every = Duration::from_millis(5);
        change(&mut options);
        let running = gateway::start(options).await.unwrap();
        let address = running.addresses()[0];
        let client = Client::new(dir.path());
        Self { running: Some(running), dir, address, client, generation: 0 }
    }

    /// Serves these routes as the next generation.
    pub async fn route(&mut self, routes: Vec<Route>) {
        self.generation += 1;
        let snapshot = Snapshot { format: SNAPSHOT_FORMAT, generation: Generation(self.generation), routes };
        self.client.apply(&snapshot).await.unwrap();
    }

    /// One route `app.localhost` to one instance.
    pub async fn one(&mut self, upstream: &Upstream) {
        self.route(vec![route("app", vec![backend(1, &[upstream])])]).await;
    }

    pub async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop().await;
        }
    }

    /// The lines of the access log once there are at least `count`.
    pub async fn log(&self, count: usize) -> Vec<serde_json::Value> {
        let path = self.dir.path().join("access.log");
        for _ in 0..500 {
            let text = std::fs::read_to_string(&path).unwrap();
            if text.lines().count() >= count {
                let mut lines: Vec<serde_json::Value> =
                    text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
                // Each worker writes its own lines: only their times say which came first.
                lines.sort_by(|a, b| a["time"].as_str().cmp(&b["time"].as_str()));
                return lines;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("not {count} lines: {}", std::fs::read_to_string(&path).unwrap());
    }

    /// A request on a connection of its own.
    pub async fn get(&self, host: &str, path: &str) -> Answer {
        raw(self.address, format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")).await
    }

    /// A connection for several requests.
    pub async fn connect(&self) -> Keep {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection.with_upgrades());
        Keep { sender }
    }
}

pub type AnyBody = BoxBody<Bytes, Infallible>;

pub fn full(text: impl Into<Bytes>) -> AnyBody {
    Full::new(text.into()).boxed()
}

/// A kept-alive client connection.
pub struct Keep {
    pub sender: hyper::client::conn::http1::SendRequest<AnyBody>,
}

impl Keep {
    pub async fn get(&mut self, path: &str) -> Result<(StatusCode, HeaderMap, String), hyper::Error> {
        self.send(Request::get(path).header("host", "app.localhost").body(full("")).unwrap()).await
    }

    pub async fn send(&mut self, request: Request<AnyBody>) -> Result<(StatusCode, HeaderMap, String), hyper::Error> {
        self.sender.ready().await?;
        let (head, body) = self.sender.send_request(request).await?.into_parts();
        let text = String::from_utf8_lossy(&body.collect().await?.to_bytes()).into_owned();
        Ok((head.status, head.headers, text))
    }
}

pub fn route(service: &str, backends: Vec<Backend>) -> Route {
    Route {
        service: service.parse().unwrap(),
        environment: "dev".parse().unwrap(),
        hosts: vec![format!("{service}.localhost").parse().unwrap()],
        backends,
    }
}

pub fn backend(weight: u16, upstreams: &[&Upstream]) -> Backend {
    let instances: Vec<_> = upstreams.iter().map(|u| (u.id, u.address)).collect();
    backend_at(weight, &instances)
}

pub fn backend_at(weight: u16, instances: &[(InstanceId, SocketAddr)]) -> Backend {
    let instances =
        instances.iter().map(|(id, address)| Instance { id: *id, address: Address::Tcp(*address) }).collect();
    Backend { rollout: rollout(), release: release(), weight, instances }
}

/// An answer as its bytes.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
    pub all: String,
}

impl Answer {
    pub fn read(bytes: &[u8]) -> Self {
        let all = String::from_utf8_lossy(bytes).into_owned();
        let (head, body) = all.split_once("\r\n\r\n").unwrap_or((&all, ""));
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
        Self { status, head: head.to_owned(), body: body.to_owned(), all: all.clone() }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        fields.into_iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v)
    }

    /// The body of a problem.
    pub fn problem(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.all))
    }

    /// How often a whole answer begins in what came back.
    pub fn statuses(&self) -> Vec<u16> {
        let mut out = Vec::new();
        let mut rest = self.all.as_str();
        while let Some(at) = rest.find("HTTP/1.1 ").or_else(|| rest.find("HTTP/1.0 ")) {
            out.push(rest[at + 9..at + 12].parse().unwrap());
            rest = &rest[at + 12..];
        }
        out
    }
}

/// Sends bytes as they are and reads until the end or until nothing comes for a while.
pub async fn raw(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let _ = stream.write_all(bytes.as_ref()).await;
    Answer::read(&read_all(&mut stream, Duration::from_secs(5)).await)
}

/// As [`raw`], for requests that do not ask for the connection to be closed.
pub async fn raw_open(address: SocketAddr, bytes: impl AsRef<[u8]>, quiet: Duration) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let _ = stream.write_all(bytes.as_ref()).await;
    Answer::read(&read_all(&mut stream, quiet).await)
}

pub async fn read_all(stream: &mut TcpStream, quiet: Duration) -> Vec<u8> {
    let mut out = Vec::new();
    let mut buffer = [0; 8192];
    while let Ok(Ok(n)) = tokio::time::timeout(quiet, stream.read(&mut buffer)).await {
        if n == 0 {
            break;
        }
        out.extend_from_slice(&buffer[..n]);
    }
    out
}

/// An instance: an HTTP/1.1 server of a few paths, which counts what it sees.
pub struct Upstream {
    pub id: InstanceId,
    pub address: SocketAddr,
    pub seen: Arc<AtomicU64>,
    /// Connections that it accepted.
    connections: Arc<AtomicU64>,
    /// Lets `/stream` go on.
    pub go: Arc<tokio::sync::Notify>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Upstream {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, go, stop) = (Arc::new(AtomicU64::new(0)), Arc::default(), CancellationToken::new());
        let connections = Arc::new(AtomicU64::new(0));
        let id = InstanceId::new(Time::from_micros(1), random(number()));
        let counts = [Arc::clone(&seen), Arc::clone(&connections)];
        let task = tokio::spawn(accept(listener, id, counts, Arc::clone(&go), stop.clone()));
        Self { id, address, seen, connections, go, stop, task }
    }

    pub fn seen(&self) -> u64 {
        self.seen.load(Ordering::SeqCst)
    }

    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::SeqCst)
    }

    /// Stops listening and ends its connections at once.
    pub async fn kill(mut self) {
        self.stop.cancel();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn accept(
    listener: TcpListener,
    id: InstanceId,
    [seen, connections]: [Arc<AtomicU64>; 2],
    go: Arc<tokio::sync::Notify>,
    stop: CancellationToken,
) {
    let mut tasks = tokio::task::JoinSet::new();
    while let Some(Ok((stream, _))) = stop.run_until_cancelled(listener.accept()).await {
        let (seen, go) = (Arc::clone(&seen), Arc::clone(&go));
        connections.fetch_add(1, Ordering::SeqCst);
        stream.set_nodelay(true).unwrap();
        let service = hyper::service::service_fn(move |request| {
            seen.fetch_add(1, Ordering::SeqCst);
            serve(request, id, Arc::clone(&go))
        });
        tasks.spawn(async move {
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades()
                .await;
        });
    }
    tasks.shutdown().await;
}

async fn serve(
    mut request: Request<Incoming>,
    id: InstanceId,
    go: Arc<tokio::sync::Notify>,
) -> Result<Response<AnyBody>, Infallible> {
    let path = request.uri().path().to_owned();
    let response = match path.as_str() {
        "/echo" => echo(request).await,
        "/id" => Response::new(full(id.to_string())),
        "/hang" => std::future::pending().await,
        "/slow" => {
            tokio::time::sleep(Duration::from_millis(100)).await;
            Response::new(full(id.to_string()))
        }
        "/stream" => stream(go),
        "/endless" => {
            let frames = futures_util::stream::repeat_with(|| Ok(Frame::data(Bytes::from(vec![b'x'; 65_536]))));
            Response::new(StreamBody::new(frames).boxed())
        }
        "/trailers" => trailers(),
        "/upgrade" => upgrade(&mut request),
        "/204" => Response::builder().status(204).body(full("")).unwrap(),
        "/304" => Response::builder().status(304).header("etag", "\"x\"").body(full("")).unwrap(),
        "/hop" => Response::builder()
            .header("connection", "x-private")
            .header("x-private", "1")
            .header("keep-alive", "timeout=9")
            .header("orlop-release", "forged")
            .body(full("hop"))
            .unwrap(),
        "/status/500" => Response::builder().status(500).body(full("mine")).unwrap(),
        _ => {
            let body = request.into_body().collect().await;
            Response::new(full(body.map(|b| b.to_bytes()).unwrap_or_default()))
        }
    };
    Ok(response)
}

/// What arrived, as JSON.
async fn echo(request: Request<Incoming>) -> Response<AnyBody> {
    let (head, body) = request.into_parts();
    let collected = body.collect().await.unwrap();
    let trailers: Vec<_> = collected.trailers().into_iter().flatten().map(pair).collect();
    let text = serde_json::json!({
        "method": head.method.as_str(),
        "target": head.uri.to_string(),
        "headers": head.headers.iter().map(pair).collect::<Vec<_>>(),
        "trailers": trailers,
        "body": String::from_utf8_lossy(&collected.to_bytes()),
    });
    Response::new(full(text.to_string()))
}

fn pair((name, value): (&http::HeaderName, &http::HeaderValue)) -> (String, String) {
    (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// One piece at once, the other when told.
fn stream(go: Arc<tokio::sync::Notify>) -> Response<AnyBody> {
    let frames = futures_util::stream::unfold(0, move |n| {
        let go = Arc::clone(&go);
        async move {
            let text = match n {
                0 => "first\n",
                1 => {
                    go.notified().await;
                    "second\n"
                }
                _ => return None,
            };
            Some((Ok(Frame::data(Bytes::from(text))), n + 1))
        }
    });
    Response::builder().header("content-type", "text/event-stream").body(StreamBody::new(frames).boxed()).unwrap()
}

fn trailers() -> Response<AnyBody> {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "42".parse().unwrap());
    let frames = [Ok(Frame::data(Bytes::from("body"))), Ok(Frame::trailers(trailers))];
    let body = StreamBody::new(futures_util::stream::iter(frames)).boxed();
    Response::builder().header("trailer", "x-sum").body(body).unwrap()
}

/// Switches to a protocol that sends back what it gets.
fn upgrade(request: &mut Request<Incoming>) -> Response<AnyBody> {
    let Some(protocol) = request.headers().get("upgrade").cloned() else {
        return Response::new(full("no upgrade asked"));
    };
    let on = hyper::upgrade::on(request);
    tokio::spawn(async move {
        let mut io = TokioIo::new(on.await.unwrap());
        let mut buffer = [0; 1024];
        while let Ok(n @ 1..) = io.read(&mut buffer).await {
            io.write_all(&buffer[..n]).await.unwrap();
        }
        let _ = io.shutdown().await;
    });
    Response::builder().status(101).header("connection", "upgrade").header("upgrade", protocol).body(full("")).unwrap()
}
