//! A world with one service, `shop`, that every command can ask about.

use base::{BuildId, Digest, InstanceId, JobId, ReleaseId, RolloutId, SourceId, Time, TokenId};
use serde_json::{Value, json};

use super::host::NOW;
use super::{Answer, Server};

/// So many seconds ago.
pub fn ago(s: u64) -> Time {
    NOW.minus(std::time::Duration::from_secs(s))
}

pub fn rollout_id() -> RolloutId {
    RolloutId::new(ago(60), [1; 10])
}

pub fn build_id() -> BuildId {
    BuildId::new(ago(90), [2; 10])
}

pub fn token_id() -> TokenId {
    TokenId::new(ago(900), [3; 10])
}

pub fn source_id() -> SourceId {
    SourceId::new(ago(91), [4; 10])
}

pub fn release_id() -> ReleaseId {
    ReleaseId::new(ago(70), [5; 10])
}

fn page(items: Value) -> Value {
    json!({ "items": items })
}

pub fn rollout(state: &str, reason: &str, ended: bool) -> Value {
    json!({
        "rollout": rollout_id(), "service": "shop", "environment": "dev", "release": release_id(), "number": 42,
        "cause": "rollback", "state": state, "reason": reason, "evidence": ["GET /healthz answered 200"],
        "since": ago(50), "next": if ended { "" } else { "traffic moves when instances are ready" },
        "deadline": if ended { Value::Null } else { json!(NOW.plus(std::time::Duration::from_secs(60))) },
        "history": [{"state": "pending", "reason": "accepted", "at": ago(60)}, {"state": "starting", "reason": "1 of 2 ready", "at": ago(55)}],
        "settings": {"LOG_LEVEL": 3}, "created": ago(60), "ended": if ended { json!(ago(40)) } else { Value::Null },
        "actor": "person:ada",
    })
}

pub fn build(state: &str) -> Value {
    json!({
        "build": build_id(), "service": "shop", "environment": "dev", "source": source_id(), "commit": "0123456789abcdef0123456789abcdef01234567",
        "state": state, "reason": "made an artifact", "recipe": "rust", "evidence": ["Cargo.toml"],
        "artifact": Digest::of(b"x"), "release": 42, "steps": [{"name": "cargo build", "tookMs": 12_300}, {"name": "package"}],
        "created": ago(90), "ended": ago(75), "actor": "person:ada",
    })
}

fn release() -> Value {
    json!({
        "release": release_id(), "number": 42, "service": "shop", "artifact": Digest::of(b"x"), "source": source_id(),
        "commit": "0123456789abcdef0123456789abcdef01234567", "message": "Raise the limit", "author": "Ada <ada@example.org>",
        "recipe": "rust", "manifest": {"kind": "web"}, "created": ago(70), "actor": "person:ada", "currentIn": ["dev"],
    })
}

fn counted(requests: u64) -> Value {
    let latency = |above: u64, at_most: u64| {
        if requests > 0 { json!({"aboveMs": above, "atMostMs": at_most}) } else { Value::Null }
    };
    json!({"requests": requests, "ok": requests - requests / 50, "clientErrors": 0, "serverErrors": requests / 50, "gatewayErrors": 0,
        "p50": latency(1, 2), "p90": latency(2, 5), "p99": if requests > 0 { json!({"aboveMs": 5000}) } else { Value::Null }, "bytesIn": requests * 100, "bytesOut": requests * 4096})
}

/// Three steps, the second of which nobody looked at.
fn metrics() -> Value {
    let points = [counted(150), counted(0), counted(450)];
    json!({"service": "shop", "start": ago(90), "stepMs": 30_000, "observedMs": [30_000, 0, 30_000], "seen": ago(2),
        "environments": [{"environment": "dev", "total": counted(600), "points": points,
            "releases": [{"release": release_id(), "total": counted(600), "points": points}],
            "instances": [{"instance": InstanceId::new(ago(80), [6; 10]), "process": "web", "release": release_id(),
                "points": [{"observedMs": 30_000, "cpuUs": 1_500_000, "memory": "24Mi"}, {"observedMs": 0, "cpuUs": 0}, {"observedMs": 30_000, "cpuUs": 600_000, "memory": "32Mi"}]}]},
            {"environment": "prod", "total": counted(0), "points": [counted(0), counted(0), counted(0)], "releases": [], "instances": []}]})
}

