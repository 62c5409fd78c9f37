//! One story each.

use std::time::Duration;

use facts::{RolloutSeen, RolloutState};
use serde_json::json;
use sim::{Faults, Plan, Request, Snag, World};

use crate::actions::{
    REST, cancel_open, deploy, held, newest, rollback, rollout, scale, service, serving, set, states, until, upload,
    world, world_with_first,
};

/// Comes to rest, and checks the outcome of the newest rollout and what serves then.
async fn check(world: &mut World, what: &str, outcome: RolloutState, serves: Option<i64>) {
    let sight = world.come_to_rest(REST).await;
    let newest = newest(&sight);
    assert_eq!(newest.state, outcome, "{what}: {newest:#?}");
    assert_eq!(serving(world, "dev").await, serves, "{what}: {newest:#?}");
    held(world, what);
}

#[tokio::test]
async fn a_first_deploy_serves() {
    let mut world = world(1).await;
    deploy(&mut world, "web: sim ready=200").await.expect("an upload is taken");
    check(&mut world, "first deploy", RolloutState::Succeeded, Some(1)).await;
    let sight = world.check(true).await;
    use RolloutState::{Draining, Pending, Shifting, Starting, Succeeded, Verifying};
    assert_eq!(states(&sight), [Pending, Starting, Shifting, Verifying, Draining, Succeeded]);
}

#[tokio::test]
async fn a_release_command_and_a_worker() {
    let mut world = world_with_first(2).await;
    let procfile = "web: sim ready=200\nworker: sim\nrelease: sim exit=0@700 say=migrated";
    deploy(&mut world, procfile).await.expect("an upload is taken");
    check(&mut world, "with a release command", RolloutState::Succeeded, Some(2)).await;
    deploy(&mut world, "web: sim ready=200\nrelease: sim exit=1@300").await.expect("an upload is taken");
    check(&mut world, "with a release command that fails", RolloutState::Failed, Some(2)).await;
    let sight = world.check(true).await;
    assert!(!states(&sight).contains(&RolloutState::Starting), "nothing starts after a release command that failed");
}

/// `expect`: the outcome and the release that serves then, where release 1 served before.
async fn second(seed: u64, procfile: &str, outcome: RolloutState, serves: i64) {
    let mut world = world_with_first(seed).await;
    deploy(&mut world, procfile).await.expect("an upload is taken");
    check(&mut world, procfile, outcome, Some(serves)).await;
}

#[tokio::test]
async fn broken_versions_never_serve() {
    use RolloutState::{Failed, Succeeded};
    second(20, "web: sim exit=1@0", Failed, 1).await;
    second(21, "web: sim deaf", Failed, 1).await;
    second(22, "web: sim oom@400", Failed, 1).await;
    second(23, "web: sim signal=11@100", Failed, 1).await;
    second(24, "web: sim missing", Succeeded, 2).await;
    second(25, "web: missing", Failed, 1).await;
    second(26, "web: sim ready=100 exit=1@2500", Failed, 1).await;
    second(27, "web: sim ready=100 stubborn", Succeeded, 2).await;
    second(28, "web: sim ready=30000", Succeeded, 2).await;
    second(29, "web: sim ready=100 sick=500-1500", Succeeded, 2).await;
}

#[tokio::test]
async fn rollback_promotion_and_restart() {
    let mut world = world_with_first(3).await;
    deploy(&mut world, "web: sim ready=100").await.expect("an upload is taken");
    check(&mut world, "second", RolloutState::Succeeded, Some(2)).await;
    world.call(rollback()).await.expect("there is something to go back to");
    check(&mut world, "rollback", RolloutState::Succeeded, Some(1)).await;
    world.call(rollout(json!({ "environment": "dev", "restart": true }))).await.expect("something runs");
    check(&mut world, "restart", RolloutState::Succeeded, Some(1)).await;
    world.call(rollout(json!({ "environment": "staging", "from": "dev" }))).await.expect("dev runs something");
    check(&mut world, "promotion", RolloutState::Succeeded, Some(1)).await;
    assert_eq!(serving(&mut world, "staging").await, Some(1));
}

#[tokio::test]
async fn a_newer_rollout_supersedes_in_every_state() {
    use RolloutState::{Draining, Pending, Releasing, Shifting, Starting, Verifying};
    for (seed, state) in (40..).zip([Pending, Releasing, Starting, Shifting, Verifying, Draining]) {
        let mut world = world_with_first(seed).await;
        let procfile = "web: sim ready=900\nrelease: sim exit=0@700";
        deploy(&mut world, procfile).await.expect("an upload is taken");
        let reached = until(&mut world, state).await;
        deploy(&mut world, "web: sim ready=100").await.expect("an upload is taken");
        check(&mut world, &format!("superseded while {state:?}"), RolloutState::Succeeded, Some(3)).await;
        assert!(reached || state == Pending, "it never was {state:?}");
    }
}

