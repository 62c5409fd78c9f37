//! What a token had begun when it was revoked, against the real binary: nothing comes of it.

use std::time::Instant;

use futures_util::{StreamExt as _, stream};
use reqwest::{Body, Method};
use serde_json::json;

use crate::access::person;
use crate::http::{Api, Reply};
use crate::support::{Installation, PATIENCE};

struct Revocable {
    admin: Api,
    api: Api,
    id: String,
}

async fn revocable(place: &Installation) -> Revocable {
    let admin = Api::admin(&place.up()).await;
    admin.post("/v1/teams", json!({ "team": "pay" })).await.ok();
    let olga = person(&admin, "olga", Some(("pay", "owner"))).await;
    olga.post("/v1/teams/pay/services", json!({ "service": "shop" })).await.ok();
    let issued = olga.post("/v1/tokens", json!({ "name": "t", "scopes": ["read", "deploy"] })).await.ok();
    let id = issued.pointer("/token/token").and_then(|v| v.as_str()).expect("an id").to_owned();
    let api = olga.with(issued["secret"].as_str().expect("a secret"));
    Revocable { admin, api, id }
}

impl Revocable {
    async fn revoke(&self) -> Instant {
        self.admin.send(Method::DELETE, &format!("/v1/tokens/{}", self.id), None).await.ok();
        Instant::now()
    }
}

/// A body that begins and never ends.
fn endless(beginning: Vec<u8>) -> Body {
    let first = stream::iter([Ok::<_, std::io::Error>(beginning)]);
    Body::wrap_stream(first.chain(stream::pending()))
}

/// What is being sent is not taken any more.
async fn is_cut_off(what: &str, path: &str, content_type: &str, beginning: Vec<u8>) {
    let place = Installation::new();
    let one = revocable(&place).await;
    let request = one.api.request(Method::POST, path).header("content-type", content_type).body(endless(beginning));
    let sending = tokio::spawn(async move { Reply::of(request.send().await.expect("an answer")).await });
    // It is under way: asked for, and not answered.
    tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    assert!(!sending.is_finished(), "{what} ended by itself");
    let at = one.revoke().await;
    let reply = tokio::time::timeout(PATIENCE, sending).await.expect("it ends by itself").expect("no panic");
    println!("{what}: ended {} ms after the revocation", at.elapsed().as_millis());
    assert_eq!(reply.status, 401, "{what}: {}", reply.text);
    let builds = one.admin.get("/v1/services/shop/builds").await.ok();
    assert_eq!(builds["items"], json!([]), "{what}: nothing came of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_ends_with_its_token() {
    is_cut_off("an upload", "/v1/services/shop/sources", "application/gzip", vec![0x1f, 0x8b, 8, 0]).await;
}

/// A push that has not come whole is not carried out; one that has, is (gitprotocol-pack: the refs
/// move after the whole pack was read).
#[tokio::test(flavor = "multi_thread")]
async fn a_push_ends_with_its_token() {
    let zero = "0".repeat(40);
    let line = format!("{zero} {} refs/heads/main\0 report-status side-band-64k", "1".repeat(40));
    let mut begin = format!("{:04x}{line}0000", line.len() + 4).into_bytes();
    begin.extend_from_slice(b"PACK\x00\x00\x00\x02\x00\x00\x00\x05");
    is_cut_off("a push", "/git/shop.git/git-receive-pack", "application/x-git-receive-pack-request", begin).await;
}

/// Who is taken out of a team sees nothing more of it, on a stream that was open already either.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_the_membership() {
    let place = Installation::new();
    let one = revocable(&place).await;
    let watcher = one.api.clone();
    let watching = tokio::spawn(async move { watcher.events("/v1/events", None, usize::MAX).await });
    let watcher = one.api.clone();
    let service =
        tokio::spawn(async move { watcher.events("/v1/services/shop/logs?follow=true", None, usize::MAX).await });
    tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    let boss = person(&one.admin, "boss", Some(("pay", "owner"))).await;
    boss.send(Method::DELETE, "/v1/teams/pay/members/olga", None).await.ok();
    let at = Instant::now();
    let events = tokio::time::timeout(PATIENCE, watching).await.expect("it ends by itself").expect("no panic");
    println!("a stream: ended {} ms after the membership", at.elapsed().as_millis());
    assert_eq!(events.last().expect("it says why").1["code"], "rights-changed", "{events:?}");
    let lines = tokio::time::timeout(PATIENCE, service).await.expect("it ends by itself").expect("no panic");
    assert_eq!(lines.last().expect("it says why").1["code"], "service-not-found", "{lines:?}");
    assert_eq!(one.api.get("/v1/services/shop").await.status, 404);
}