pub fn service() -> Value {
    json!({"service": "shop", "team": "payments", "description": "Sells things", "created": ago(86_400), "version": 3})
}

fn team() -> Value {
    json!({"team": "payments", "members": {"ada": "owner", "bob": "developer"}, "created": ago(900_000), "version": 2})
}

fn token() -> Value {
    json!({"token": token_id(), "person": "ada", "name": "command line on workbench", "scopes": ["read", "deploy"], "services": [], "created": ago(900), "expires": NOW.plus(std::time::Duration::from_secs(864_000))})
}

pub fn issued() -> Value {
    json!({"secret": "orlop_issued_token", "token": token()})
}

pub fn me(teams: Value) -> Value {
    json!({"person": "ada", "admin": false, "teams": teams, "token": token()})
}

fn setting(name: &str, secret: bool) -> Value {
    json!({"name": name, "service": "shop", "environment": "dev", "version": 3, "secret": secret, "removed": false,
        "value": if secret { Value::Null } else { json!("debug") }, "created": ago(7200), "actor": "person:ada"})
}

fn audit() -> Value {
    json!({"seq": 1200, "kind": "deliver.rollout", "subject": "shop/dev", "generation": 7, "actor": "platform:deliver.rollout", "at": ago(50), "body": {}, "hash": "abc"})
}

fn status() -> Value {
    json!({"service": "shop", "team": "payments", "environments": [
        {"environment": "dev", "health": "healthy", "reason": "2 of 2 instances answer", "since": ago(50), "evidence": ["GET / answered 200 through the gateway"],
         "next": "probed again", "deadline": NOW.plus(std::time::Duration::from_secs(5)), "url": "http://shop-dev.localhost:8080", "release": 42, "ready": 2, "wanted": 2, "rollout": rollout_id()}]})
}

pub fn line(text: &str) -> Value {
    json!({"at": ago(80), "instance": InstanceId::new(ago(80), [6; 10]), "process": "web", "stream": "out", "text": text})
}

pub fn deploy() -> Value {
    json!({"source": source_id(), "service": "shop", "environment": "dev", "build": build_id(), "lastTookMs": 18_000})
}

pub fn stage(stage: &str, text: &str, at: Time) -> Value {
    json!({"kind": "stage", "stage": stage, "text": text, "at": at})
}

pub fn progress_line(text: &str) -> Value {
    json!({"kind": "line", "text": text, "at": ago(80)})
}

pub fn done(ok: bool, text: &str) -> Value {
    let url = if ok { json!("http://shop-dev.localhost:8080") } else { Value::Null };
    json!({"kind": "done", "ok": ok, "text": text, "evidence": ["GET / answered 200 through the gateway"], "url": url,
        "release": if ok { json!(42) } else { Value::Null }, "serving": 41, "rollout": rollout_id(), "tookMs": 14_100, "at": ago(60)})
}

/// Who can do what.
fn rights() -> Value {
    json!({
        "team": "payments",
        "mine": [{"action": "read", "allowed": true, "why": "viewer of team `payments`"},
            {"action": "deploy", "allowed": false, "why": "your role in team `payments` is viewer, which does not allow `deploy`"}],
        "people": [{"person": "ada", "why": "owner of team `payments`", "role": "owner", "actions": ["read", "deploy", "operate", "configure", "manage"]}],
    })
}

