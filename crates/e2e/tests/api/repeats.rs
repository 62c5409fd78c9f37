//! What happens when the same is asked twice, or two ask at once; and lists in pages.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::http::{Api, Reply};
use crate::support::Installation;

async fn keyed(api: &Api, method: Method, path: &str, key: &str, body: &Value) -> Reply {
    let request = api.request(method, path).header("idempotency-key", key).json(body);
    Reply::of(request.send().await.expect("an answer")).await
}

#[tokio::test]
async fn the_same_key_is_the_same_intent() {
    let place = Installation::new();
    let admin = Api::admin(&place.up()).await;
    let body = json!({ "team": "pay" });
    let first = keyed(&admin, Method::POST, "/v1/teams", "k1", &body).await;
    let second = keyed(&admin, Method::POST, "/v1/teams", "\"k1\"", &body).await;
    assert_eq!((first.status.as_u16(), first.header("idempotency-replayed")), (200, ""), "{}", first.text);
    assert_eq!((second.status.as_u16(), second.header("idempotency-replayed")), (200, "true"), "{}", second.text);
    assert_eq!(first.json(), second.json());
    let other = keyed(&admin, Method::POST, "/v1/teams", "k1", &json!({ "team": "web" })).await;
    assert_eq!((other.status.as_u16(), other.code().as_str()), (422, "idempotency-key-reused"), "{}", other.text);
    assert_eq!(admin.get("/v1/teams/web").await.status, 404, "nothing came of it");
    // A refusal is no effect: the same key may be used for the corrected call.
    let bad = keyed(&admin, Method::POST, "/v1/teams", "k2", &json!({ "team": "UPPER" })).await;
    assert_eq!(bad.status, 422);
    let good = keyed(&admin, Method::POST, "/v1/teams", "k2", &json!({ "team": "upper" })).await;
    assert_eq!(good.status, 200, "{}", good.text);
    // A key belongs to whoever sent it, and to one endpoint.
    let person = keyed(&admin, Method::POST, "/v1/people", "k1", &json!({ "person": "ada" })).await;
    assert_eq!((person.status.as_u16(), person.header("idempotency-replayed")), (200, ""));
    // What is shown once is not shown again.
    let token = json!({ "name": "ci" });
    let once = keyed(&admin, Method::POST, "/v1/tokens", "k3", &token).await.ok();
    let again = keyed(&admin, Method::POST, "/v1/tokens", "k3", &token).await;
    assert_eq!((again.status.as_u16(), again.code().as_str()), (409, "already-done"));
    assert!(!again.text.contains(once["secret"].as_str().expect("a secret")));
}

#[tokio::test]
async fn many_at_once_with_one_key_have_one_effect() {
    let place = Installation::new();
    let admin = Api::admin(&place.up()).await;
    admin.post("/v1/teams/main/services", json!({ "service": "shop" })).await.ok();
    let path = "/v1/services/shop/settings/A";
    for round in 0..5 {
        let (key, body) = (format!("round-{round}"), json!({ "value": format!("{round}") }));
        let calls: Vec<_> = (0..8)
            .map(|_| {
                let (admin, key, body) = (admin.clone(), key.clone(), body.clone());
                tokio::spawn(async move { keyed(&admin, Method::PUT, path, &key, &body).await })
            })
            .collect();
        let mut replies = Vec::new();
        for call in calls {
            replies.push(call.await.expect("a reply"));
        }
        let done: Vec<_> = replies.iter().filter(|r| r.status == 200).collect();
        assert!(!done.is_empty() && replies.iter().all(|r| [200, 409].contains(&r.status.as_u16())), "{replies:?}");
        assert!(done.iter().all(|r| r.json() == done[0].json()), "{replies:?}");
        assert_eq!(done[0].json()["version"], json!(round + 1));
        assert_eq!(done.iter().filter(|r| r.header("idempotency-replayed").is_empty()).count(), 1, "{replies:?}");
    }
    let versions = admin.get(&format!("{path}/versions")).await.ok();
    assert_eq!(versions["items"].as_array().expect("items").len(), 5);
}

/// The archive of a site with this page.
pub fn site(page: &str) -> Vec<u8> {
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    let mut header = tar::Header::new_gnu();
    header.set_size(page.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, "index.html", page.as_bytes()).expect("memory");
    tar.into_inner().and_then(flate2::write::GzEncoder::finish).expect("memory")
}

#[tokio::test]
async fn another_archive_under_the_same_key_is_another_request() {
    let place = Installation::new();
    let admin = Api::admin(&place.up()).await;
    admin.post("/v1/teams/main/services", json!({ "service": "page" })).await.ok();
    let send = async |key: &str, archive: Vec<u8>| {
        let request = admin.request(Method::POST, "/v1/services/page/sources").header("idempotency-key", key);
        let request = request.header("content-type", "application/gzip");
        Reply::of(request.body(archive).send().await.expect("an answer")).await
    };
    let first = send("u1", site("one")).await;
    let same = send("u1", site("one")).await;
    assert_eq!((first.status.as_u16(), first.header("idempotency-replayed")), (200, ""), "{}", first.text);
    assert_eq!((same.status.as_u16(), same.header("idempotency-replayed")), (200, "true"), "{}", same.text);
    assert_eq!(first.json(), same.json());
    for other in [site("two"), Vec::new(), [site("one"), b"more".to_vec()].concat()] {
        let other = send("u1", other).await;
        assert_eq!((other.status.as_u16(), other.code().as_str()), (422, "idempotency-key-reused"), "{}", other.text);
    }
    let fresh = send("u2", site("two")).await;
    assert_eq!((fresh.status.as_u16(), fresh.header("idempotency-replayed")), (200, ""), "{}", fresh.text);
    assert_ne!(fresh.json()["source"], first.json()["source"]);
    let builds = admin.get("/v1/services/page/builds").await.ok();
    assert_eq!(builds["items"].as_array().expect("items").len(), 2, "{builds}");
}

