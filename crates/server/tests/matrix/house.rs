//! A control plane with the real router, the real `access` and, for everything else, handlers that
//! only say that they were reached.

use std::collections::BTreeSet;
use std::sync::Arc;

use access::{Gatekeeper, MasterKey, SettingVault};
use api::TABLE;
use async_trait::async_trait;
use axum::body::Body;
use base::{EnvironmentName, Result, RolloutId, Secret, ServiceName};
use http::{HeaderName, Method, Request};
use http_body_util::BodyExt as _;
use kernel::{Authority, Capability, Credential, Ctx, Mounted, Platform, RawReply};
use ports::{Random, Vault};
use serde_json::{Value, json};
use server::Router;
use sim::{Cell, Decided, World};
use store::{Migration, Store};
use tower::ServiceExt as _;

/// Stands for the session that the portal attaches to a request in its own process.
pub const SESSION: &str = "test-session";

/// What is installed: `access` alone.
struct Alone {
    authority: Option<Arc<dyn Authority>>,
}

fn vault_of(store: &Store, random: &Arc<dyn Random>) -> SettingVault {
    SettingVault::new(store.clone(), MasterKey::of([7; 32]), Arc::clone(random))
}

#[async_trait]
impl sim::Installation for Alone {
    fn migrations(&self) -> Vec<Migration> {
        access::migrations()
    }

    fn vault(&self, store: &Store, random: &Arc<dyn Random>) -> Arc<dyn Vault> {
        Arc::new(vault_of(store, random))
    }

    fn authority(&self) -> Arc<dyn Authority> {
        self.authority.clone().unwrap_or_else(|| Arc::new(Gatekeeper))
    }

    fn capabilities(&self, store: &Store, random: &Arc<dyn Random>) -> Vec<Capability> {
        vec![access::capability(vault_of(store, random))]
    }

    fn seldom(&self) -> &'static [&'static str] {
        &[]
    }

    async fn first_code(&self, ctx: &Ctx) -> Result<String> {
        Ok(access::first_sign_in(ctx).await?.code)
    }

    async fn decided(&self, _: &Store) -> Result<Vec<Decided>> {
        Ok(Vec::new())
    }

    async fn current(&self, _: &Store) -> Result<Vec<(ServiceName, EnvironmentName, RolloutId)>> {
        Ok(Vec::new())
    }

    async fn removed(&self, _: &Store) -> Result<BTreeSet<ServiceName>> {
        Ok(BTreeSet::new())
    }
}

/// One control plane.
pub struct House {
    pub world: World,
    /// The endpoints of `access` as they are.
    real: Router,
    /// Every endpoint, with handlers that do nothing.
    inert: Router,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub text: String,
    pub request: String,
    /// Whether it is the answer of an earlier call under the same key.
    pub replayed: bool,
    /// The endpoint whose handler was reached.
    pub reached: Option<String>,
}

impl Reply {
    pub fn cell(&self) -> Cell {
        Cell::of_status(self.status)
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }
}

fn inert() -> Vec<Mounted> {
    let handler = |row: api::Row| Mounted {
        row,
        handler: Arc::new(move |_, _| Box::pin(async move { Ok(RawReply::Json(json!({ "reached": row.id }), None)) })),
    };
    TABLE.iter().copied().map(handler).collect()
}

impl House {
    pub async fn new(authority: Option<Arc<dyn Authority>>) -> Self {
        let world = World::new(Arc::new(Alone { authority }), 1).await;
        let platform = world.platform().clone();
        let random = Arc::clone(&platform.ports().random);
        let vault = vault_of(platform.store(), &random);
        let real = server::router(&platform, access::capability(vault).endpoints.into_mounted());
        let inert = server::router(&platform, inert());
        Self { world, real, inert }
    }

    pub fn platform(&self) -> &Platform {
        self.world.platform()
    }

    /// Asks without effect.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(HeaderName, String)],
        body: Option<Value>,
    ) -> Reply {
        answer(&self.inert, method, path, headers, body).await
    }

    /// Asks with effect, with any headers.
    pub async fn real(
        &self,
        method: Method,
        path: &str,
        headers: &[(HeaderName, String)],
        body: Option<Value>,
    ) -> Reply {
        answer(&self.real, method, path, headers, body).await
    }

    /// Asks with effect.
    pub async fn act(&self, method: Method, path: &str, token: Option<&str>, body: Option<Value>) -> Reply {
        let headers: Vec<_> = token.map(|t| (http::header::AUTHORIZATION, format!("Bearer {t}"))).into_iter().collect();
        self.real(method, path, &headers, body).await
    }
}

async fn answer(
    router: &Router,
    method: Method,
    path: &str,
    headers: &[(HeaderName, String)],
    body: Option<Value>,
) -> Reply {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = match name == SESSION {
            true => request.extension(Credential::Session { secret: Secret::new(value.clone()), attended: true }),
            false => request.header(name, value),
        };
    }
    if body.is_some() {
        request = request.header("content-type", "application/json");
    }
    let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    let request = request.body(body).expect("a request");
    let response = router.clone().oneshot(request).await.expect("the router always answers");
    let status = response.status().as_u16();
    let request = response.headers().get("orlop-request").and_then(|v| v.to_str().ok()).unwrap_or("none").to_owned();
    let replayed = response.headers().contains_key("idempotency-replayed");
    let bytes = response.into_body().collect().await.expect("a whole body").to_bytes();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let json: Value = serde_json::from_str(&text).unwrap_or_default();
    let reached = json.get("reached").and_then(Value::as_str).map(str::to_owned);
    Reply { status, text, request, replayed, reached }
}
