//! An API in which every text is hostile.

use std::sync::Mutex;

use async_trait::async_trait;
use axum::body::Body;
use base::{BuildId, Digest, InstanceId, JobId, ReleaseId, RolloutId, SourceId, Time, TokenId};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use portal::{Session, Transport};
use serde_json::{Value, json};

/// What others may write wherever they may write something.
pub(crate) const HOSTILE: &str =
    "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>\u{202e}\u{1b}[31m{{7*7}} href=\"javascript:alert(1)";

fn at(s: u64) -> Time {
    Time::from_micros(1_790_000_000_000_000).plus(std::time::Duration::from_secs(s))
}

pub(crate) fn rollout() -> RolloutId {
    RolloutId::new(at(1), [1; 10])
}

pub(crate) fn build() -> BuildId {
    BuildId::new(at(2), [2; 10])
}

fn release(n: u8) -> ReleaseId {
    ReleaseId::new(at(0), [n; 10])
}

fn page(items: Value) -> Value {
    json!({ "items": items, "next": null })
}

fn a_rollout() -> Value {
    json!({
        "rollout": rollout(), "service": "shop", "environment": "dev", "release": release(1), "number": 42, "cause": "deploy",
        "state": "verifying", "reason": HOSTILE, "evidence": [HOSTILE], "since": at(50), "next": HOSTILE, "deadline": at(90),
        "history": [{"state": "pending", "reason": HOSTILE, "at": at(40)}, {"state": "releasing", "reason": HOSTILE, "at": at(41)},
            {"state": "verifying", "reason": HOSTILE, "at": at(50)}],
        "settings": {"LOG_LEVEL": 3}, "created": at(40), "actor": "person:ada",
    })
}

fn a_build() -> Value {
    json!({
        "build": build(), "service": "shop", "environment": "dev", "source": SourceId::new(at(9), [4; 10]), "pushed": at(9),
        "commit": HOSTILE, "message": HOSTILE, "state": "running", "reason": HOSTILE, "recipe": HOSTILE, "evidence": [HOSTILE],
        "artifact": Digest::of(b"x"), "release": 42, "rollout": rollout(),
        "steps": [{"name": HOSTILE, "at": at(12), "tookMs": 12_300}, {"name": HOSTILE, "at": at(25)}], "created": at(10),
        "actor": "person:ada",
    })
}

fn a_release() -> Value {
    json!({
        "release": release(1), "number": 42, "service": "shop", "artifact": Digest::of(b"x"),
        "source": SourceId::new(at(9), [4; 10]), "commit": HOSTILE, "message": HOSTILE, "author": HOSTILE,
        "recipe": HOSTILE, "manifest": {"processes": [{"kind": HOSTILE}], "release": {}}, "created": at(1),
        "actor": "person:ada", "currentIn": ["dev"],
    })
}

fn standing(number: i64) -> Value {
    json!({"release": number, "commit": HOSTILE, "message": HOSTILE, "author": HOSTILE, "created": at(1), "since": at(2)})
}

fn setting(secret: bool) -> Value {
    json!({"name": "LOG_LEVEL", "service": "shop", "environment": "dev", "version": 3, "secret": secret, "removed": false,
        "value": if secret { Value::Null } else { HOSTILE.into() }, "created": at(1), "actor": "person:ada"})
}

fn settings() -> Value {
    json!([{"name": HOSTILE, "from": {"version": 3, "scope": HOSTILE}, "to": {"version": 1, "scope": "environment"}}])
}

fn needs() -> Value {
    json!([{"name": HOSTILE, "from": HOSTILE, "to": HOSTILE}])
}

fn status(service: &str) -> Value {
    let place = |environment: &str, release: i64| {
        json!({
            "environment": environment, "health": "degraded", "reason": HOSTILE, "since": at(5), "evidence": [HOSTILE],
            "next": HOSTILE, "deadline": at(90), "url": "http://shop-dev.localhost", "release": release, "ready": 1, "wanted": 2,
            "rollout": rollout(),
        })
    };
    json!({"service": service, "team": "pay", "environments": [place("dev", 42), place("prod", 40)]})
}

fn token() -> Value {
    json!({"token": TokenId::new(at(1), [3; 10]), "person": "ada", "kind": "session", "name": HOSTILE,
        "scopes": ["read", "deploy", "operate", "configure", "manage", "admin"], "services": [], "created": at(1)})
}

fn line() -> Value {
    json!({"at": at(20), "instance": InstanceId::new(at(1), [6; 10]), "process": "web", "stream": "err", "text": HOSTILE})
}

fn topology_needs() -> Value {
    json!([
        {"from": "shop", "name": "stock", "service": "till", "environments": ["dev"]},
        {"from": "till", "name": "mail", "external": HOSTILE, "environments": ["dev"]},
    ])
}

