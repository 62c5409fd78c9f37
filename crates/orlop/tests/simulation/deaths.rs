//! The control plane dies at every point of a whole deploy, one after the other.

use std::collections::BTreeMap;

use facts::RolloutState;
use sim::{Plan, World};

use crate::actions::{REST, deploy, held, newest, rollback, serving, world_with_first};
use crate::report::{Part, record};

/// More points than any of these stories has.
const POINTS_MAX: u64 = 2_000;

/// Kills the control plane at every `stride`-th point of a story, each time in a new world that goes
/// on from the same photo with the same seed, until the story is over before the point is reached.
/// `SIM_SEEDS` makes the stride 1.
async fn everywhere<S>(name: &str, mut base: World, stride: usize, story: S)
where
    S: AsyncFn(&mut World),
{
    let photo = base.photograph().await;
    let stride = if std::env::var_os("SIM_SEEDS").is_some() { 1 } else { stride };
    let mut part = Part::default();
    let mut killed: BTreeMap<String, u64> = BTreeMap::new();
    for point in (1..=POINTS_MAX).step_by(stride) {
        let mut world = World::from_photo(&photo, base.seed).await;
        world.sweeps = point.is_multiple_of(2);
        world.gate.plan(Plan::KillAt(point));
        story(&mut world).await;
        part.add(&world);
        record(name, part.clone());
        held(&world, &format!("{name}, killed at point {point} ({:?})", world.deaths));
        let Some(at) = world.deaths.first() else {
            println!("{name}: killed at {} of {} points: {killed:?}", part.deaths, point - 1);
            assert!(point > 50, "a story that passes hardly any point proves nothing");
            return;
        };
        *killed.entry(at.clone()).or_default() += 1;
    }
    panic!("{name}: there are more than {POINTS_MAX} points");
}

#[tokio::test]
async fn a_second_version_survives_death_at_every_point() {
    everywhere("second version", world_with_first(11).await, 3, async |world| {
        deploy(world, "web: sim ready=300\nrelease: sim exit=0@400").await.expect("an upload is taken");
        let sight = world.come_to_rest(REST).await;
        assert_eq!(newest(&sight).state, RolloutState::Succeeded, "{:#?}", newest(&sight));
        assert_eq!(serving(world, "dev").await, Some(2));
    })
    .await;
}

#[tokio::test]
async fn a_broken_version_and_a_rollback_survive_death_at_every_point() {
    let mut base = world_with_first(12).await;
    deploy(&mut base, "web: sim ready=100").await.expect("an upload is taken");
    base.come_to_rest(REST).await;
    everywhere("broken version and rollback", base, 5, async |world| {
        deploy(world, "web: sim exit=3@150 say=cannot-open-database").await.expect("an upload is taken");
        let sight = world.come_to_rest(REST).await;
        assert_eq!(newest(&sight).state, RolloutState::Failed, "{:#?}", newest(&sight));
        assert_eq!(serving(world, "dev").await, Some(2), "what served before serves still");
        world.call(rollback()).await.expect("there is something to go back to");
        let sight = world.come_to_rest(REST).await;
        assert_eq!(newest(&sight).state, RolloutState::Succeeded, "{:#?}", newest(&sight));
        assert_eq!(serving(world, "dev").await, Some(1));
    })
    .await;
}

/// A job is claimed five times. When the control plane dies in the fifth attempt, the store buries
/// the job; its build must be told all the same.
#[tokio::test]
async fn a_build_whose_last_attempt_dies_with_its_worker_is_told() {
    let mut world = world_with_first(13).await;
    deploy(&mut world, "web: sim ready=100").await.expect("an upload is taken");
    for _ in 0..5 {
        // The claim is the first two points; the first commit of the build itself is the third.
        world.gate.plan(Plan::KillAt(3));
        assert!(matches!(world.work().await, sim::Ended::Killed(_)), "it dies at its work");
        world.pass(std::time::Duration::from_secs(31));
    }
    world.come_to_rest(REST).await;
    held(&world, "a build whose five attempts all died");
}
