use api::deliver::{
    CancelRollout, GetBoard, GetRelease, NewRollout, Progress, RolloutState, StartRollout, WatchRollout,
};
use base::Result;
use serde_json::{Value, json};

use crate::world::{Acts, World, code};

pub const SITE: &[(&str, &str)] = &[("index.html", "one")];
const TASK: &[(&str, &str)] = &[("Procfile", "web: ./shop\nrelease: ./shop migrate\n")];

async fn start(world: &World, asked: Value) -> Result<api::deliver::Rollout> {
    let _: NewRollout = serde_json::from_value(asked.clone()).unwrap();
    world.call::<StartRollout>(&[], "", asked).await
}

fn outcome(done: &Progress) -> (bool, String, Option<i64>, Option<i64>) {
    match done {
        Progress::Done { ok, text, release, serving, .. } => (*ok, text.clone(), *release, *serving),
        other => panic!("the last event is {other:?}"),
    }
}

/// Deploys `count` good versions of a site.
async fn deployed(count: usize) -> World {
    let world = World::new().await;
    for n in 0..count {
        let text = format!("version {n}");
        let done = world.deploy(&[("index.html", &text)]).await;
        assert!(outcome(&done).0, "{done:?}");
    }
    world
}

#[tokio::test]
async fn an_upload_becomes_a_release_with_all_the_traffic() {
    let world = World::new().await;
    let done = world.deploy(SITE).await;
    let Progress::Done { ok, text, url, release, serving, rollout, .. } = &done else { panic!("{done:?}") };
    assert_eq!((*ok, *release, *serving), (true, Some(1), Some(1)), "{text}");
    assert_eq!(url.as_deref(), Some("http://shop-dev.localhost:8080"));
    assert_eq!(text, "release 1 is current, observed healthy on its route");
    assert_eq!(world.wanted("dev").await, "1 | 1=100");
    let id = rollout.unwrap().to_string();
    let told = world.events::<WatchRollout>(&[("rollout", &id)], None).await;
    let last = &told.last().unwrap().1;
    let states: Vec<String> = last.history.iter().map(|step| format!("{:?}", step.state)).collect();
    assert_eq!(states, ["Pending", "Starting", "Shifting", "Verifying", "Draining", "Succeeded"]);
    assert!(last.deadline.is_none() && last.ended.is_some());
    let again = world.deploy(&[("index.html", "two")]).await;
    assert_eq!(outcome(&again).2, Some(2));
    assert_eq!(world.wanted("dev").await, "2 | 2=100");
    let release = world.call::<GetRelease>(&[("number", "2")], "", Value::Null).await.unwrap();
    assert_eq!(release.current_in, ["dev".parse().unwrap()]);
}

#[tokio::test]
async fn a_broken_third_version_never_gets_traffic() {
    for (acts, says) in [
        (Acts::Crashes, "crashed 3 times: it ended with exit status 1"),
        (Acts::Deaf, "not ready within 1m: `web`: what the probe saw"),
        (Acts::Errors, "no good answer through the gateway within 30s: GET / through the gateway: 500"),
    ] {
        let world = deployed(2).await;
        world.acts.lock().unwrap().insert(3, acts);
        let deploy = world.upload(&[("index.html", "broken")]).await.unwrap();
        for _ in 0..400 {
            world.tick().await;
            let wanted = world.wanted("dev").await;
            assert!(["2 | 2=100", "2,3 | 2=100", "2,3 | 2=100,3=0"].contains(&wanted.as_str()), "{acts:?}: {wanted}");
        }
        let (ok, text, release, serving) = outcome(&world.done(&deploy).await);
        assert_eq!((ok, release, serving), (false, Some(3), Some(2)));
        assert!(text.contains(says) && text.ends_with("release 2 serves"), "{acts:?}: {text}");
        assert_eq!(world.wanted("dev").await, "2 | 2=100");
    }
}

#[tokio::test]
async fn what_breaks_under_traffic_is_undone() {
    let world = deployed(2).await;
    world.acts.lock().unwrap().insert(3, Acts::BreaksUnderTraffic);
    let done = world.deploy(&[("index.html", "broken")]).await;
    let (ok, text, _, serving) = outcome(&done);
    assert!(!ok && text.contains("exit status 9") && text.ends_with("release 2 serves again"), "{text}");
    assert_eq!(serving, Some(2));
    assert_eq!(world.wanted("dev").await, "2 | 2=100");
    let Progress::Done { evidence, .. } = done else { panic!() };
    assert!(evidence.iter().any(|line| line == "| its last words"), "{evidence:?}");
}

