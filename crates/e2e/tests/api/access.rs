//! Every endpoint × every kind of caller. What is expected is computed here from the endpoint
//! table alone, by a second reading of the rules.

use std::collections::BTreeSet;

use api::access::Role;
use api::{ACTIONS, Access, Action, Row, Shape, TABLE};
use reqwest::Method;
use serde_json::json;

use crate::http::{Api, Reply};
use crate::support::Installation;

/// The team and the service that all calls are about.
const TEAM: &str = "pay";
const SERVICE: &str = "shop";

/// A caller and what is known of them.
struct Caller {
    name: &'static str,
    api: Api,
    valid: bool,
    admin: bool,
    role: Option<Role>,
    scopes: BTreeSet<Action>,
    /// Whether the credential is for some services only, and whether `SERVICE` is among them.
    only: Option<bool>,
}

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Outcome {
    Allowed,
    Unauthenticated,
    Forbidden,
    Hidden,
}

fn expected(access: Access, caller: &Caller) -> Outcome {
    use Outcome::*;
    if access == Access::Public {
        return Allowed;
    }
    if !caller.valid {
        return Unauthenticated;
    }
    let may = |action: Action| {
        let by_role = match caller.role {
            Some(Role::Owner) => action != Action::Admin,
            Some(Role::Developer) => !matches!(action, Action::Manage | Action::Admin),
            Some(Role::Viewer) => action == Action::Read,
            None => false,
        };
        (caller.admin || by_role) && caller.scopes.contains(&action)
    };
    let when = |allowed: bool| if allowed { Allowed } else { Forbidden };
    match access {
        Access::Public | Access::SignedIn => Allowed,
        Access::Platform(action) => when(caller.admin && caller.scopes.contains(&action) && caller.only.is_none()),
        Access::Team(_) if !may(Action::Read) => Hidden,
        Access::Team(action) => when(may(action) && (caller.only.is_none() || action == Action::Read)),
        Access::Service(_) | Access::ServiceOrNew(_) if !may(Action::Read) || caller.only == Some(false) => Hidden,
        Access::Service(action) | Access::ServiceOrNew(action) => when(may(action)),
    }
}

/// How a reply reads. The handler's own refusals of nonsense come after the decision: allowed.
fn outcome(reply: &Reply) -> Outcome {
    match (reply.status.as_u16(), reply.code().as_str()) {
        (401, code) if code != "bad-code" => Outcome::Unauthenticated,
        (403, _) => Outcome::Forbidden,
        (404, "service-not-found" | "team-not-found") => Outcome::Hidden,
        _ => Outcome::Allowed,
    }
}

#[tokio::test]
async fn every_endpoint_for_every_caller() {
    let place = Installation::new();
    let up = place.up();
    let callers = callers(&up).await;
    let mut wrong = Vec::new();
    for row in TABLE.iter() {
        for caller in &callers {
            let reply = call(row, &caller.api).await;
            let (want, got) = (expected(row.access, caller), outcome(&reply));
            if want != got {
                wrong.push(format!(
                    "{} {:?} for {}: want {want:?}, got {} {}",
                    row.id, row.access, caller.name, reply.status, reply.text
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} cells are wrong:\n{}",
        wrong.len(),
        TABLE.len() * callers.len(),
        wrong.join("\n")
    );
    let still = callers.last().expect("the admin is the last").api.get("/v1/services/shop").await;
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
        .replace("{rollout}", "ro_01hzzzzzzzzzzzzzzzzzzzzzzz");
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

async fn callers(up: &crate::support::Up) -> Vec<Caller> {
    let admin = Api::admin(up).await;
    for team in [TEAM, "other"] {
        admin.post("/v1/teams", json!({ "team": team })).await.ok();
    }
    let vera = person(&admin, "vera", Some((TEAM, "viewer"))).await;
    let dave = person(&admin, "dave", Some((TEAM, "developer"))).await;
    let olga = person(&admin, "olga", Some((TEAM, "owner"))).await;
    let ivan = person(&admin, "ivan", Some(("other", "owner"))).await;
    let lone = person(&admin, "lone", None).await;
    admin.post("/v1/teams/pay/services", json!({ "service": SERVICE })).await.ok();
    admin.post("/v1/teams/pay/services", json!({ "service": "stock" })).await.ok();
    let all: BTreeSet<Action> = ACTIONS.into_iter().collect();
    let some = |scopes: &[Action]| scopes.iter().copied().collect::<BTreeSet<_>>();
    let caller =
        |name, api, role| Caller { name, api, valid: true, admin: false, role, scopes: all.clone(), only: None };
    let owner = Some(Role::Owner);
    let read = token(&olga, json!({ "name": "r", "scopes": ["read"] })).await;
    let deploy = token(&olga, json!({ "name": "d", "scopes": ["read", "deploy"] })).await;
    let blind = token(&olga, json!({ "name": "b", "scopes": ["deploy"] })).await;
    let words = json!(["read", "deploy", "operate", "configure", "manage"]);
    let shop = token(&olga, json!({ "name": "s", "scopes": words, "services": [SERVICE] })).await;
    let stock = token(&olga, json!({ "name": "t", "scopes": words, "services": ["stock"] })).await;
    let admin_read = token(&admin, json!({ "name": "ar", "scopes": ["read"] })).await;
    let admin_shop = token(&admin, json!({ "name": "as", "scopes": ["read", "admin"], "services": [SERVICE] })).await;
    let five = some(&[Action::Read, Action::Deploy, Action::Operate, Action::Configure, Action::Manage]);
    let nobody = |name, api| Caller { valid: false, ..caller(name, api, None) };
    vec![
        nobody("nobody", Api::anonymous(up)),
        nobody("a made-up token", admin.with("orlop_pat_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")),
        nobody("a revoked token", revoked(&olga).await),
        nobody("an expired token", expired(&olga).await),
        nobody("a removed person", removed(&admin).await),
        caller("in no team", lone, None),
        caller("owner of another team", ivan, None),
        caller("viewer", vera, Some(Role::Viewer)),
        caller("developer", dave, Some(Role::Developer)),
        caller("owner", olga, owner),
        Caller { scopes: some(&[Action::Read]), ..caller("owner, read only", read, owner) },
        Caller { scopes: some(&[Action::Read, Action::Deploy]), ..caller("owner, deploys", deploy, owner) },
        Caller { scopes: some(&[Action::Deploy]), ..caller("owner, may not read", blind, owner) },
        Caller { scopes: five.clone(), only: Some(true), ..caller("owner, this service", shop, owner) },
        Caller { scopes: five, only: Some(false), ..caller("owner, another service", stock, owner) },
        Caller { admin: true, scopes: some(&[Action::Read]), ..caller("admin, read only", admin_read, None) },
        Caller {
            admin: true,
            scopes: some(&[Action::Read, Action::Admin]),
            only: Some(true),
            ..caller("admin, this service", admin_shop, None)
        },
        Caller { admin: true, ..caller("admin", admin, None) },
    ]
}

async fn person(admin: &Api, name: &str, role: Option<(&str, &str)>) -> Api {
    admin.post("/v1/people", json!({ "person": name })).await.ok();
    if let Some((team, role)) = role {
        let path = format!("/v1/teams/{team}/members/{name}");
        admin.send(Method::PUT, &path, Some(json!({ "role": role }))).await.ok();
    }
    let link = admin.send(Method::POST, &format!("/v1/people/{name}/sign-in"), None).await.ok();
    admin.sign_in(link["code"].as_str().expect("a code")).await
}

async fn token(of: &Api, wanted: serde_json::Value) -> Api {
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