#[tokio::test]
async fn a_person_stops_it_in_every_state() {
    use RolloutState::{Cancelled, Draining, Pending, Releasing, Shifting, Starting, Succeeded, Verifying};
    for (seed, state) in (50..).zip([Pending, Releasing, Starting, Shifting, Verifying, Draining]) {
        let mut world = world_with_first(seed).await;
        let procfile = "web: sim ready=900\nrelease: sim exit=0@700";
        deploy(&mut world, procfile).await.expect("an upload is taken");
        until(&mut world, state).await;
        if let Some(answer) = cancel_open(&mut world).await {
            answer.expect("an open rollout can be stopped");
            check(&mut world, &format!("stopped while {state:?}"), Cancelled, Some(1)).await;
        } else {
            check(&mut world, &format!("over before {state:?}"), Succeeded, Some(2)).await;
        }
    }
}

#[tokio::test]
async fn scaling_settings_removal_and_restoration() {
    let mut world = world_with_first(4).await;
    for count in [3, 1, 2] {
        world.call(scale(count)).await.expect("it can be scaled");
        let sight = world.come_to_rest(REST).await;
        let running = sight.instances.iter().filter(|seen| seen.state.is_running()).count();
        assert_eq!(running, usize::try_from(count).expect("small"));
    }
    world.call(set("COLOUR", "blue")).await.expect("a setting can be set");
    let sight = world.come_to_rest(REST).await;
    let restarted = newest(&sight);
    assert_eq!(restarted.state, RolloutState::Succeeded);
    assert_eq!(sight.rollouts().len(), 2, "a setting leads to one rollout");
    world.call(service("removeService")).await.expect("it can be removed");
    let sight = world.come_to_rest(REST).await;
    assert_eq!(sight.instances.iter().filter(|seen| seen.state.is_running()).count(), 0);
    assert_eq!(serving(&mut world, "dev").await, None);
    world.call(service("restoreService")).await.expect("it can be restored");
    check(&mut world, "restored", RolloutState::Succeeded, Some(1)).await;
}

#[tokio::test]
async fn the_gateway_is_away_or_comes_back_with_less() {
    let mut world = world_with_first(5).await;
    world.edge.away(true);
    deploy(&mut world, "web: sim ready=100").await.expect("an upload is taken");
    world.rounds(20, Duration::from_millis(500)).await;
    assert_eq!(serving(&mut world, "dev").await, Some(1), "what is served stays while nobody controls it");
    world.edge.away(false);
    check(&mut world, "the gateway was away for a while", RolloutState::Succeeded, Some(2)).await;
    world.edge.away(true);
    deploy(&mut world, "web: sim ready=150").await.expect("an upload is taken");
    world.rounds(60, Duration::from_secs(1)).await;
    check(&mut world, "the gateway was away too long", RolloutState::Failed, Some(2)).await;
    for back in [1, 3, 100] {
        world.edge.restart_with_older(back);
        world.come_to_rest(REST).await;
        assert_eq!(serving(&mut world, "dev").await, Some(2), "{back} snapshots older");
    }
    held(&world, "the gateway came back with an older snapshot");
}

#[tokio::test]
async fn a_machine_that_is_switched_off_comes_back_to_the_same() {
    let mut world = world_with_first(6).await;
    world.call(scale(2)).await.expect("it can be scaled");
    world.come_to_rest(REST).await;
    world.machine.reboot();
    world.restart().await;
    let sight = world.come_to_rest(REST).await;
    assert_eq!(sight.instances.iter().filter(|seen| seen.state.is_running()).count(), 2);
    assert_eq!(serving(&mut world, "dev").await, Some(1));
    held(&world, "switched off and on");
}

#[tokio::test]
async fn a_rollout_is_not_judged_by_time_in_which_no_control_plane_watched() {
    use RolloutState::{Draining, Pending, Releasing, Shifting, Starting, Succeeded, Verifying};
    for (seed, state) in (130..).zip([Pending, Releasing, Starting, Shifting, Verifying, Draining]) {
        let mut world = world_with_first(seed).await;
        let procfile = "web: sim ready=900\nrelease: sim exit=0@700";
        deploy(&mut world, procfile).await.expect("an upload is taken");
        let reached = until(&mut world, state).await;
        // With the machine off as well, what shall run starts from cold.
        if seed % 2 == 0 && state != Releasing {
            world.machine.reboot();
        }
        world.away(Duration::from_secs(3600)).await;
        check(&mut world, &format!("away while {state:?}"), Succeeded, Some(2)).await;
        let sight = world.check(true).await;
        let told =
            sight.all::<RolloutSeen>().iter().any(|(_, seen)| seen.reason.contains("the control plane was away"));
        assert!(reached && told || state == Pending, "{state:?}: reached {reached}, told {told}");
    }
}

#[tokio::test]
async fn a_broken_version_fails_all_the_same_when_the_control_plane_was_away() {
    let mut world = world_with_first(136).await;
    deploy(&mut world, "web: sim deaf").await.expect("an upload is taken");
    until(&mut world, RolloutState::Starting).await;
    for _ in 0..5 {
        world.rounds(10, Duration::from_secs(1)).await;
        world.away(Duration::from_secs(3600)).await;
    }
    check(
        &mut world,
        "a broken version, with a control plane that is away now and then",
        RolloutState::Failed,
        Some(1),
    )
    .await;
}