#[tokio::test]
async fn a_release_command_runs_before_anything_else() {
    let world = World::new().await;
    assert!(outcome(&world.deploy(TASK).await).0);
    let first = &world.rollouts().await[0];
    assert_eq!(first.history[1].state, RolloutState::Releasing);
    world.acts.lock().unwrap().insert(2, Acts::TaskFails);
    let (ok, text, _, serving) = outcome(&world.deploy(TASK).await);
    assert!(!ok && text.contains("the release command failed: it ended with exit status 4"), "{text}");
    assert_eq!(serving, Some(1));
    assert_eq!(world.wanted("dev").await, "1 | 1=100");
}

#[tokio::test]
async fn rollback_brings_back_the_release_and_its_settings() {
    let world = World::new().await;
    world.vault.0.lock().unwrap().insert("LEVEL".into(), 1);
    world.deploy(SITE).await;
    world.vault.0.lock().unwrap().insert("LEVEL".into(), 2);
    world.deploy(&[("index.html", "two")]).await;
    let asked = start(&world, json!({"environment": "dev", "rollback": true, "reason": "it is slow"})).await.unwrap();
    assert_eq!((asked.number, asked.cause.as_str(), asked.settings["LEVEL"]), (1, "rollback", 1));
    world.settle().await;
    assert_eq!(world.newest().await, "succeeded 1");
    assert_eq!(world.wanted("dev").await, "1 | 1=100");
    world.ticks(20).await;
    assert_eq!(world.rollouts().await.len(), 3, "a rollback is not undone by the settings of now");
    let named = start(&world, json!({"environment": "dev", "rollback": true, "release": 2})).await.unwrap();
    assert_eq!((named.number, named.settings["LEVEL"]), (2, 2));
    world.settle().await;
    assert_eq!(code(start(&world, json!({"environment": "dev", "rollback": true, "release": 9})).await), "never-ran");
}

#[tokio::test]
async fn promotion_takes_the_very_same_release() {
    let world = deployed(1).await;
    let dev = world.rollouts().await[0].clone();
    assert_eq!(code(start(&world, json!({"environment": "prod", "from": "staging"})).await), "nothing-runs");
    let asked = start(&world, json!({"environment": "staging", "from": "dev"})).await.unwrap();
    assert_eq!((asked.release, asked.cause.as_str()), (dev.release, "promotion"));
    world.settle().await;
    assert_eq!(world.wanted("staging").await, "1 | 1=100");
    world.deploy(&[("index.html", "two")]).await;
    let board = world.call::<GetBoard>(&[], "", Value::Null).await.unwrap().items;
    let shown: Vec<_> =
        board.iter().map(|entry| (entry.environment.as_str(), entry.release, entry.differs.join("; "))).collect();
    assert_eq!(
        shown,
        [
            ("dev", Some(2), String::new()),
            ("staging", Some(1), "release 1 here, 2 in dev".to_owned()),
            ("prod", None, "nothing runs here; staging runs release 1".to_owned()),
        ]
    );
    assert_eq!(code(start(&world, json!({"environment": "qa", "from": "dev"})).await), "environment-not-found");
    assert_eq!(code(start(&world, json!({"environment": "prod"})).await), "which-rollout");
}

#[tokio::test]
async fn a_newer_rollout_takes_over_at_once() {
    let world = deployed(2).await;
    world.acts.lock().unwrap().insert(3, Acts::Deaf);
    let third = world.upload(&[("index.html", "slow")]).await.unwrap();
    world.ticks(4).await;
    assert_eq!(world.wanted("dev").await, "2,3 | 2=100");
    let fourth = world.upload(&[("index.html", "better")]).await.unwrap();
    world.ticks(1).await;
    let states: Vec<_> = world.rollouts().await.iter().map(|r| (r.number, r.state)).collect();
    assert_eq!(states[1], (3, RolloutState::Superseded));
    assert!(world.wanted("dev").await.starts_with("2,4 |"), "{}", world.wanted("dev").await);
    world.settle().await;
    assert!(outcome(&world.done(&fourth).await).0);
    let (ok, text, ..) = outcome(&world.done(&third).await);
    assert!(!ok && text.contains("a newer rollout took its place: release 4"), "{text}");
    assert_eq!(world.wanted("dev").await, "4 | 4=100");
}

#[tokio::test]
async fn what_is_superseded_while_it_serves_serves_until_the_newer_one_is_ready() {
    let world = deployed(1).await;
    world.upload(&[("index.html", "two")]).await.unwrap();
    while world.newest().await != "verifying 2" {
        world.tick().await;
    }
    world.acts.lock().unwrap().insert(3, Acts::Crashes);
    world.upload(&[("index.html", "three")]).await.unwrap();
    for _ in 0..60 {
        world.tick().await;
        let wanted = world.wanted("dev").await;
        assert!(wanted.contains("2=100"), "{wanted}");
    }
    assert_eq!(world.newest().await, "failed 3");
    assert_eq!(world.wanted("dev").await, "2 | 2=100");
}

