//! An installation in which something has happened, and the people of it.

use e2e::{Installation, Source};
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::browser::Browser;

/// Everybody who looks at the portal: a name in reports, and what they are.
pub const ROLES: [&str; 5] = ["anonymous", "viewer", "developer", "owner", "admin"];

/// An installation with people.
pub struct House {
    pub place: Installation,
    http: Client,
    /// A token for each role but the first.
    tokens: Vec<(&'static str, String)>,
}

impl House {
    /// A team `pay` with a viewer, a developer and an owner, and nothing else.
    pub async fn new() -> Self {
        let place = Installation::start().await.expect("the installation starts");
        let http = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
        let mut house = Self { place, http, tokens: Vec::new() };
        house.call(Method::POST, "/v1/teams", json!({ "team": "pay" })).await;
        let every = json!(["read", "deploy", "operate", "configure", "manage"]);
        for (person, role) in [("vera", "viewer"), ("dave", "developer"), ("olga", "owner")] {
            house.call(Method::POST, "/v1/people", json!({ "person": person })).await;
            house.call(Method::PUT, &format!("/v1/teams/pay/members/{person}"), json!({ "role": role })).await;
            let link = house.call(Method::POST, &format!("/v1/people/{person}/sign-in"), Value::Null).await;
            let own = house.call_as("", Method::POST, "/v1/sign-in", json!({ "code": link["code"] })).await;
            let own = own["secret"].as_str().expect("a token").to_owned();
            let wanted = json!({ "name": "browser", "scopes": every });
            let token = house.call_as(&own, Method::POST, "/v1/tokens", wanted).await;
            house.tokens.push((role, token["secret"].as_str().expect("a token").to_owned()));
        }
        house.tokens.push(("admin", house.place.client.token().to_owned()));
        house
    }

    /// With a service of three releases in two environments, one that failed, one that was never
    /// deployed, settings, a removed service, and some traffic.
    pub async fn lived_in() -> Self {
        let house = Self::new().await;
        house.call(Method::PUT, "/v1/environments/staging", json!({ "after": "dev" })).await;
        house.service("shop", "Sells things").await;
        house.service("till", "Never comes up").await;
        house.service("attic", "Nobody has deployed it yet").await;
        house.service("cellar", "Was removed").await;
        house.call(Method::DELETE, "/v1/services/cellar", Value::Null).await;
        let shop = house.source("shop", "procfile");
        for (name, value) in [("LOG_LEVEL", "debug"), ("GREETING", "hello from a setting")] {
            let body = json!({ "value": value, "secret": false });
            house.call(Method::PUT, &format!("/v1/services/shop/settings/{name}"), body).await;
        }
        let secret = json!({ "value": "sk_live_0123456789", "secret": true });
        house.call(Method::PUT, "/v1/services/shop/settings/STRIPE_KEY", secret).await;
        shop.push().await.and_then(e2e::Outcome::good).expect("the first release works");
        shop.edit("web.py", "b\"ok\\n\"", "b\"fine\\n\"").expect("the fixture has it");
        shop.push().await.and_then(e2e::Outcome::good).expect("the second release works");
        house.orlop(&["promote", "--service", "shop", "--to", "staging"]).await;
        let till = house.source("till", "exits-at-once");
        let _ = till.push().await;
        house.ask(60).await;
        house
    }

    /// A folder with code.
    pub fn source(&self, service: &str, fixture: &str) -> Source<'_> {
        Source::of(&self.place, fixture, service).expect("the fixture can be copied")
    }

    pub async fn service(&self, service: &str, description: &str) {
        let body = json!({ "service": service, "description": description });
        self.call(Method::POST, "/v1/teams/pay/services", body).await;
    }

    /// Visitors of the shop.
    pub async fn ask(&self, times: usize) {
        for n in 0..times {
            let path = if n % 10 == 9 { "/healthz" } else { "/" };
            let _ = self.place.client.ask("shop-dev.localhost", path).await;
        }
    }

    /// A command that must succeed.
    pub async fn orlop(&self, args: &[&str]) -> String {
        let ran = self.place.orlop(args).await.expect("the command runs");
        assert_eq!(ran.status, Some(0), "orlop {args:?}: {}", ran.all());
        ran.out
    }

    /// A call of the admin that must succeed.
    pub async fn call(&self, method: Method, path: &str, body: Value) -> Value {
        self.call_as(self.place.client.token(), method, path, body).await
    }

    async fn call_as(&self, token: &str, method: Method, path: &str, body: Value) -> Value {
        let request = self.http.request(method, format!("{}{path}", self.url()));
        let request = if token.is_empty() { request } else { request.bearer_auth(token) };
        let request = if body.is_null() { request } else { request.json(&body) };
        let response = request.send().await.expect("the server answers");
        let (status, text) = (response.status(), response.text().await.unwrap_or_default());
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// What a call with a token comes to.
    pub async fn as_token(&self, token: &str, method: Method, path: &str) -> u16 {
        let request = self.http.request(method, format!("{}{path}", self.url())).bearer_auth(token);
        request.send().await.expect("the server answers").status().as_u16()
    }

    pub fn url(&self) -> &str {
        self.place.client.url()
    }

    /// A client without redirects and without a credential.
    pub fn http(&self) -> &Client {
        &self.http
    }

    /// What a browser sends as `Cookie` once this role has signed in; nothing for nobody.
    pub async fn cookie(&self, role: &str) -> Option<String> {
        let token = self.token(role)?;
        let form = [("token", token), ("to", "/")];
        let request = self.http.post(format!("{}/sign-in", self.url())).header("origin", self.url()).form(&form);
        let response = request.send().await.expect("the server answers");
        assert_eq!(response.status(), 303, "{role} signs in: {:?}", response.headers());
        let set = response.headers().get_all("set-cookie").iter().filter_map(|value| value.to_str().ok());
        let pairs: Vec<_> =
            set.filter_map(|value| value.split(';').next()).filter(|pair| pair.contains("session")).collect();
        Some(pairs.join("; "))
    }

    /// The token of a role.
    pub fn token(&self, role: &str) -> Option<&str> {
        self.tokens.iter().find(|(name, _)| *name == role).map(|(_, token)| token.as_str())
    }

    /// Signs a role in, by the page that is there for it.
    pub async fn sign_in(&self, browser: &Browser, role: &str) {
        browser.forget().await;
        browser.open(&format!("{}/sign-in", self.url())).await;
        let Some(token) = self.token(role) else { return };
        browser.click("details.other summary").await;
        browser.fill("#token", token).await;
        browser.press(&["Enter"]).await;
        browser.until("somebody is signed in", "document.querySelector('header.side') !== null").await;
    }
}
