use std::time::Duration;

use facts::SettingChanged;
use serde_json::Value;

use crate::rollouts::SITE;
use crate::world::World;

fn setting(version: i64) -> SettingChanged {
    SettingChanged {
        service: Some("shop".parse().unwrap()),
        environment: None,
        name: "LEVEL".parse().unwrap(),
        version,
        secret: false,
        removed: false,
    }
}

#[tokio::test]
async fn a_changed_setting_is_rolled_out_once() {
    let world = World::new().await;
    world.deploy(SITE).await;
    world.vault.0.lock().unwrap().insert("LEVEL".into(), 1);
    world.publish(&setting(1)).await;
    world.vault.0.lock().unwrap().insert("LEVEL".into(), 2);
    world.publish(&setting(2)).await;
    world.ticks(2).await;
    assert_eq!(world.rollouts().await.len(), 1, "changes are gathered");
    world.ticks(60).await;
    let all = world.rollouts().await;
    assert_eq!((all.len(), all[0].cause.as_str(), all[0].settings["LEVEL"]), (2, "settings", 2));
    assert_eq!(all[0].actor.to_string(), "platform:world");
    assert_eq!(world.newest().await, "succeeded 1");
}

#[tokio::test]
async fn a_setting_that_breaks_the_service_is_not_tried_again_and_again() {
    let world = World::new().await;
    world.deploy(SITE).await;
    world.vault.0.lock().unwrap().insert("LEVEL".into(), 1);
    world.acts.lock().unwrap().insert(1, crate::world::Acts::Errors);
    world.publish(&setting(1)).await;
    world.ticks(400).await;
    assert_eq!(world.rollouts().await.len(), 2);
    assert_eq!(world.newest().await, "failed 1");
}

#[tokio::test]
async fn a_removed_service_ends_and_comes_back() {
    let world = World::new().await;
    world.deploy(SITE).await;
    world.service("shop", true).await;
    world.ticks(3).await;
    assert_eq!(world.wanted("dev").await, " |  closed");
    assert_eq!(crate::world::code(world.upload(SITE).await), "service-removed");
    world.service("shop", false).await;
    world.settle().await;
    world.settle().await;
    assert_eq!(world.wanted("dev").await, "1 | 1=100");
    let all = world.rollouts().await;
    assert_eq!((all.len(), all[0].cause.as_str()), (2, "restart"));
}

#[tokio::test]
async fn a_rollout_ends_with_its_service() {
    let world = World::new().await;
    world.acts.lock().unwrap().insert(1, crate::world::Acts::Deaf);
    world.upload(SITE).await.unwrap();
    world.ticks(3).await;
    assert_eq!(world.newest().await, "starting 1");
    world.service("shop", true).await;
    world.ticks(3).await;
    assert_eq!(world.newest().await, "cancelled 1");
    assert_eq!(world.wanted("dev").await, " |  closed");
}

#[tokio::test]
async fn neighbours_that_say_nothing_do_not_hold_a_rollout_for_ever() {
    let world = World::new().await;
    world.deploy(SITE).await;
    *world.silent.lock().unwrap() = true;
    world.upload(&[("index.html", "two")]).await.unwrap();
    world.ticks(400).await;
    assert_eq!(world.newest().await, "failed 2");
    assert_eq!(world.wanted("dev").await, "1 | 1=100");
}

#[tokio::test]
async fn only_what_no_kept_release_needs_is_removed() {
    let world = World::new().await;
    let collect = async || {
        world.platform.driver().run_once(&world.platform, "deliver.garbage").await.unwrap();
        let objects = world.objects.0.lock().unwrap();
        let count = |prefix: &str| objects.keys().filter(|key| key.starts_with(prefix)).count();
        (count("oci/"), count("sources/"))
    };
    for n in 0..23 {
        let text = format!("version {n}");
        world.deploy(&[("index.html", &text)]).await;
    }
    assert_eq!(collect().await, (69, 23), "everything is young");
    let asked = serde_json::json!({"environment": "prod", "release": 1});
    world.call::<api::deliver::StartRollout>(&[], "", asked).await.unwrap();
    world.settle().await;
    world.objects.0.lock().unwrap().insert("oci/blobs/sha256/stranger".into(), Vec::new());
    // A platform that ends between storing and recording leaves this.
    let stray = base::SourceId::new(ports::Clock::now(&*world.clock), [7; 10]);
    world.objects.0.lock().unwrap().insert(format!("sources/{stray}.tar"), Vec::new());
    assert_eq!(collect().await.1, 24, "it may be recorded in a moment");
    world.clock.advance(Duration::from_secs(3700));
    assert_eq!(collect().await, (23 * 3 + 1, 23), "what nothing needs is put on record first");
    world.clock.advance(Duration::from_secs(6 * 24 * 3600));
    assert_eq!(collect().await, (23 * 3 + 1, 23), "and stays for the whole delay");
    // Release 2 is needed again before the delay is over.
    let asked = serde_json::json!({"environment": "staging", "release": 2});
    world.call::<api::deliver::StartRollout>(&[], "", asked).await.unwrap();
    world.settle().await;
    collect().await;
    world.clock.advance(Duration::from_secs(2 * 24 * 3600));
    // 20 newest, those that are current in prod and staging, and what nobody has recorded.
    assert_eq!(collect().await, (22 * 3 + 1, 22));
    let releases = world.call::<api::deliver::ListReleases>(&[], "limit=500", Value::Null).await.unwrap();
    assert_eq!(releases.items.len(), 23, "history stays");
}
