//! Every endpoint × every kind of caller, against the real binary. What is expected stands in the
//! table that was written by hand (`Matrix`); that every transport and every check counts is shown
//! by the tests of `server`.

use std::collections::BTreeMap;

use api::{Row, Shape, TABLE};
use reqwest::Method;
use serde_json::json;
use sim::{Cell, Matrix};

use crate::http::{Api, Reply};
use crate::support::{Installation, Up};

/// The team and the service that all calls are about.
const TEAM: &str = "pay";
const SERVICE: &str = "shop";

/// How a reply reads. The handler's own refusals of nonsense come after the decision: allowed.
fn outcome(reply: &Reply) -> Cell {
    match (reply.status.as_u16(), reply.code().as_str()) {
        (401, code) if code != "bad-code" => Cell::Unauthenticated,
        (403, _) => Cell::Forbidden,
        (404, "service-not-found" | "team-not-found") => Cell::Hidden,
        _ => Cell::Allowed,
    }
}

#[tokio::test]
async fn every_endpoint_for_every_caller() {
    let place = Installation::new();
    let up = place.up();
    let matrix = Matrix::read();
    let gaps = matrix.gaps(TABLE.iter().map(|row| row.id));
    assert!(gaps.is_empty(), "the matrix and the endpoint table differ: {gaps:?}");
    let callers = callers(&up).await;
    let mut wrong = Vec::new();
    for row in TABLE.iter() {
        for name in &matrix.callers {
            let reply = call(row, &callers[name]).await;
            let (want, got) = (matrix.expect(row.id, name), outcome(&reply));
            if want != got || reply.status.is_server_error() {
                wrong.push(format!("{} for {name}: want {want:?}, got {} {}", row.id, reply.status, reply.text));
            }
        }
    }
    let cells = TABLE.len() * matrix.callers.len();
    println!("access matrix of the real binary: {cells} cells, {} mismatches", wrong.len());
    assert!(wrong.is_empty(), "{} of {cells} cells are wrong:\n{}", wrong.len(), wrong.join("\n"));
    let still = callers["admin"].get("/v1/services/shop").await;
    assert_eq!(still.status, 200, "nothing of all this had an effect: {}", still.text);
}

/// Parameters are plausible; bodies are such that nothing can come of them even where they are read.
async fn call(row: &Row, api: &Api) -> Reply {
    let path = row
        .path
        .replace("{service}", SERVICE)
        .replace("{repository}", "shop.git")
        .replace("{team}", TEAM)
        .replace("{person}", "vera")
        .replace("{environment}", "dev")
        .replace("{name}", "A")
        .replace("{number}", "1")
        .replace("{template}", "web")
        .replace("{token}", "tok_01hzzzzzzzzzzzzzzzzzzzzzzz")
        .replace("{source}", "src_01hzzzzzzzzzzzzzzzzzzzzzzz")
        .replace("{build}", "bld_01hzzzzzzzzzzzzzzzzzzzzzzz")
        .replace("{rollout}", "ro_01hzzzzzzzzzzzzzzzzzzzzzzz")
        .replace("{view}", "mine");
    assert!(!path.contains('{'), "{} has a parameter that this test does not know", row.path);
    let method: Method = row.method.word().parse().expect("a method");
    let request = api.request(method, &path);
    let request = match row.id {
        "gitRefs" => request.query(&[("service", "git-receive-pack")]),
        _ => request,
    };
    let request = match (row.shape, row.method.is_mutating()) {
        (Shape::Json | Shape::Events, true) => request.json(&json!({ "no-such-key": 1 })),
        (Shape::Upload, _) => request.body("nonsense"),
        _ => request,
    };
    let response = request.send().await.expect("the server answers");
    if row.shape == Shape::Events && response.status() == 200 {
        let (status, headers) = (response.status(), response.headers().clone());
        return Reply { status, headers, text: String::new() };
    }
    Reply::of(response).await
}