/// Answers for every endpoint.
pub fn tell(server: &Server) {
    let on = |route: &str, value: Value| {
        server.on(route, [Answer::json(value)]);
    };
    on("GET /v1/whoami", me(json!({"payments": "owner"})));
    on("POST /v1/sign-in", issued());
    views(server);
    on("GET /v1/teams", json!({"items": [team()], "next": "page-2"}));
    for route in [
        "POST /v1/teams",
        "GET /v1/teams/payments",
        "PUT /v1/teams/payments/members/ada",
        "DELETE /v1/teams/payments/members/ada",
    ] {
        on(route, team());
    }
    on(
        "GET /v1/people",
        page(json!([{"person": "ada", "admin": true, "created": ago(900), "teams": {"payments": "owner"}}])),
    );
    on("POST /v1/people", json!({"person": "ada", "admin": false, "created": ago(0), "teams": {}}));
    on(
        "POST /v1/people/ada/sign-in",
        json!({"code": "one-time", "expires": NOW.plus(std::time::Duration::from_secs(600))}),
    );
    on("GET /v1/tokens", page(json!([token()])));
    on("POST /v1/tokens", issued());
    for route in [
        "DELETE /v1/teams/payments".to_owned(),
        "DELETE /v1/people/ada".to_owned(),
        format!("DELETE /v1/tokens/{}", token_id()),
        "DELETE /v1/services/shop/settings/LOG_LEVEL".to_owned(),
    ] {
        on(&route, json!({}));
    }
    on("GET /v1/services/shop/settings", page(json!([setting("LOG_LEVEL", false), setting("STRIPE_KEY", true)])));
    on("PUT /v1/services/shop/settings/LOG_LEVEL", setting("LOG_LEVEL", false));
    on("POST /v1/services/shop/settings/LOG_LEVEL/restore", setting("LOG_LEVEL", false));
    on("GET /v1/services/shop/access", rights());
    on("GET /v1/teams/payments/access", rights());
    on("PUT /v1/services/shop/settings/STRIPE_KEY", setting("STRIPE_KEY", true));
    on("GET /v1/services/shop/settings/LOG_LEVEL/versions", page(json!([setting("LOG_LEVEL", false)])));
    on("GET /v1/settings", page(json!([setting("SMTP_HOST", false)])));
    on("PUT /v1/settings/SMTP_HOST", setting("SMTP_HOST", false));
    on("GET /v1/audit", page(json!([audit()])));
    on("GET /v1/audit/verification", json!({"ok": true, "checked": 1200}));
    on("GET /v1/services/shop/activity", page(json!([audit()])));
    server.on("GET /v1/events", [Answer::events(1200, &[audit()]).hangs()]);
    on("GET /v1/services", page(json!([service()])));
    on("GET /v1/services/shop", service());
    on("PATCH /v1/services/shop", service());
    on("DELETE /v1/services/shop", service());
    on("POST /v1/services/shop/restore", service());
    on("POST /v1/teams/payments/services", service());
    on("GET /v1/status", page(json!([status(), {"service": "till", "team": "payments", "environments": []}])));
    on("GET /v1/services/shop/status", status());
    on(
        "GET /v1/services/shop/why",
        json!({"answer": "shop is healthy in dev", "because": [{"at": ago(50), "actor": "platform:route", "what": "all traffic at release 42", "seq": 1200}], "advice": ["orlop status shop"]}),
    );
    on(
        "GET /v1/templates",
        page(json!([{"template": "rust-web", "description": "A web service", "language": "rust"}])),
    );
    on(
        "POST /v1/templates/rust-web/files",
        json!({"files": [{"path": "src/main.rs", "content": "fn main() {}\n", "executable": false}, {"path": "run", "content": "#!/bin/sh\n", "executable": true}]}),
    );
    deliver(server);
}

fn views(server: &Server) {
    let view = json!({"view": "payments-down", "query": {"team": "payments", "health": "down"}, "saved": ago(80)});
    server.on("GET /v1/views", [Answer::json(page(json!([view])))]);
    server.on("PUT /v1/views/payments-down", [Answer::json(view)]);
    server.on("DELETE /v1/views/payments-down", [Answer::json(json!({}))]);
}

