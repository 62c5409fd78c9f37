//! A service is taken out of use with the command line, and brought back; what nothing needs any
//! more is deleted when its time has come.

use std::collections::BTreeMap;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::http::Api;
use crate::load::Load;
use crate::support::{Installation, Up, eventually, fixture, runs};

/// More releases than are kept of a service.
const RELEASES: usize = 22;

/// Every object that is kept, with the digest of its content.
fn objects(place: &Installation) -> BTreeMap<String, String> {
    fn walk(folder: &Path, all: &mut BTreeMap<String, String>) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            match path.is_dir() {
                true => walk(&path, all),
                false => {
                    // What is deleted at this moment is not kept.
                    let Ok(content) = std::fs::read(&path) else { continue };
                    all.insert(path.display().to_string(), base::Digest::of(&content).to_string());
                }
            }
        }
    }
    let mut all = BTreeMap::new();
    walk(&place.data.join("objects"), &mut all);
    all
}

/// Everything that people can ask about a service that is not an instance or a rollout, byte for byte.
async fn everything(api: &Api, service: &str) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for what in ["releases?limit=500", "settings", "builds?limit=500", "settings/COLOUR/versions"] {
        let reply = api.get(&format!("/v1/services/{service}/{what}")).await;
        assert_eq!(reply.status, 200, "{what}: {}", reply.text);
        all.insert(what.to_owned(), reply.text);
    }
    all
}

async fn page(up: &Up, host: &str) -> (u16, String) {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let answer = client.get(&up.gateway).header("host", host).send().await.expect("the gateway answers");
    (answer.status().as_u16(), answer.text().await.unwrap_or_default())
}

/// The control plane is away for so many hours.
fn later(place: &Installation, up: &Up, offset: &Path, hours: i64) -> Up {
    kill_process(Pid::from_raw(up.pid).expect("a process"), Signal::TERM).expect("it runs");
    eventually("the control plane ends", || !runs(up.pid));
    std::fs::write(offset, (hours * 3600).to_string()).expect("a file");
    // Without it the wall clock is believed, as on a machine that was off.
    std::fs::remove_file(place.data.join("run/clock.json")).expect("the platform's time is kept there");
    place.up()
}