/// What the API answers to a call; `None`: there is no such thing.
fn answer(call: &str) -> Option<Value> {
    let (rollout_path, build_path) =
        (format!("/v1/services/shop/rollouts/{}", rollout()), format!("/v1/services/shop/builds/{}", build()));
    let (method, path) = call.split_once(' ')?;
    // The other service is as this one.
    let path = if method == "GET" { path.replace("/services/till/", "/services/shop/") } else { path.to_owned() };
    let path = path.as_str();
    if path == rollout_path || path == format!("{rollout_path}/cancel") {
        return Some(a_rollout());
    }
    if path == build_path || path == format!("{build_path}/cancel") {
        return Some(a_build());
    }
    let service =
        |name: &str| json!({"service": name, "team": "pay", "description": HOSTILE, "created": at(1), "version": 1});
    Some(match (method, path) {
        ("GET", "/v1/whoami") => json!({"person": "ada", "admin": true, "teams": {"pay": "owner"}, "token": token()}),
        ("GET", "/v1/teams") => {
            page(json!([{"team": "pay", "members": {"ada": "owner"}, "created": at(1), "version": 1}]))
        }
        ("GET", "/v1/services") => page(json!([service("shop"), service("till")])),
        ("GET", "/v1/services/shop") => service("shop"),
        ("GET", "/v1/services/till") => service("till"),
        ("POST", "/v1/teams/pay/services") => service("fresh"),
        ("GET", "/v1/status/counts") => json!({"services": 2, "places": {"down": 1, "healthy": 1}}),
        ("GET", "/v1/views") => page(json!([{"view": "mine", "query": {"search": HOSTILE}, "saved": at(1)}])),
        ("GET", "/v1/tokens") => page(json!([token()])),
        ("GET", "/v1/services/shop/access") => {
            json!({"team": "pay", "mine": [{"action": "read", "allowed": true, "why": HOSTILE}], "people": []})
        }
        ("GET", "/v1/status") => page(json!([status("shop"), status("till")])),
        ("GET", "/v1/services/shop/status") => status("shop"),
        ("GET", "/v1/services/shop/why") => {
            json!({"answer": HOSTILE, "because": [{"at": at(3), "actor": HOSTILE, "what": HOSTILE, "seq": 7}], "advice": [HOSTILE]})
        }
        ("GET", "/v1/templates") => page(json!([{"template": "web", "description": HOSTILE, "language": HOSTILE}])),
        ("POST", "/v1/templates/web/files") => {
            json!({"files": [{"path": "orlop.yaml", "content": "service: fresh\n", "executable": false}]})
        }
        ("GET", "/v1/services/fresh/releases" | "/v1/services/fresh/builds") => page(json!([])),
        ("GET", "/v1/services/fresh/status") => json!({"service": "fresh", "team": "pay", "environments": []}),
        ("GET", "/v1/services/shop/releases") => page(json!([a_release()])),
        ("POST", "/v1/services/fresh/sources") => {
            json!({"source": SourceId::new(at(9), [4; 10]), "service": "fresh", "environment": "dev", "build": build()})
        }
        ("POST", "/v1/tokens") => json!({"secret": "orlop_issued", "token": token()}),
        ("GET", "/v1/topology") => json!({
            "services": [{"service": "shop", "team": "pay", "environments": [{"environment": "dev", "health": "down"}]},
                {"service": "till", "team": "pay", "environments": [{"environment": "dev", "health": "healthy"}]}],
            "needs": topology_needs(),
        }),
        ("GET", "/v1/services/shop/impact" | "/v1/services/till/impact") => json!({
            "service": "shop", "answer": HOSTILE, "needs": topology_needs(),
            "dependents": [{"service": "till", "team": "pay", "distance": 1, "through": ["till", "shop"]}],
        }),
        ("GET", "/healthz" | "/readyz") => json!({"ok": true, "version": HOSTILE, "waitingFor": [HOSTILE]}),
        ("GET", "/v1/doctor") => page(json!([
            {"name": "engine.memory-limit", "verdict": "limited", "found": HOSTILE, "fix": HOSTILE},
            {"name": "database", "verdict": "ok", "found": HOSTILE},
        ])),
        ("GET", "/v1/platform") => json!({
            "version": HOSTILE, "started": at(1), "database": HOSTILE, "api": HOSTILE, "gateway": HOSTILE, "domain": HOSTILE,
            "reconcilers": [{"name": HOSTILE, "runs": 9, "failures": 1, "lastRun": at(9), "lastTookUs": 1500, "lastError": HOSTILE, "status": {}},
                {"name": "calm", "runs": 1, "failures": 0, "lastTookUs": 1, "status": {"said": HOSTILE}}],
            "jobs": [{"job": JobId::new(at(9), [7; 10]), "kind": HOSTILE, "state": HOSTILE, "attempts": 1, "error": HOSTILE}],
        }),
        _ => return delivered(method, path),
    })
}