fn deliver(server: &Server) {
    let on = |route: &str, value: Value| {
        server.on(route, [Answer::json(value)]);
    };
    on(
        "GET /v1/environments",
        page(json!([{"environment": "dev", "order": 1}, {"environment": "staging", "order": 2}])),
    );
    on("PUT /v1/environments/staging", json!({"environment": "staging", "order": 2}));
    on("POST /v1/services/shop/sources", deploy());
    let events = [
        stage("build", "cargo build", ago(80)),
        progress_line("Compiling shop"),
        stage("verify", "", ago(65)),
        done(true, "serves all traffic"),
    ];
    server.on(&format!("GET /v1/services/shop/deploys/{}/events", source_id()), [Answer::events(1, &events).hangs()]);
    on("GET /v1/services/shop/builds", page(json!([build("running")])));
    on(&format!("GET /v1/services/shop/builds/{}", build_id()), build("succeeded"));
    server.on(
        &format!("GET /v1/services/shop/builds/{}/log", build_id()),
        [Answer::events(1, &[line("Compiling shop")])],
    );
    on(&format!("POST /v1/services/shop/builds/{}/cancel", build_id()), build("cancelled"));
    on("GET /v1/services/shop/releases", page(json!([release()])));
    on("GET /v1/services/shop/releases/42", release());
    on("POST /v1/services/shop/rollouts", rollout("pending", "accepted", false));
    on("GET /v1/services/shop/rollouts", page(json!([rollout("starting", "1 of 2 ready", false)])));
    let one = format!("/v1/services/shop/rollouts/{}", rollout_id());
    on(&format!("GET {one}"), rollout("starting", "1 of 2 ready", false));
    let events = [
        rollout("starting", "1 of 2 ready", false),
        rollout("starting", "1 of 2 ready", false),
        rollout("succeeded", "observed healthy", true),
    ];
    server.on(&format!("GET {one}/events"), [Answer::events(1, &events).hangs()]);
    on(&format!("POST {one}/cancel"), rollout("cancelled", "ada stopped it", true));
    on(
        "GET /v1/services/shop/environments",
        page(
            json!([{"environment": "dev", "release": 42, "commit": "0123456789abcdef", "message": "Raise the limit", "since": ago(50), "differs": []}, {"environment": "staging", "differs": ["nothing runs here"]}]),
        ),
    );
    compared(server);
    running(server);
}

fn compared(server: &Server) {
    let on = |route: &str, value: Value| {
        server.on(route, [Answer::json(value)]);
    };
    let standing = |number: i64| json!({"release": number, "commit": "0123456789abcdef", "message": "Raise the limit", "author": "Ada", "created": ago(70), "since": ago(50)});
    let settings = json!([{"name": "LOG_LEVEL", "from": {"version": 3, "scope": "service"}, "to": {"version": 1, "scope": "environment"}}, {"name": "NEW", "from": {"version": 1, "scope": "platform"}}]);
    let needs = json!([{"name": "stock", "from": "service inventory"}]);
    on(
        "GET /v1/services/shop/rollout-plan",
        json!({"service": "shop", "environment": "staging", "cause": "promotion", "to": standing(42), "now": standing(40), "settings": settings, "needs": needs,
            "steps": ["needs and settings are checked", "instances of release 42 start beside release 40"], "supersedes": rollout_id()}),
    );
    on(
        "GET /v1/environments/staging/comparison",
        json!({"items": [{"service": "shop", "team": "payments", "from": standing(42), "to": standing(40), "ahead": [standing(42), standing(41)], "behind": 2, "settings": settings, "needs": needs}], "next": "shop"}),
    );
    on(
        "GET /v1/services/shop/setting-comparison",
        page(
            json!([{"name": "LOG_LEVEL", "verdict": "different", "from": setting("LOG_LEVEL", false), "to": setting("LOG_LEVEL", false)}, {"name": "STRIPE_KEY", "verdict": "onlyFrom", "from": setting("STRIPE_KEY", true)}]),
        ),
    );
    on(
        "GET /v1/runs",
        page(json!([
            {"kind": "build", "service": "shop", "environment": "dev", "build": build_id(), "rollout": rollout_id(), "state": "succeeded", "reason": "made an artifact", "release": 42, "steps": [{"name": "cargo build", "at": ago(88), "tookMs": 12_300}], "created": ago(90), "ended": ago(75), "actor": "person:ada"},
            {"kind": "release", "service": "shop", "environment": "dev", "rollout": rollout_id(), "state": "running", "reason": "the release command runs", "release": 42, "steps": [{"name": "release command", "at": ago(50)}], "created": ago(50), "actor": "person:ada"},
        ])),
    );
    let needs = json!([{"from": "shop", "name": "stock", "service": "inventory", "environments": ["dev"]}, {"from": "shop", "name": "mail", "external": "mail.example.com:443", "environments": ["dev"]}]);
    on(
        "GET /v1/topology",
        json!({"services": [{"service": "inventory", "team": "stock", "environments": [{"environment": "dev", "health": "healthy"}]}, {"service": "shop", "team": "payments", "environments": [{"environment": "dev", "health": "degraded", "url": "http://shop-dev.localhost:8080"}]}], "needs": needs}),
    );
    on(
        "GET /v1/services/shop/impact",
        json!({"service": "shop", "answer": "if shop is down, it takes 1 service of 1 team with it", "dependents": [{"service": "till", "team": "payments", "distance": 1, "through": ["till", "shop"]}], "needs": needs}),
    );
}

