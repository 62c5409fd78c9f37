use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use futures_util::stream;
use serde_json::Value;
use tokio::sync::oneshot;

/// One answer of the server.
#[derive(Clone)]
pub struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
    /// What becomes of the connection after the body.
    after: After,
}

#[derive(Clone, Copy, PartialEq)]
enum After {
    End,
    Break,
    Hang,
}

impl Answer {
    fn new(status: u16, kind: &str, body: String) -> Self {
        Self { status, headers: vec![("content-type", kind.to_owned())], body, after: After::End }
    }

    pub fn json(value: Value) -> Self {
        Self::new(200, "application/json", value.to_string())
    }

    pub fn problem(status: u16, code: &str, detail: &str, hint: Option<&str>) -> Self {
        let body = serde_json::json!({"type": format!("/problems/{code}"), "title": "…", "status": status, "detail": detail, "code": code, "hint": hint});
        Self::new(status, "application/problem+json", body.to_string())
    }

    pub fn text(status: u16, body: &str) -> Self {
        Self::new(status, "text/html", body.to_owned())
    }

    /// Events with ids that count from `first`.
    pub fn events(first: usize, events: &[Value]) -> Self {
        let body = events.iter().enumerate().map(|(i, e)| format!("id: {}\ndata: {e}\n\n", first + i)).collect();
        Self::new(200, "text/event-stream", body)
    }

    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// The connection breaks behind the body.
    pub fn breaks(mut self) -> Self {
        self.after = After::Break;
        self
    }

    /// The connection stays open and silent behind the body.
    pub fn hangs(mut self) -> Self {
        self.after = After::Hang;
        self
    }

    fn response(self) -> Response {
        let mut response = Response::builder().status(StatusCode::from_u16(self.status).unwrap());
        for (name, value) in &self.headers {
            response = response.header(*name, value);
        }
        let first = Ok::<_, std::io::Error>(Bytes::from(self.body));
        let after = self.after;
        let pieces = stream::unfold((Some(first), after), |(first, after)| async move {
            match (first, after) {
                (Some(first), _) => Some((first, (None, after))),
                (None, After::End) => None,
                (None, After::Break) => {
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                    Some((Err(std::io::Error::other("broken")), (None, After::End)))
                }
                (None, After::Hang) => std::future::pending().await,
            }
        });
        response.body(Body::from_stream(pieces)).unwrap()
    }
}

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    /// `GET /v1/whoami?x=1`
    pub line: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

#[derive(Default)]
struct State {
    answers: HashMap<String, VecDeque<Answer>>,
    seen: Vec<Seen>,
}

/// A server on a port of its own. It ends with the value.
pub struct Server {
    pub url: String,
    state: Arc<Mutex<State>>,
    _stop: oneshot::Sender<()>,
}

impl Server {
    pub fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                let app = axum::Router::new().fallback(move |request: Request| answer(Arc::clone(&shared), request));
                tokio::select! {
                    ended = async { axum::serve(listener, app).await } => ended.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        Self { url, state, _stop: stop }
    }

    /// Answers requests to `route` (`GET /v1/whoami`); the last answer for ever.
    pub fn on(&self, route: &str, answers: impl IntoIterator<Item = Answer>) -> &Self {
        self.state.lock().unwrap().answers.insert(route.to_owned(), answers.into_iter().collect());
        self
    }

    pub fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.state.lock().unwrap().seen)
    }

    /// The seen requests to a route.
    pub fn seen(&self, route: &str) -> Vec<Seen> {
        let seen = &self.state.lock().unwrap().seen;
        seen.iter().filter(|s| s.line.split('?').next() == Some(route)).cloned().collect()
    }
}

async fn answer(state: Arc<Mutex<State>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 64 << 20).await.unwrap_or_default().to_vec();
    let route = format!("{} {}", parts.method, parts.uri.path());
    let line = format!("{} {}", parts.method, parts.uri);
    let mut state = state.lock().unwrap();
    state.seen.push(Seen { line, headers: parts.headers, body });
    let answer = match state.answers.get_mut(&route) {
        Some(answers) if answers.len() > 1 => answers.pop_front(),
        Some(answers) => answers.front().cloned(),
        None => None,
    };
    answer
        .unwrap_or_else(|| Answer::problem(404, "no-answer", &format!("nothing is told for {route}"), None))
        .response()
}