/// Waits a while for something that the next line asks for.
async fn meanwhile(holds: impl AsyncFn() -> bool) {
    for _ in 0..300 {
        if holds().await {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

/// What no kept release needs is recorded first, and goes when the delay has passed, not before.
fn only_what_nothing_needs_goes(place: &Installation, up: Up, offset: &Path, kept: &BTreeMap<String, String>) -> Up {
    place.orlop(["service", "remove", "shop", "--yes"]).ok();
    let up = later(place, &up, offset, 2);
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(objects(place), *kept, "recorded, and still there");
    let up = later(place, &up, offset, 4);
    eventually("what nothing needs is deleted", || objects(place).len() < kept.len());
    let mut left = objects(place);
    eventually("it comes to rest", || {
        std::thread::sleep(std::time::Duration::from_secs(1));
        let now = objects(place);
        std::mem::replace(&mut left, now.clone()) == now
    });
    assert!(left.iter().all(|(key, digest)| kept.get(key) == Some(digest)), "what is left is as it was");
    let oldest = place.orlop(["rollback", "--service", "shop", "--env", "dev", "--to", "1"]);
    assert_ne!(oldest.code, 0, "a removed service is not rolled back: {oldest:?}");
    up
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_service_comes_back_byte_for_byte_and_only_what_nothing_needs_goes() {
    let mut place = Installation::new();
    let offset = place.home().join("offset");
    std::fs::write(&offset, "0").expect("a file");
    place.variables = vec![("ORLOP_TEST_WALL_CLOCK_OFFSET_FILE".to_owned(), offset.display().to_string())];
    place.flags = ["--set", "deletion.delay=1s", "--set", "rollout.verify=50ms"].map(str::to_owned).into();
    let up = place.up();
    let api = Api::admin(&up).await;
    api.sign_in_cli(&place).await;
    let (shop, other) = (place.copy(&fixture("static"), "shop"), place.copy(&fixture("static"), "shop-two"));
    place.orlop_in(&other, ["deploy"]).ok();
    for n in 0..RELEASES {
        std::fs::write(shop.join("index.html"), format!("<p>page {n}")).expect("a file");
        place.orlop_in(&shop, ["deploy"]).ok();
    }
    place.orlop(["setting", "set", "COLOUR=blue", "--service", "shop"]).ok();
    let secret = serde_json::json!({ "value": "hunter2", "secret": true });
    api.send(reqwest::Method::PUT, "/v1/services/shop/settings/PASSWORD", Some(secret)).await.ok();
    let load = Load::begin(&up.gateway, "shop-two-dev.localhost");
    load.more().await;
    let (before, kept) = (everything(&api, "shop").await, objects(&place));
    let shown = page(&up, "shop-dev.localhost").await;
    assert_eq!(shown.0, 200);
    assert!(shown.1.contains(&format!("page {}", RELEASES - 1)), "{shown:?}");

    // Nobody is there to be asked: it is not done.
    let asked = place.orlop(["service", "remove", "shop"]);
    assert_ne!(asked.code, 0, "{asked:?}");
    assert_eq!(page(&up, "shop-dev.localhost").await, shown);
    place.orlop(["service", "remove", "shop", "--yes"]).ok();
    eventually("its instances end", || {
        place.orlop(["status", "shop", "--json"]).json().to_string().contains("\"removed\"")
            || !place.orlop(["service", "list", "--json"]).out.contains("\"shop\"")
    });
    meanwhile(async || page(&up, "shop-dev.localhost").await.0 == 404).await;
    assert_eq!(page(&up, "shop-dev.localhost").await.0, 404, "its route is closed");
    assert_eq!(objects(&place), kept, "nothing of it is deleted");
    let again = place.orlop(["service", "create", "shop"]);
    assert_ne!(again.code, 0, "its name is not given to another one: {again:?}");
    load.more().await;

    // Undone at once: every byte.
    place.orlop(["service", "restore", "shop"]).ok();
    meanwhile(async || page(&up, "shop-dev.localhost").await == shown).await;
    assert_eq!(page(&up, "shop-dev.localhost").await, shown, "what served serves");
    // It is the current one again once it was watched.
    meanwhile(async || everything(&api, "shop").await == before).await;
    assert_eq!(everything(&api, "shop").await, before);
    assert_eq!(objects(&place), kept);
    let failed = load.end().await;
    assert!(failed.is_empty(), "the one of a like name: {} requests failed: {failed:?}", failed.len());

    let up = only_what_nothing_needs_goes(&place, up, &offset, &kept);

    // The tombstone holds longer than the delay: it still comes back, with what it keeps.
    place.orlop(["service", "restore", "shop"]).ok();
    let api = api.at(&up);
    meanwhile(async || page(&up, "shop-dev.localhost").await == shown).await;
    assert_eq!(page(&up, "shop-dev.localhost").await, shown, "what served serves");
    assert_eq!(everything(&api, "shop").await["settings"], before["settings"]);
    assert_eq!(page(&up, "shop-two-dev.localhost").await.0, 200);
    let gone = place.orlop(["rollback", "--service", "shop", "--env", "dev", "--to", "1"]);
    assert_ne!(gone.code, 0, "its artifact is gone: {gone:?}");
    assert!(!gone.err.contains("internal"), "{}", gone.err);
    place.orlop(["rollback", "--service", "shop", "--env", "dev"]).ok();
    assert_eq!(page(&up, "shop-dev.localhost").await.1, format!("<p>page {}", RELEASES - 2));
    let verify: Value = api.get("/v1/audit/verification").await.ok();
    assert_eq!(verify["ok"], true, "{verify}");
}
