//! What is removed can be brought back.

use std::collections::BTreeMap;
use std::time::Duration;

use base::{EnvironmentName, ServiceName};
use serde_json::{Value, json};
use sim::{Ended, Request, World, push};

use crate::actions::{REST, create, deploy, held, service, serving, set, world_with_first};

/// Everything of a service that is not an instance or a route.
async fn everything(world: &mut World) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    for endpoint in ["listReleases", "listSettings", "listBuilds"] {
        let answer = world.call(Request::about(endpoint, "shop").reads()).await.expect("it can be listed");
        all.insert(endpoint.to_owned(), answer);
    }
    let (shop, dev): (ServiceName, EnvironmentName) = ("shop".parse().expect("a name"), "dev".parse().expect("a name"));
    let vault = std::sync::Arc::clone(&world.platform().ports().vault);
    for setting in vault.current(&shop, &dev).await.expect("settings can be read") {
        let value = vault.open(&setting).await.expect("a setting can be opened").expose().clone();
        all.insert(format!("value of {} {}", setting.name, setting.version), json!(value));
    }
    for key in world.objects.keys() {
        let digest = base::Digest::of(&world.objects.get(&key).unwrap_or_default());
        all.insert(format!("object {key}"), json!(digest.to_string()));
    }
    let repository = world.depot.repository(&shop);
    all.insert("repository".to_owned(), json!(format!("{repository:?}")));
    all
}

/// A month in which what nothing needs is deleted.
async fn a_month_passes(world: &mut World) {
    for _ in 0..4 {
        world.pass(Duration::from_secs(8 * 24 * 3600));
        world.disturbed();
        for name in ["deliver.garbage", "kernel.housekeeping"] {
            if let Ended::Done(Err(problem)) = world.reconcile(name).await {
                panic!("{name}: {problem}");
            }
        }
        world.come_to_rest(REST).await;
    }
}

#[tokio::test]
async fn removal_and_restoration_bring_back_every_byte() {
    let mut world = world_with_first(130).await;
    let commit = format!("{:040x}", 5);
    let pushed = push("refs/heads/main", &commit, &[("Procfile", "web: sim ready=100")]);
    world.call(Request::push("shop", pushed)).await.expect("a push is taken");
    world.come_to_rest(REST).await;
    world.call(set("COLOUR", "blue")).await.expect("a setting can be set");
    let secret = Request::about("setSetting", "shop").at("name", "PASSWORD");
    world.call(secret.body(json!({ "value": "hunter2", "secret": true }))).await.expect("a secret can be set");
    world.come_to_rest(REST).await;
    let before = everything(&mut world).await;
    assert!(before.values().any(|value| *value == json!("hunter2")), "the secret is compared too");

    world.call(service("removeService")).await.expect("it can be removed");
    world.come_to_rest(REST).await;
    a_month_passes(&mut world).await;
    assert_eq!(serving(&mut world, "dev").await, None);
    assert!(create(&mut world, "shop").await.is_err(), "the name of what was removed is not given again");
    world.call(service("restoreService")).await.expect("it can be restored");
    world.come_to_rest(REST).await;

    assert_eq!(everything(&mut world).await, before);
    assert_eq!(serving(&mut world, "dev").await, Some(2), "what served serves");
    deploy(&mut world, "web: sim ready=120").await.expect("an upload is taken");
    world.come_to_rest(REST).await;
    assert_eq!(serving(&mut world, "dev").await, Some(3), "numbers go on");
    held(&world, "removed for a month and restored");
}
