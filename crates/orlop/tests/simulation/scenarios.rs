//! One story each.

use crate::actions::deploy;
use crate::actions::{REST, held, newest, serving, states, world};
use facts::RolloutState;

#[tokio::test]
async fn a_first_deploy_serves() {
    let mut world = world(1).await;
    deploy(&mut world, "web: sim ready=200").await.expect("an upload is taken");
    let sight = world.come_to_rest(REST).await;
    let newest = newest(&sight);
    assert_eq!(newest.state, RolloutState::Succeeded, "{newest:#?} {:?}", states(&sight));
    assert_eq!(serving(&mut world, "dev").await, Some(1));
    held(&world, "first deploy");
}
