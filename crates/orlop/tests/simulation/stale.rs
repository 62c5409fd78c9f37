//! A control plane that was replaced while it hung goes on where it stood: it changes nothing.

use std::time::Duration;

use base::{Generation, Problem, Result};
use facts::RolloutState;
use futures_util::stream;
use kernel::Platform;
use serde_json::json;
use sim::World;

use crate::actions::{REST, deploy, held, newest, scale, service, serving, world_with_first};

#[track_caller]
fn refused<T>(what: &str, answer: Result<T>) {
    let code = answer.err().map(|problem: Problem| problem.code.into_owned());
    assert_eq!(code.as_deref(), Some("stale-controller"), "{what}");
}

/// Everything that a world holds outside of the control plane, to be compared.
async fn outside(world: &mut World) -> serde_json::Value {
    let sight = world.look(true).await.expect("a world can be looked at");
    assert_eq!(sight.chain, None, "the ledger's chain is sound");
    json!({
        "facts": sight.facts.len(),
        "orders": sight.calls.len(),
        "snapshots": sight.taken,
        "objects": world.objects.keys(),
        "decided": sight.decided.len(),
    })
}

/// Everything that a control plane does by itself.
async fn all_work(ghost: &Platform) {
    for _ in 0..3 {
        for name in ghost.driver().names() {
            // A run that finds nothing to do ends well, one that finds something is refused.
            if let Err(problem) = ghost.driver().run_once(ghost, name).await {
                assert_eq!(problem.code, "stale-controller", "{name}: {problem}");
            }
        }
        let _ = ghost.driver().work_once(ghost, "ghost").await;
    }
}

#[tokio::test]
async fn a_control_plane_that_was_replaced_changes_nothing() {
    let mut world = world_with_first(120).await;
    let ghost = world.replace().await;
    world.call(scale(3)).await.expect("it can be scaled");
    deploy(&mut world, "web: sim ready=400").await.expect("an upload is taken");
    world.rounds(3, Duration::from_millis(200)).await;
    let before = outside(&mut world).await;

    all_work(&ghost).await;
    let ports = ghost.ports();
    let sight = world.look(false).await.expect("a world can be looked at");
    let running = sight.instances.iter().find(|seen| seen.state.is_running()).expect("something runs").id;
    let newest_generation = Generation(i64::MAX);
    refused("ending an instance", ports.engine.stop(running, newest_generation, Duration::ZERO).await);
    refused("forgetting an instance", ports.engine.remove(running, newest_generation).await);
    let key = world.objects.keys().into_iter().next().expect("something is kept");
    refused("deleting an object", ports.objects.delete(&key).await);
    refused("writing an object", ports.objects.put("a/b", Box::pin(stream::empty())).await);
    refused("removing a repository", ports.sources.remove(&"shop".parse().expect("a name")).await);
    let mut snapshot = sight.snapshot.clone().expect("it serves something");
    snapshot.generation = newest_generation;
    refused("handing over a snapshot", ports.gateway.apply(&snapshot).await);
    let ctx = ghost.ctx("ghost");
    let mut tx = ctx.begin().await.expect("a transaction can begin");
    let wish = facts::ServiceWanted {
        service: "ghost".parse().expect("a name"),
        team: "main".parse().expect("a name"),
        description: String::new(),
    };
    ctx.publish(&mut tx, &wish).await.expect("it can be written down");
    refused("a commit", tx.commit().await);

    assert_eq!(outside(&mut world).await, before, "the one that was replaced has changed something");
    let sight = world.come_to_rest(REST).await;
    assert_eq!(newest(&sight).state, RolloutState::Succeeded);
    assert_eq!(serving(&mut world, "dev").await, Some(2));
    held(&world, "a control plane that was replaced");
}

#[tokio::test]
async fn a_removal_that_a_stale_control_plane_has_not_seen_stays() {
    let mut world = world_with_first(121).await;
    let ghost = world.replace().await;
    world.call(service("removeService")).await.expect("it can be removed");
    world.come_to_rest(REST).await;
    let before = outside(&mut world).await;
    all_work(&ghost).await;
    assert_eq!(outside(&mut world).await, before);
    assert_eq!(serving(&mut world, "dev").await, None);
    held(&world, "a removal");
}