#[tokio::test]
async fn a_rollout_can_be_stopped_in_every_state() {
    for state in ["pending 2", "starting 2", "shifting 2", "verifying 2", "draining 2"] {
        let world = deployed(1).await;
        *world.in_flight.lock().unwrap() = 3;
        world.upload(&[("index.html", "two")]).await.unwrap();
        for _ in 0..100 {
            if world.newest().await == state {
                break;
            }
            // One part at a time, so that no state is passed unseen.
            if state == "pending 2" {
                world.platform.driver().work_once(&world.platform, "w").await.unwrap();
            } else {
                world.tick().await;
            }
        }
        assert_eq!(world.newest().await, state);
        let id = world.rollouts().await[0].rollout.to_string();
        world.call::<CancelRollout>(&[("rollout", &id)], "", Value::Null).await.unwrap();
        world.settle().await;
        assert_eq!(world.newest().await, "cancelled 2", "from {state}");
        assert_eq!(world.wanted("dev").await, "1 | 1=100", "from {state}");
        let board = world.call::<GetBoard>(&[], "", Value::Null).await.unwrap().items;
        assert_eq!(board[0].release, Some(1), "from {state}");
        assert_eq!(code(world.call::<CancelRollout>(&[("rollout", &id)], "", Value::Null).await), "rollout-ended");
    }
}

#[tokio::test]
async fn nothing_starts_while_a_need_or_a_setting_is_missing() {
    let world = World::new().await;
    let files = |yaml| [("index.html", "x"), ("orlop.yaml", yaml)];
    let (ok, text, ..) = outcome(&world.deploy(&files("needs: { stock: { service: stock } }")).await);
    assert!(!ok && text.contains("needs.stock.service") && text.contains("does not exist"), "{text}");
    let done = world.deploy(&files("settings: { A: \"${settings.B}\" }\n")).await;
    let build = world.call::<api::deliver::ListBuilds>(&[], "", Value::Null).await.unwrap().items;
    let said = format!("{done:?} {}", build[0].reason);
    assert!(said.contains("orlop setting set B=") || said.contains("`B`"), "{said}");
    assert!(!world.wanted("dev").await.contains('='));
    world.service("stock", false).await;
    let (ok, text, ..) = outcome(&world.deploy(&files("needs: { stock: { service: stock } }")).await);
    assert!(ok, "{text}");
    let (wish, _) = world.latest::<facts::InstancesWanted>("shop/dev").await.unwrap();
    let need = wish.sets[0].needs.values().next().unwrap();
    assert_eq!((need.url.as_str(), need.port), ("http://stock-dev.localhost:8080", 8080));
}

#[tokio::test]
async fn a_host_of_somebody_else_stops_a_rollout_before_traffic_moves() {
    let world = deployed(1).await;
    let done = world.deploy(&[("index.html", "x"), ("orlop.yaml", "routes: [ { host: taken.example.com } ]")]).await;
    let (ok, text, _, serving) = outcome(&done);
    assert!(!ok && text.contains("belongs to another service"), "{text}");
    assert_eq!(serving, Some(1));
}

#[tokio::test]
async fn workers_have_no_route() {
    let world = World::new().await;
    let worker = &[("orlop.yaml", "kind: worker\nrun: { command: [./work] }"), ("work", "x")];
    let done = world.deploy(worker).await;
    let Progress::Done { ok, url, text, .. } = &done else { panic!() };
    assert!(*ok && url.is_none() && text.ends_with("observed running"), "{done:?}");
    assert_eq!(world.wanted("dev").await, "1 |  closed");
}

#[tokio::test]
async fn what_was_seen_before_the_newest_wish_is_not_believed() {
    let world = deployed(1).await;
    world.upload(&[("index.html", "two")]).await.unwrap();
    while world.newest().await != "verifying 2" {
        world.tick().await;
    }
    world.tick().await;
    // From here on everything that is known is from before the traffic left the old release alone:
    // it says that no request is under way.
    *world.silent.lock().unwrap() = true;
    world.ticks(40).await;
    assert_eq!(world.newest().await, "draining 2");
    assert_eq!(world.wanted("dev").await, "1,2 | 2=100", "the old release is not ended on old news");
    world.ticks(400).await;
    assert_eq!(world.newest().await, "succeeded 2", "and not kept for ever");
}