/// The same, of environments, releases and rollouts.
fn delivered(method: &str, path: &str) -> Option<Value> {
    Some(match (method, path) {
        ("GET", "/v1/environments") => {
            page(json!([{"environment": "dev", "order": 1}, {"environment": "prod", "order": 2}]))
        }
        ("GET", "/v1/environments/prod/comparison") => page(json!([
            {"service": "shop", "team": "pay", "from": standing(42), "to": standing(40), "ahead": [standing(42)], "behind": 2,
                "settings": settings(), "needs": needs(), "rollout": rollout()},
            {"service": "till", "team": "pay", "from": standing(1), "ahead": [], "behind": 0, "settings": [], "needs": []},
        ])),
        ("GET", "/v1/services/shop/setting-comparison" | "/v1/services/till/setting-comparison") => page(json!([
            {"name": "LOG_LEVEL", "verdict": "different", "from": setting(false), "to": setting(false)},
            {"name": "STRIPE_KEY", "verdict": "own", "from": setting(true), "to": setting(true)},
        ])),
        ("GET", "/v1/services/shop/rollout-plan" | "/v1/services/till/rollout-plan") => json!({
            "service": "shop", "environment": "prod", "cause": "promotion", "to": standing(42), "now": standing(40),
            "settings": settings(), "needs": needs(), "steps": [HOSTILE], "supersedes": rollout(),
        }),
        ("GET", "/v1/services/shop/rollouts") => page(json!([a_rollout()])),
        ("POST", "/v1/services/shop/rollouts" | "/v1/services/till/rollouts") => a_rollout(),
        ("GET", "/v1/services/shop/builds") => page(json!([a_build()])),
        ("GET", "/v1/services/shop/releases/42") => a_release(),
        ("GET", "/v1/services/shop/routes") => page(json!([{
            "service": "shop", "environment": "dev", "url": "http://shop-dev.localhost", "hosts": ["shop-dev.localhost"],
            "shares": [{"release": release(1), "percent": 100, "instances": 2, "probe": HOSTILE},
                {"release": release(2), "percent": 0, "instances": 1, "probe": HOSTILE}],
            "problem": HOSTILE, "since": at(1),
        }])),
        ("GET", "/v1/services/shop/instances") => page(json!([])),
        ("GET", "/v1/runs") => page(json!([
            {"kind": "build", "service": "shop", "environment": "dev", "build": build(), "state": "failed", "reason": HOSTILE,
                "steps": [{"name": HOSTILE, "at": at(12), "tookMs": 5}], "created": at(10), "ended": at(15), "actor": "person:ada"},
            {"kind": "release", "service": "shop", "environment": "dev", "rollout": rollout(), "state": "running", "reason": HOSTILE,
                "steps": [{"name": HOSTILE, "at": at(12)}], "created": at(10), "actor": "person:ada"},
        ])),
        _ => return None,
    })
}

/// The API, and what was sent to it.
#[derive(Default)]
pub(crate) struct World {
    sent: Mutex<Vec<(String, Value)>>,
}

impl World {
    /// Calls that change something, in their order.
    pub(crate) fn sent(&self) -> Vec<(String, Value)> {
        self.sent.lock().expect("no panic").clone()
    }
}

#[async_trait]
impl Transport for World {
    async fn send(&self, session: Option<Session>, request: Request<Body>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let call = format!("{} {}", head.method, head.uri.path());
        if session.is_none() {
            return reply(StatusCode::NOT_FOUND, "application/json", "{}".to_owned());
        }
        if head.method != http::Method::GET && !call.contains("/templates/") || call.contains("/files") {
            let bytes = body.collect().await.expect("a whole body").to_bytes();
            let value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
            self.sent.lock().expect("no panic").push((format!("{} {}", head.method, head.uri), value));
        }
        if call.ends_with("/log") || call.ends_with("/logs") {
            let events = format!("id: 1\ndata: {}\n\n", line());
            return reply(StatusCode::OK, "text/event-stream", events);
        }
        match answer(&call) {
            Some(value) => reply(StatusCode::OK, "application/json", value.to_string()),
            None => {
                let problem = json!({"type": "/help/errors/x", "title": "Not found", "status": 404, "detail": format!("{call} is not in this world"), "code": "not-in-this-world"});
                reply(StatusCode::NOT_FOUND, "application/problem+json", problem.to_string())
            }
        }
    }
}

fn reply(status: StatusCode, kind: &str, text: String) -> Response<Body> {
    Response::builder().status(status).header("content-type", kind).body(Body::from(text)).expect("a response")
}