fn running(server: &Server) {
    let on = |route: &str, value: Value| {
        server.on(route, [Answer::json(value)]);
    };
    on(
        "GET /v1/services/shop/instances",
        page(
            json!([{"instance": InstanceId::new(ago(80), [6; 10]), "environment": "dev", "process": "web", "release": release_id(), "number": 42, "state": "ready", "evidence": "GET / answered 200", "since": ago(50), "started": ago(55), "memory": "64Mi"}]),
        ),
    );
    server.on(
        "GET /v1/services/shop/logs",
        [Answer::events(1, &[line("listening on 8080"), line("\u{1b}[31mred\u{1b}[0m")])],
    );
    let found = |text: &str, found: bool| {
        let mut line = line(text);
        line["found"] = json!(found);
        line
    };
    let newest = json!({"runs": [[found("starting", false), found("listening on 8080", true)]], "found": 1, "looked": 500, "backTo": ago(80), "next": "older"});
    let oldest = json!({"runs": [], "found": 0, "looked": 20, "backTo": ago(90)});
    server.on("GET /v1/services/shop/logs/search", [Answer::json(newest), Answer::json(oldest)]);
    on(
        "PUT /v1/services/shop/scale",
        json!({"service": "shop", "environment": "dev", "process": "web", "instances": 3, "before": 1}),
    );
    on(
        "GET /v1/services/shop/routes",
        page(
            json!([{"service": "shop", "environment": "dev", "url": "http://shop-dev.localhost:8080", "hosts": ["shop-dev.localhost"], "shares": [{"release": release_id(), "percent": 100, "instances": 2, "probe": "200"}], "problem": "", "since": ago(50)}]),
        ),
    );
    on(
        "GET /v1/services/shop/traffic",
        page(
            json!([{"environment": "dev", "release": release_id(), "requests": 1000, "ok": 990, "clientErrors": 9, "serverErrors": 1, "gatewayErrors": 0, "p50Ms": 2, "p99Ms": 32, "bytesIn": 2048, "bytesOut": 5_000_000}]),
        ),
    );
    on("GET /v1/services/shop/metrics", metrics());
    on(
        "GET /v1/metrics",
        page(
            json!([{"service": "shop", "environment": "dev", "observedMs": 300_000, "stepMs": 10_000, "total": counted(600), "recent": [20, 40, null, 10, 0]},
            {"service": "till", "environment": "prod", "observedMs": 0, "stepMs": 10_000, "total": counted(0), "recent": [null, null]}]),
        ),
    );
    on(
        "GET /v1/platform",
        json!({"version": "0.1.0", "started": ago(7200), "database": "orlop.db", "api": "http://127.0.0.1:7000", "gateway": "http://127.0.0.1:8080", "domain": "localhost",
        "reconcilers": [{"name": "deliver.rollout", "runs": 900, "failures": 1, "lastRun": ago(1), "lastTookUs": 1500, "lastError": "database is locked", "status": {}}],
        "jobs": [{"job": JobId::new(ago(9), [7; 10]), "kind": "deliver.build", "state": "running", "attempts": 1}]}),
    );
    on(
        "GET /v1/doctor",
        page(
            json!([{"name": "database", "verdict": "ok", "found": "SQLite 3.51.3"}, {"name": "engine.memory-limit", "verdict": "limited", "found": "no cgroup", "fix": "enable delegation"}]),
        ),
    );
}
