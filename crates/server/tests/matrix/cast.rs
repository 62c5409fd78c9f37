//! The callers of the matrix, made through the API.

use std::collections::BTreeMap;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::house::House;

pub struct Cast {
    tokens: BTreeMap<&'static str, String>,
    /// A session of the portal for each of them, made while their token still worked.
    sessions: BTreeMap<&'static str, String>,
}

impl Cast {
    /// The token of a caller; `nobody` has none.
    ///
    /// # Panics
    /// For a caller that is not in the cast.
    pub fn token(&self, caller: &str) -> Option<&str> {
        if caller == "nobody" {
            return None;
        }
        Some(self.tokens.get(caller).unwrap_or_else(|| panic!("the matrix has a caller `{caller}` who is not here")))
    }

    /// The session of a caller; `nobody` has none.
    ///
    /// # Panics
    /// For a caller that is not in the cast.
    pub fn session(&self, caller: &str) -> Option<&str> {
        if caller == "nobody" {
            return None;
        }
        Some(self.sessions.get(caller).unwrap_or_else(|| panic!("`{caller}` has no session")))
    }

    /// A further token of a caller, with its id.
    pub async fn another(&self, house: &House, caller: &str) -> (String, String) {
        let scopes = json!(["read", "deploy", "operate", "configure", "manage"]);
        let of = self.token(caller).expect("a token");
        let issued = post(house, "/v1/tokens", of, json!({ "name": "t", "scopes": scopes })).await;
        let text = |at: &str| issued.pointer(at).and_then(Value::as_str).expect(at).to_owned();
        (text("/secret"), text("/token/token"))
    }

    /// A token of a caller that works for two seconds.
    pub async fn short(&self, house: &House, caller: &str) -> String {
        token(house, self.token(caller).expect("a token"), json!({ "name": "t", "lifetime": "2s" })).await
    }

    /// A person who has an account already, signed in as a member of a team.
    pub async fn person(&self, house: &House, name: &str, team: &str, role: &str) -> String {
        member(house, self.token("admin").expect("a token"), name, team, role).await
    }

    pub async fn of(house: &House) -> Self {
        let code = access::first_sign_in(&house.platform().ctx("test")).await.expect("a code").code;
        let admin = signed_in(house, &code).await;
        for team in ["pay", "rival"] {
            post(house, "/v1/teams", &admin, json!({ "team": team })).await;
        }
        for (service, team) in [("shop", "pay"), ("stock", "pay"), ("till", "rival")] {
            exists(house, service, team).await;
        }
        let mut tokens = BTreeMap::new();
        let person = async |name, member| person(house, &admin, name, member).await;
        tokens.insert("lone", person("lone", None).await);
        tokens.insert("former", person("former", Some(("pay", "owner"))).await);
        tokens.insert("removed", person("removed", Some(("pay", "owner"))).await);
        tokens.insert("rival-viewer", person("ruth", Some(("rival", "viewer"))).await);
        tokens.insert("rival-owner", person("ivan", Some(("rival", "owner"))).await);
        tokens.insert("viewer", person("vera", Some(("pay", "viewer"))).await);
        tokens.insert("developer", person("dave", Some(("pay", "developer"))).await);
        let owner = person("olga", Some(("pay", "owner"))).await;
        let five = json!(["read", "deploy", "operate", "configure", "manage"]);
        for (name, wanted) in [
            ("owner-read", json!({ "name": "t", "scopes": ["read"] })),
            ("owner-deploy", json!({ "name": "t", "scopes": ["read", "deploy"] })),
            ("owner-blind", json!({ "name": "t", "scopes": ["deploy"] })),
            ("owner-this", json!({ "name": "t", "scopes": five, "services": ["shop"] })),
            ("owner-that", json!({ "name": "t", "scopes": five, "services": ["stock"] })),
            ("revoked", json!({ "name": "t", "scopes": five })),
            ("expired", json!({ "name": "t", "scopes": five, "lifetime": "1s" })),
        ] {
            tokens.insert(name, token(house, &owner, wanted).await);
        }
        tokens.insert("admin-read", token(house, &admin, json!({ "name": "t", "scopes": ["read"] })).await);
        let only = json!({ "name": "t", "scopes": ["read", "admin"], "services": ["shop"] });
        tokens.insert("admin-this", token(house, &admin, only).await);
        tokens.insert("owner", owner);
        tokens.insert("made-up", format!("orlop_{}", "A".repeat(43)));
        let mut sessions = BTreeMap::from([("made-up", format!("session_{}", "A".repeat(43)))]);
        tokens.insert("admin", admin.clone());
        for (caller, token) in tokens.iter().filter(|(caller, _)| **caller != "made-up") {
            let made = post(house, "/v1/sessions", token, json!({ "name": "t" })).await;
            sessions.insert(caller, made["secret"].as_str().expect("a secret").to_owned());
        }
        // Each of them could do something before they could not.
        for name in ["removed", "former", "revoked", "expired"] {
            let token = Some(tokens[name].as_str());
            let seen = house.act(Method::GET, "/v1/teams/pay", token, None).await;
            assert_eq!(seen.status, 200, "{name} before: {}", seen.text);
            let session = [(http::HeaderName::from_static(crate::house::SESSION), sessions[name].clone())];
            let seen = house.real(Method::GET, "/v1/teams/pay", &session, None).await;
            assert_eq!(seen.status, 200, "{name} before, by a session: {}", seen.text);
        }
        let id = id_of(house, &tokens["revoked"]).await;
        done(house, Method::DELETE, &format!("/v1/tokens/{id}"), &tokens["owner"], None).await;
        done(house, Method::DELETE, "/v1/people/removed", &admin, None).await;
        done(house, Method::DELETE, "/v1/teams/pay/members/former", &admin, None).await;
        house.world.clock.advance(Duration::from_secs(2));
        Self { tokens, sessions }
    }
}

