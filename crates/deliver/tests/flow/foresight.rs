//! What is told before anything is done: plans, comparisons; and what ran.

use api::deliver::{BuildState, CompareEnvironments, ListRuns, PlanRollout, Run, RunKind, StartRollout};
use serde_json::{Value, json};

use crate::rollouts::SITE;
use crate::world::{World, code};

const OTHER: &[(&str, &str)] = &[("index.html", "two")];
const TASK: &[(&str, &str)] = &[("Procfile", "web: ./shop\nrelease: ./shop migrate\n")];

async fn promote(world: &World) {
    world.call::<StartRollout>(&[], "", json!({"environment": "staging", "from": "dev"})).await.unwrap();
    world.settle().await;
}

#[tokio::test]
async fn a_plan_is_what_is_started_then_and_starts_nothing() {
    let world = World::new().await;
    world.deploy(SITE).await;
    promote(&world).await;
    world.deploy(OTHER).await;
    world.vault.0.lock().unwrap().insert("LEVEL".into(), 3);
    let before = world.rollouts().await.len();
    for (query, asked) in [
        ("environment=staging&from=dev", json!({"environment": "staging", "from": "dev"})),
        ("environment=dev&rollback=true", json!({"environment": "dev", "rollback": true})),
        ("environment=dev&restart=true", json!({"environment": "dev", "restart": true})),
        ("environment=dev&release=1", json!({"environment": "dev", "release": 1})),
    ] {
        let plan = world.call::<PlanRollout>(&[], query, Value::Null).await.unwrap();
        let begun = world.call::<StartRollout>(&[], "", asked).await.unwrap();
        assert_eq!((plan.to.release, plan.cause), (begun.number, begun.cause), "{query}");
        assert!(!plan.steps.is_empty() && plan.now.is_some(), "{query}");
        world.settle().await;
    }
    assert_eq!(world.rollouts().await.len(), before + 4, "only what was started was started");
}

#[tokio::test]
async fn a_plan_names_what_changes_and_refuses_as_a_start_would() {
    let world = World::new().await;
    world.deploy(SITE).await;
    promote(&world).await;
    world.deploy(OTHER).await;
    world.vault.0.lock().unwrap().insert("LEVEL".into(), 3);
    let plan = world.call::<PlanRollout>(&[], "environment=staging&from=dev", Value::Null).await.unwrap();
    assert_eq!((plan.to.release, plan.now.map(|now| now.release)), (2, Some(1)));
    let told: Vec<_> =
        plan.settings.iter().map(|s| (s.name.as_str(), s.from.is_none(), s.to.as_ref().map(|to| to.version))).collect();
    assert_eq!(told, [("LEVEL", true, Some(3))]);
    for (query, refusal) in [
        ("environment=staging&from=staging", "same-environment"),
        ("environment=prod&from=nowhere", "environment-not-found"),
        ("environment=prod&restart=true", "nothing-runs"),
        ("environment=prod&rollback=true", "nothing-before"),
        ("environment=dev&release=9", "release-not-found"),
        ("environment=dev", "which-rollout"),
    ] {
        assert_eq!(code(world.call::<PlanRollout>(&[], query, Value::Null).await), refusal, "{query}");
    }
}

#[tokio::test]
async fn two_environments_are_compared_by_what_runs() {
    let world = World::new().await;
    world.deploy(SITE).await;
    promote(&world).await;
    world.vault.0.lock().unwrap().insert("LEVEL".into(), 1);
    world.deploy(OTHER).await;
    let compare = async |to: &str, from: &str| {
        world.call_at::<CompareEnvironments>(&[("environment", to)], &format!("from={from}"), Value::Null).await
    };
    let page = compare("staging", "dev").await.unwrap();
    let [shop] = page.items.as_slice() else { panic!("{page:?}") };
    assert_eq!((shop.behind, shop.ahead.len(), shop.ahead[0].release), (1, 1, 2));
    assert_eq!(shop.settings.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["LEVEL"]);
    let page = compare("dev", "staging").await.unwrap();
    assert_eq!((page.items[0].behind, page.items[0].ahead.len()), (-1, 0), "dev is ahead");
    let page = compare("prod", "staging").await.unwrap();
    assert!(page.items[0].to.is_none() && page.items[0].from.is_some() && page.items[0].settings.is_empty());
    assert_eq!(code(compare("nowhere", "dev").await), "environment-not-found");
    world.service("shop", true).await;
    assert!(compare("staging", "dev").await.unwrap().items.is_empty(), "what was removed is not compared");
}

#[tokio::test]
async fn runs_are_builds_and_release_commands_newest_first_page_by_page() {
    let world = World::new().await;
    world.deploy(SITE).await;
    world.deploy(TASK).await;
    let list = async |query: &str| world.call_at::<ListRuns>(&[], query, Value::Null).await.unwrap();
    let all = list("").await.items;
    assert!(all.iter().all(|run| run.state == BuildState::Succeeded), "{all:?}");
    // In this world things happen within the same millisecond, and chance orders them.
    let commands: Vec<&Run> = all.iter().filter(|run| run.kind == RunKind::Release).collect();
    assert_eq!((all.len(), commands.len()), (3, 1));
    assert!(all.iter().all(|run| run.ended.is_some_and(|ended| ended >= run.created)), "{all:?}");
    assert_eq!(commands[0].steps.len(), 1);
    let mut paged: Vec<Run> = Vec::new();
    let mut after = String::new();
    loop {
        let page = list(&format!("limit=1{after}")).await;
        paged.extend(page.items);
        let Some(next) = page.next else { break };
        after = format!("&after={next}");
    }
    assert_eq!(paged, all);
    assert_eq!(list("kind=release").await.items.len(), 1);
    assert_eq!(list("kind=build&service=shop").await.items.len(), 2);
    assert!(list("service=nothing").await.items.is_empty());
    assert_eq!(code(world.call_at::<ListRuns>(&[], "after=x", Value::Null).await), "bad-cursor");
}