#[tokio::test]
async fn who_changes_what_has_changed_is_told() {
    let place = Installation::new();
    let admin = Api::admin(&place.up()).await;
    admin.post("/v1/teams/main/services", json!({ "service": "shop" })).await.ok();
    let read = admin.get("/v1/services/shop").await;
    let tag = read.header("etag").to_owned();
    assert!(tag.starts_with('"') && tag.ends_with('"'), "ETag {tag:?}");
    let change = async |tag: &str, text: &str| {
        let request = admin.request(Method::PATCH, "/v1/services/shop").header("if-match", tag);
        Reply::of(request.json(&json!({ "description": text })).send().await.expect("an answer")).await
    };
    let first = change(&tag, "one").await;
    assert_eq!(first.status, 200, "{}", first.text);
    assert_ne!(first.header("etag"), tag);
    let stale = change(&tag, "two").await;
    assert_eq!(stale.status, 412, "{}", stale.text);
    assert!(!stale.json()["hint"].as_str().unwrap_or_default().is_empty(), "{}", stale.text);
    assert_eq!(change("*", "three").await.status, 200);
    assert_eq!(admin.get("/v1/services/shop").await.ok()["description"], "three");
}

/// Walks a list in pages of `size`; every item once.
async fn walk(api: &Api, path: &str, size: usize) -> Vec<Value> {
    let (mut all, mut after) = (Vec::new(), None::<String>);
    for _ in 0..1000 {
        let mark = after.map(|a| format!("&after={a}")).unwrap_or_default();
        let page = api.get(&format!("{path}limit={size}{mark}")).await.ok();
        let items = page["items"].as_array().expect("items").clone();
        assert!(items.len() <= size, "{path} gave {} items of {size}", items.len());
        all.extend(items);
        match page["next"].as_str() {
            Some(next) => after = Some(next.to_owned()),
            None => return all,
        }
    }
    panic!("{path} has no end");
}

#[tokio::test]
async fn pages_make_the_whole() {
    let place = Installation::new();
    let admin = Api::admin(&place.up()).await;
    for n in 0..23 {
        admin.post("/v1/teams/main/services", json!({ "service": format!("s{n:02}") })).await.ok();
        admin.post("/v1/teams", json!({ "team": format!("t{n:02}") })).await.ok();
        admin.post("/v1/people", json!({ "person": format!("p{n:02}") })).await.ok();
        let value = json!({ "value": "1" });
        admin.send(Method::PUT, &format!("/v1/settings/S{n:02}"), Some(value)).await.ok();
    }
    for n in 0..12 {
        admin.post("/v1/tokens", json!({ "name": format!("t{n}") })).await.ok();
    }
    for (path, least) in [
        ("/v1/services?", 23),
        ("/v1/teams?", 24),
        ("/v1/people?", 24),
        ("/v1/settings?", 23),
        ("/v1/tokens?", 12),
        ("/v1/audit?subject=s&", 23),
        ("/v1/services/s00/activity?", 1),
    ] {
        let whole = admin.get(&format!("{path}limit=500")).await.ok()["items"].as_array().expect("items").clone();
        let distinct: BTreeSet<String> = whole.iter().map(Value::to_string).collect();
        assert_eq!(distinct.len(), whole.len(), "{path} repeats itself");
        assert!(whole.len() >= least, "{path} has only {} items", whole.len());
        for size in [1, 7, whole.len()] {
            assert_eq!(walk(&admin, path, size).await, whole, "{path} in pages of {size}");
        }
    }
}

/// Every list goes on from where its cursor stood, also when the item that it names was removed.
#[tokio::test]
async fn a_cursor_outlives_its_item() {
    let place = Installation::new();
    let admin = Api::admin(&place.up()).await;
    let mut tokens = Vec::new();
    for n in 0..3 {
        admin.post("/v1/teams", json!({ "team": format!("t{n}") })).await.ok();
        admin.post("/v1/people", json!({ "person": format!("p{n}") })).await.ok();
        admin.post("/v1/teams/main/services", json!({ "service": format!("s{n}") })).await.ok();
        let token = admin.post("/v1/tokens", json!({ "name": format!("k{n}") })).await.ok();
        tokens.push(token["token"]["token"].as_str().expect("an id").to_owned());
    }
    let remove = async |path: &str| {
        admin.send(Method::DELETE, path, None).await.ok();
    };
    let rest = async |path: &str, after: &str, field: &str| -> Vec<String> {
        let page = admin.get(&format!("{path}?limit=500&after={after}")).await.ok();
        let items = page["items"].as_array().expect("items").clone();
        items.iter().map(|item| item[field].as_str().expect("a name").to_owned()).collect()
    };
    for (path, field, name) in [
        ("/v1/teams", "team", "t1"),
        ("/v1/people", "person", "p1"),
        ("/v1/services", "service", "s1"),
        ("/v1/tokens", "token", &*tokens[1]),
    ] {
        let before = rest(path, name, field).await;
        assert!(!before.is_empty() && before.iter().all(|item| item != name), "{path} behind {name}: {before:?}");
        remove(&format!("{path}/{name}")).await;
        assert_eq!(rest(path, name, field).await, before, "{path} behind {name}, which was removed");
    }
}
