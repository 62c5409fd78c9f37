//! Four back ends that tell what reaches them: hyper, Node, Python and nginx.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde_json::Value;

/// One request that a back end saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub method: String,
    /// Without the query.
    pub path: String,
    /// Bytes of its body; `None` until the body has come to its end.
    pub bytes: Option<u64>,
}

/// A request that the back end could not read.
const UNREADABLE: &str = "unreadable";

/// A back end and what it saw so far.
pub struct Backend {
    pub name: &'static str,
    pub address: SocketAddr,
    seen: Source,
    _life: Life,
}

enum Source {
    /// Filled while requests arrive.
    Memory(Arc<Mutex<Vec<Seen>>>),
    /// Read from a log that is written when requests end.
    Log(Mutex<(Tail, Vec<Seen>)>),
}

enum Life {
    Task(tokio::task::JoinHandle<()>),
    Process(Child, #[expect(dead_code, reason = "it is removed when this is dropped")] Option<tempfile::TempDir>),
}

impl Drop for Life {
    fn drop(&mut self) {
        match self {
            Self::Task(task) => task.abort(),
            Self::Process(child, _) => {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}

impl Backend {
    /// What it saw since its start, in the order of arrival.
    pub fn seen(&self) -> Vec<Seen> {
        match &self.seen {
            Source::Memory(seen) => seen.lock().unwrap().clone(),
            Source::Log(log) => {
                let (tail, seen) = &mut *log.lock().unwrap();
                seen.extend(tail.lines().iter().map(|line| of_nginx(line)));
                seen.clone()
            }
        }
    }

    /// Whether it tells of a request as soon as its head is there.
    pub fn tells_heads(&self) -> bool {
        matches!(self.seen, Source::Memory(_))
    }

    pub async fn hyper() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let all = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let mut tasks = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let seen = Arc::clone(&all);
                let service = hyper::service::service_fn(move |request| answer(request, Arc::clone(&seen)));
                stream.set_nodelay(true).unwrap();
                tasks.spawn(async move {
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { name: "hyper", address, seen: Source::Memory(seen), _life: Life::Task(task) }
    }

    /// `None` where the machine has no Node.
    pub fn node() -> Option<Self> {
        Self::program("node", "node", "node.js")
    }

    /// `None` where the machine has no Python.
    pub fn python() -> Option<Self> {
        Self::program("python", "python3", "python.py")
    }

    fn program(name: &'static str, program: &str, script: &str) -> Option<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile/programs").join(script);
        let mut child = start(program, &[script.to_str().unwrap()]).ok()?;
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first: Value = serde_json::from_str(&lines.next()?.ok()?).unwrap();
        let port = u16::try_from(first["listen"].as_u64().unwrap()).unwrap();
        let all = Arc::clone(&seen);
        std::thread::spawn(move || {
            let mut places = BTreeMap::new();
            for line in lines.map_while(Result::ok) {
                note(&serde_json::from_str(&line).unwrap(), &mut all.lock().unwrap(), &mut places);
            }
        });
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        Some(Self { name, address, seen: Source::Memory(seen), _life: Life::Process(child, None) })
    }

    /// `None` where the machine has no nginx.
    pub async fn nginx() -> Option<Self> {
        let program = ["/usr/sbin/nginx", "/usr/local/sbin/nginx"].into_iter().find(|p| Path::new(p).exists())?;
        // A port that was free a moment ago may be taken by now: then another one.
        for _ in 0..10 {
            let dir = tempfile::tempdir().unwrap();
            let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let text = include_str!("programs/nginx.conf").replace("DIR", dir.path().to_str().unwrap());
            let file = dir.path().join("nginx.conf");
            std::fs::write(&file, text.replace("PORT", &address.port().to_string())).unwrap();
            let (prefix, file) = (format!("{}/", dir.path().display()), file.to_str().unwrap().to_owned());
            let errors = dir.path().join("error.log");
            let child = start(program, &["-p", &prefix, "-e", errors.to_str().unwrap(), "-c", &file]).ok()?;
            let log = Mutex::new((Tail::new(dir.path().join("seen.log")), Vec::new()));
            let mut made =
                Self { name: "nginx", address, seen: Source::Log(log), _life: Life::Process(child, Some(dir)) };
            if made.answers().await {
                return Some(made);
            }
        }
        None
    }

    /// Waits until it accepts connections; `false` where its process has ended.
    async fn answers(&mut self) -> bool {
        for _ in 0..500 {
            if let Life::Process(child, _) = &mut self._life
                && child.try_wait().unwrap().is_some()
            {
                return false;
            }
            if tokio::net::TcpStream::connect(self.address).await.is_ok() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        false
    }
}

#[expect(clippy::disallowed_methods, reason = "back ends that are not of this house are programs")]
fn start(program: &str, arguments: &[&str]) -> std::io::Result<Child> {
    Command::new(program).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()
}

/// Notes a line of Node or Python. `places` maps their numbers to places in the list.
fn note(line: &Value, seen: &mut Vec<Seen>, places: &mut BTreeMap<u64, usize>) {
    match (line["id"].as_u64(), line["bytes"].as_u64()) {
        (Some(id), Some(bytes)) => seen[places[&id]].bytes = Some(bytes),
        (Some(id), None) => {
            places.insert(id, seen.len());
            seen.push(seen_of(line["method"].as_str().unwrap(), line["path"].as_str().unwrap(), None));
        }
        (None, _) => seen.push(seen_of(UNREADABLE, &line["bad"].to_string(), None)),
    }
}

fn of_nginx(line: &str) -> Seen {
    let line: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    let text = |name: &str| line[name].as_str().unwrap_or("").to_owned();
    match text("method").as_str() {
        "" => seen_of(UNREADABLE, &line["status"].to_string(), None),
        method => seen_of(method, &text("path"), text("bytes").parse().ok()),
    }
}

fn seen_of(method: &str, target: &str, bytes: Option<u64>) -> Seen {
    let path = target.split('?').next().unwrap_or("");
    Seen { method: method.to_owned(), path: path.to_owned(), bytes }
}

async fn answer(
    request: http::Request<hyper::body::Incoming>,
    all: Arc<Mutex<Vec<Seen>>>,
) -> Result<http::Response<Full<bytes::Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let place = {
        let mut all = all.lock().unwrap();
        all.push(seen_of(head.method.as_str(), &head.uri.to_string(), None));
        all.len() - 1
    };
    let bytes = body.collect().await?.to_bytes().len() as u64;
    all.lock().unwrap()[place].bytes = Some(bytes);
    Ok::<_, Infallible>(http::Response::new(Full::from(format!("{} {} {bytes}", head.method, head.uri))))
        .map_err(|never| match never {})
}

/// Reads the new lines of a file that grows.
pub struct Tail {
    path: PathBuf,
    file: Option<std::fs::File>,
    rest: Vec<u8>,
}

impl Tail {
    pub fn new(path: PathBuf) -> Self {
        Self { path, file: None, rest: Vec::new() }
    }

    /// The lines that were finished since the last call.
    pub fn lines(&mut self) -> Vec<String> {
        use std::io::Read as _;
        if self.file.is_none() {
            self.file = std::fs::File::open(&self.path).ok();
        }
        if let Some(file) = &mut self.file {
            file.read_to_end(&mut self.rest).unwrap();
        }
        let end = self.rest.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        let whole: Vec<u8> = self.rest.drain(..end).collect();
        String::from_utf8_lossy(&whole).lines().map(str::to_owned).collect()
    }
}
