//! Visitors of one host, of every kind, who never stop asking and note what was not as promised.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base::{Problem, Result};
use e2e::Client;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::websocket::Socket;

/// Between two requests of one visitor.
const PAUSE: Duration = Duration::from_millis(20);
/// No single answer takes longer.
const ANSWER: Duration = Duration::from_secs(30);

/// How a visitor asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Many requests on one connection.
    KeepAlive,
    /// Each request on a connection of its own.
    NewConnection,
    /// Answers that take two seconds.
    Streaming,
    /// One connection that stays.
    WebSocket,
}

/// What was seen.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Answers by kind.
    pub answers: BTreeMap<Kind, u64>,
    /// What went wrong.
    pub failures: Vec<String>,
    /// The release that the gateway named, with the text that came: each pair that was seen.
    pub pairs: BTreeSet<(String, String)>,
    /// WebSockets that were closed with the status of a service that goes away.
    pub farewells: u64,
}

/// Visitors at work; they leave when this is dropped.
pub struct Load {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
    tasks: Vec<JoinHandle<()>>,
}

#[derive(Clone)]
struct Visitor {
    gateway: String,
    host: String,
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
}

impl Load {
    /// Visitors of these kinds begin.
    pub fn begin(client: &Client, host: &str, kinds: &[Kind]) -> Self {
        let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Seen::default())));
        let visitor = Visitor {
            gateway: client.gateway().trim_start_matches("http://").to_owned(),
            host: host.to_owned(),
            stop: Arc::clone(&stop),
            seen: Arc::clone(&seen),
        };
        let tasks = kinds.iter().map(|kind| tokio::spawn(visitor.clone().visit(*kind))).collect();
        Self { stop, seen, tasks }
    }

    /// What was seen so far.
    pub fn seen(&self) -> Seen {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until each kind has had so many more answers.
    pub async fn more(&self, count: u64) -> Result<()> {
        let before = self.seen().answers;
        let enough = async || {
            let now = self.seen().answers;
            !now.is_empty() && now.iter().all(|(kind, n)| *n >= before.get(kind).copied().unwrap_or(0) + count)
        };
        let waited = crate::until("visitors get answers", enough).await;
        waited.map(drop).map_err(|problem| self.seen().all_well().err().unwrap_or(problem))
    }

    /// They finish what they are at and leave.
    pub async fn end(mut self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks.drain(..) {
            let _ = task.await;
        }
        self.seen()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Seen {
    /// Nothing went wrong, and something went well.
    pub fn all_well(&self) -> Result<()> {
        if self.failures.is_empty() && self.answers.values().all(|n| *n > 0) && !self.answers.is_empty() {
            return Ok(());
        }
        let some: Vec<_> = self.failures.iter().take(5).collect();
        Err(Problem::internal(
            "visitors-unhappy",
            format!("{} failures: {some:?}; {:?}", self.failures.len(), self.answers),
        ))
    }
}

impl Visitor {
    async fn visit(self, kind: Kind) {
        let client = reqwest::Client::builder().no_proxy().timeout(ANSWER).build().expect("a client");
        while !self.stop.load(Ordering::Relaxed) {
            let outcome = match kind {
                Kind::KeepAlive => self.ask(&client, "/").await.map(|pair| self.note(kind, pair)),
                Kind::NewConnection => self.ask_alone().await.map(|pair| self.note(kind, pair)),
                Kind::Streaming => self.stream(&client).await.map(|pair| self.note(kind, pair)),
                Kind::WebSocket => self.talk().await,
            };
            if let Err(why) = outcome {
                self.fail(format!("{kind:?}: {why}"));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn note(&self, kind: Kind, pair: (String, String)) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        *seen.answers.entry(kind).or_default() += 1;
        seen.pairs.insert(pair);
    }

    fn fail(&self, why: String) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).failures.push(why);
    }

    /// Release and text of an answer with a good status.
    async fn ask(&self, client: &reqwest::Client, path: &str) -> std::result::Result<(String, String), String> {
        let request = client.get(format!("http://{}{path}", self.gateway)).header("host", &self.host);
        let answer = request.send().await.map_err(|e| format!("{e:?}"))?;
        let status = answer.status();
        let release =
            answer.headers().get("orlop-release").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        let text = answer.text().await.map_err(|e| format!("broken off: {e:?}"))?;
        match status.as_u16() {
            200 => Ok((release, text)),
            status => Err(format!("{status} {text}")),
        }
    }

    async fn stream(&self, client: &reqwest::Client) -> std::result::Result<(String, String), String> {
        let (release, text) = self.ask(client, "/stream").await?;
        let lines: BTreeSet<&str> = text.lines().filter(|line| *line != "end").collect();
        match (text.ends_with("end\n"), lines.first()) {
            (true, Some(mark)) if lines.len() == 1 => Ok((release, (*mark).to_owned())),
            _ => Err(format!("a stream is not whole or mixed: {text:?}")),
        }
    }

    async fn ask_alone(&self) -> std::result::Result<(String, String), String> {
        let asked = async {
            let mut stream = TcpStream::connect(&self.gateway).await?;
            let head = format!("GET / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.host);
            stream.write_all(head.as_bytes()).await?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await?;
            Ok::<_, std::io::Error>(String::from_utf8_lossy(&answer).into_owned())
        };
        let answer = tokio::time::timeout(ANSWER, asked).await.map_err(|_| "no answer")?.map_err(|e| e.to_string())?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| format!("no answer: {answer:?}"))?;
        if !head.starts_with("HTTP/1.1 200") {
            return Err(answer.clone());
        }
        let release = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("orlop-release:").map(|v| v.trim().to_owned()));
        Ok((release.unwrap_or_default(), body.to_owned()))
    }

    /// One WebSocket, until it is closed as it may be: with the status of a service that goes away.
    async fn talk(&self) -> std::result::Result<(), String> {
        let mut socket = Socket::open(&self.gateway, &self.host, "/ws").await?;
        let release = socket.release.clone();
        for n in 0_u32.. {
            if self.stop.load(Ordering::Relaxed) {
                return socket.leave().await;
            }
            match socket.echo(&n.to_string()).await? {
                Some(text) => {
                    let mark = text.strip_suffix(&format!(" {n}")).ok_or_else(|| format!("a wrong echo: {text:?}"))?;
                    self.note(Kind::WebSocket, (release.clone(), mark.to_owned()));
                }
                None => {
                    self.seen.lock().unwrap_or_else(PoisonError::into_inner).farewells += 1;
                    return Ok(());
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }
}