async fn callers(up: &Up) -> BTreeMap<&'static str, Api> {
    let admin = Api::admin(up).await;
    for team in [TEAM, "rival"] {
        admin.post("/v1/teams", json!({ "team": team })).await.ok();
    }
    for service in [SERVICE, "stock"] {
        admin.post("/v1/teams/pay/services", json!({ "service": service })).await.ok();
    }
    let mut all = BTreeMap::new();
    all.insert("lone", person(&admin, "lone", None).await);
    all.insert("viewer", person(&admin, "vera", Some((TEAM, "viewer"))).await);
    all.insert("developer", person(&admin, "dave", Some((TEAM, "developer"))).await);
    all.insert("rival-viewer", person(&admin, "ruth", Some(("rival", "viewer"))).await);
    all.insert("rival-owner", person(&admin, "ivan", Some(("rival", "owner"))).await);
    let olga = person(&admin, "olga", Some((TEAM, "owner"))).await;
    let words = json!(["read", "deploy", "operate", "configure", "manage"]);
    for (name, wanted) in [
        ("owner-read", json!({ "name": "t", "scopes": ["read"] })),
        ("owner-deploy", json!({ "name": "t", "scopes": ["read", "deploy"] })),
        ("owner-blind", json!({ "name": "t", "scopes": ["deploy"] })),
        ("owner-this", json!({ "name": "t", "scopes": words, "services": [SERVICE] })),
        ("owner-that", json!({ "name": "t", "scopes": words, "services": ["stock"] })),
    ] {
        all.insert(name, token(&olga, wanted).await);
    }
    all.insert("admin-read", token(&admin, json!({ "name": "t", "scopes": ["read"] })).await);
    let only = json!({ "name": "t", "scopes": ["read", "admin"], "services": [SERVICE] });
    all.insert("admin-this", token(&admin, only).await);
    all.insert("nobody", Api::anonymous(up));
    all.insert("made-up", admin.with("orlop_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"));
    all.insert("revoked", revoked(&olga).await);
    all.insert("expired", expired(&olga).await);
    all.insert("removed", removed(&admin).await);
    all.insert("former", former(&admin).await);
    all.insert("owner", olga);
    all.insert("admin", admin);
    all
}

pub async fn person(admin: &Api, name: &str, role: Option<(&str, &str)>) -> Api {
    admin.post("/v1/people", json!({ "person": name })).await.ok();
    if let Some((team, role)) = role {
        let path = format!("/v1/teams/{team}/members/{name}");
        admin.send(Method::PUT, &path, Some(json!({ "role": role }))).await.ok();
    }
    let link = admin.send(Method::POST, &format!("/v1/people/{name}/sign-in"), None).await.ok();
    admin.sign_in(link["code"].as_str().expect("a code")).await
}

pub async fn token(of: &Api, wanted: serde_json::Value) -> Api {
    let issued = of.post("/v1/tokens", wanted).await.ok();
    of.with(issued["secret"].as_str().expect("a secret"))
}

async fn revoked(of: &Api) -> Api {
    let issued = of.post("/v1/tokens", json!({ "name": "x" })).await.ok();
    let id = issued.pointer("/token/token").and_then(|t| t.as_str()).expect("an id").to_owned();
    let api = of.with(issued["secret"].as_str().expect("a secret"));
    assert_eq!(api.get("/v1/whoami").await.status, 200, "it works until it is revoked");
    of.send(Method::DELETE, &format!("/v1/tokens/{id}"), None).await.ok();
    api
}

async fn expired(of: &Api) -> Api {
    let api = token(of, json!({ "name": "short", "lifetime": "1s" })).await;
    for _ in 0..600 {
        if api.get("/v1/whoami").await.status == 401 {
            return api;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("a token of one second does not expire");
}

async fn removed(admin: &Api) -> Api {
    let gone = person(admin, "gone", Some((TEAM, "owner"))).await;
    assert_eq!(gone.get("/v1/whoami").await.status, 200);
    admin.send(Method::DELETE, "/v1/people/gone", None).await.ok();
    gone
}

async fn former(admin: &Api) -> Api {
    let former = person(admin, "former", Some((TEAM, "owner"))).await;
    assert_eq!(former.get("/v1/services/shop").await.status, 200);
    admin.send(Method::DELETE, "/v1/teams/pay/members/former", None).await.ok();
    former
}