/// Once seed 185: the world was called at rest while a retired instance finished its requests, which
/// from outside looks as if it just ran on.
#[tokio::test]
async fn an_instance_that_finishes_its_requests_ends_without_a_sweep() {
    let mut world = world_with_first(185).await;
    world.sweeps = false;
    deploy(&mut world, "web: sim ready=100 busy=5000").await.expect("an upload is taken");
    assert!(until(&mut world, RolloutState::Verifying).await, "its traffic has moved");
    cancel_open(&mut world).await.expect("it is open").expect("it can be stopped");
    let sight = world.come_to_rest(REST).await;
    assert_eq!(newest(&sight).state, RolloutState::Cancelled);
    assert_eq!(sight.instances.iter().filter(|seen| seen.state.is_running()).count(), 1);
    held(&world, "an instance that finishes its requests");
}

/// Pushes a commit once, with a control plane that dies at a point of the push.
async fn push_and_die(world: &mut World, commit: u32, at: &str) {
    let body = sim::push("refs/heads/main", &format!("{commit:040x}"), &[("Procfile", "web: sim ready=100")]);
    world.gate.snag(at, 1, Snag::Die);
    let answer = world.call_once(Request::push("shop", body)).await;
    assert_eq!(answer.expect_err("the control plane died").code, "died", "at {at}");
    world.come_to_rest(REST).await;
}

#[tokio::test]
async fn a_push_whose_ref_has_moved_is_deployed_though_git_never_sends_it_again() {
    let mut world = world_with_first(140).await;
    push_and_die(&mut world, 1, "sources.receive, done").await;
    assert_eq!(serving(&mut world, "dev").await, Some(2));
    // The object store has its source, and nothing is recorded yet.
    push_and_die(&mut world, 2, "objects.put, done").await;
    assert_eq!(serving(&mut world, "dev").await, Some(3));
    // The ref had not moved: the push has failed, and nothing is deployed that git does not have.
    push_and_die(&mut world, 3, "sources.receive").await;
    assert_eq!(serving(&mut world, "dev").await, Some(3));
    held(&world, "pushes that were cut short");
}

#[tokio::test]
async fn a_push_that_was_cut_short_does_not_take_the_place_of_what_was_deployed_since() {
    let mut world = world_with_first(141).await;
    let body = sim::push("refs/heads/main", &format!("{:040x}", 1), &[("Procfile", "web: sim ready=100")]);
    world.gate.snag("sources.receive, done", 1, Snag::Die);
    let _ = world.call_once(Request::push("shop", body)).await;
    world.pass(Duration::from_secs(1));
    deploy(&mut world, "web: sim ready=150").await.expect("an upload is taken");
    let sight = world.come_to_rest(REST).await;
    assert_eq!(serving(&mut world, "dev").await, Some(2));
    assert_eq!(sight.all::<facts::ReleaseMade>().len(), 2, "the first version and the upload");
    held(&world, "a push that was cut short, and an upload");
}

#[tokio::test]
async fn calls_that_fail_or_lie_about_failing() {
    for seed in 60..66 {
        let mut world = world_with_first(seed).await;
        world.gate.faults(Faults { refused: 60, answer_lost: 60, late: 40 });
        deploy(&mut world, "web: sim ready=200\nrelease: sim exit=0@300").await.expect("an upload is taken");
        world.rounds(30, Duration::from_millis(400)).await;
        let faulted = world.gate.faulted();
        assert!(faulted > 0);
        world.come_to_rest(REST).await;
        held(&world, &format!("{faulted} calls went wrong"));
    }
}

#[tokio::test]
async fn people_act_while_a_reconciler_is_in_the_middle_of_it() {
    for point in [5, 12, 20, 28, 40, 55, 70, 90, 120] {
        let mut world = world_with_first(70 + point).await;
        world.interrupts = vec![upload("web: sim ready=120"), scale(2), set("COLOUR", "red")];
        world.gate.plan(Plan::PauseAt(point));
        deploy(&mut world, "web: sim ready=300").await.expect("an upload is taken");
        world.come_to_rest(REST).await;
        held(&world, &format!("interrupted at point {point}"));
    }
}

#[tokio::test]
async fn a_build_with_steps_is_taken_up_after_a_death() {
    let files = [("go.mod", "module example.com/shop\n\ngo 1.22\n"), ("main.go", "package main\n\nfunc main() {}\n")];
    for point in [0, 8, 16, 24, 32, 40] {
        let mut world = world(90 + point).await;
        world.gate.plan(if point == 0 { Plan::Run } else { Plan::KillAt(point) });
        let request = Request::about("uploadSource", "shop").query("environment=dev").upload(sim::tarball(&files));
        world.call(request).await.expect("an upload is taken");
        let sight = world.come_to_rest(REST).await;
        let tasks = sight.decided.iter().filter(|one| one.rollout.is_none()).count();
        assert!(tasks <= 1, "one task for one build, whatever dies");
        held(&world, &format!("a build, killed at point {point}"));
    }
}