pub async fn done(house: &House, method: Method, path: &str, token: &str, body: Option<Value>) -> Value {
    let reply = house.act(method, path, Some(token), body).await;
    assert_eq!(reply.status, 200, "{path}: {}", reply.text);
    reply.json()
}

async fn post(house: &House, path: &str, token: &str, body: Value) -> Value {
    done(house, Method::POST, path, token, Some(body)).await
}

async fn signed_in(house: &House, code: &str) -> String {
    let reply = house.act(Method::POST, "/v1/sign-in", None, Some(json!({ "code": code }))).await;
    reply.json()["secret"].as_str().unwrap_or_else(|| panic!("{}", reply.text)).to_owned()
}

async fn person(house: &House, admin: &str, name: &str, team: Option<(&str, &str)>) -> String {
    post(house, "/v1/people", admin, json!({ "person": name })).await;
    match team {
        Some((team, role)) => member(house, admin, name, team, role).await,
        None => enter(house, admin, name).await,
    }
}

async fn member(house: &House, admin: &str, name: &str, team: &str, role: &str) -> String {
    let path = format!("/v1/teams/{team}/members/{name}");
    done(house, Method::PUT, &path, admin, Some(json!({ "role": role }))).await;
    enter(house, admin, name).await
}

async fn enter(house: &House, admin: &str, name: &str) -> String {
    let link = done(house, Method::POST, &format!("/v1/people/{name}/sign-in"), admin, None).await;
    signed_in(house, link["code"].as_str().expect("a code")).await
}

async fn token(house: &House, of: &str, wanted: Value) -> String {
    post(house, "/v1/tokens", of, wanted).await["secret"].as_str().expect("a secret").to_owned()
}

async fn id_of(house: &House, token: &str) -> String {
    let me = done(house, Method::GET, "/v1/whoami", token, None).await;
    me.pointer("/token/token").and_then(Value::as_str).expect("an id").to_owned()
}

/// What `catalog` would say of a service.
async fn exists(house: &House, service: &str, team: &str) {
    let ctx = house.platform().ctx("catalog");
    let mut tx = ctx.begin().await.expect("a transaction");
    let fact = facts::ServiceState {
        service: service.parse().expect("a name"),
        team: team.parse().expect("a name"),
        description: String::new(),
        removed: false,
    };
    ctx.publish(&mut tx, &fact).await.expect("a fact");
    tx.commit().await.expect("a commit");
}
