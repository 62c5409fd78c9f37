//! Streams of events: whoever goes on behind an id misses nothing and gets nothing twice.

use serde_json::Value;

use crate::http::Api;
use crate::support::{Installation, Up, fixture};

/// Broken off behind any event, the rest is what it was.
async fn check(api: &Api, path: &str, least: usize, to_the_end: bool) {
    let many = if to_the_end { usize::MAX } else { least };
    let whole = api.events(path, None, many).await;
    assert!(whole.len() >= least, "{path} gave only {} events", whole.len());
    let mut ids: Vec<&str> = whole.iter().map(|(id, _)| id.as_str()).collect();
    assert!(ids.iter().all(|id| !id.is_empty()), "{path} has events without ids");
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), whole.len(), "{path} repeats ids");
    let last = whole.len() - 1;
    for i in [0, whole.len() / 2, last.saturating_sub(1)] {
        let rest = api.events(path, Some(&whole[i].0), whole.len() - i - 1).await;
        assert_eq!(rest, whole[i + 1..], "{path} behind event {i} of {}", whole.len());
    }
    let bad = api.request(reqwest::Method::GET, path).header("last-event-id", "nonsense, not an id").send().await;
    let bad = crate::http::Reply::of(bad.expect("an answer")).await;
    assert_eq!((bad.status.as_u16(), bad.code().as_str()), (422, "bad-event-id"), "{path}: {}", bad.text);
}

async fn deployed(place: &Installation) -> (Up, Api) {
    let up = place.up();
    let api = Api::admin(&up).await;
    let folder = place.copy(&fixture("static"), "pages");
    // The command line signs in with a code of its own.
    let link = api.send(reqwest::Method::POST, "/v1/people/admin/sign-in", None).await.ok();
    place.orlop(["login", &up.url, "--code", link["code"].as_str().expect("a code")]).ok();
    place.orlop_in(&folder, ["deploy"]).ok();
    (up, api)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_stream_has_gaps_or_repeats() {
    let place = Installation::new();
    let (_, api) = deployed(&place).await;
    check(&api, "/v1/events?after=0", 20, false).await;
    check(&api, "/v1/events?after=0&service=pages", 10, false).await;
    check(&api, "/v1/services/pages/logs?tail=10000", 3, true).await;
    let id = async |service: &str, list: &str, key: &str| {
        let page = api.get(&format!("/v1/services/{service}/{list}")).await.ok();
        page.pointer(&format!("/items/0/{key}")).and_then(Value::as_str).expect(key).to_owned()
    };
    let rollout = id("pages", "rollouts", "rollout").await;
    check(&api, &format!("/v1/services/pages/rollouts/{rollout}/events"), 1, true).await;
    let source = id("pages", "builds", "source").await;
    check(&api, &format!("/v1/services/pages/deploys/{source}/events"), 5, true).await;
    // A site has no build steps that could say something; this one fails aloud.
    let ran = place.orlop_in(&place.copy(&fixture("broken-build"), "broken"), ["deploy"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    let build = id("broken", "builds", "build").await;
    check(&api, &format!("/v1/services/broken/builds/{build}/log"), 3, true).await;
}

/// A revoked token ends what it began.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_its_token() {
    let place = Installation::new();
    let admin = Api::admin(&place.up()).await;
    let issued = admin.post("/v1/tokens", serde_json::json!({ "name": "watcher", "scopes": ["read"] })).await.ok();
    let watcher = admin.with(issued["secret"].as_str().expect("a secret"));
    let watching = tokio::spawn(async move { watcher.events("/v1/events", None, usize::MAX).await });
    let id = issued.pointer("/token/token").and_then(Value::as_str).expect("an id");
    admin.send(reqwest::Method::DELETE, &format!("/v1/tokens/{id}"), None).await.ok();
    let events = watching.await.expect("the stream ends by itself");
    let last = events.last().expect("it says why");
    assert_eq!(last.1["status"], 401, "{events:?}");
}
