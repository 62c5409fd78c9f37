//! What people do in these worlds, and what they see.

use std::sync::Arc;
use std::time::Duration;

use base::Result;
use facts::{RolloutSeen, RolloutState};
use serde_json::{Value, json};
use sim::{Request, Sight, World, tarball};

use crate::install::Installed;

/// The longest time that a world may need to come to rest.
pub const REST: Duration = Duration::from_secs(900);

/// A new world with one service.
pub async fn world(seed: u64) -> World {
    let mut world = World::new(Arc::new(Installed::default()), seed).await;
    create(&mut world, "shop").await.expect("a service can be made");
    world
}

/// A new world whose service runs its first version.
pub async fn world_with_first(seed: u64) -> World {
    let mut world = world(seed).await;
    deploy(&mut world, "web: sim ready=200 busy=900").await.expect("an upload is taken");
    world.come_to_rest(REST).await;
    assert_eq!(serving(&mut world, "dev").await, Some(1), "seed {seed}: the first version serves");
    world
}

/// Makes a service.
pub async fn create(world: &mut World, service: &str) -> Result<Value> {
    let request = Request::to("createService").at("team", "main");
    world.call(request.body(json!({ "service": service, "description": "" }))).await
}

/// The upload of a source whose Procfile says this.
pub fn upload(procfile: &str) -> Request {
    let bytes = tarball(&[("Procfile", procfile), ("README", procfile)]);
    Request::about("uploadSource", "shop").query("environment=dev").upload(bytes)
}

/// Uploads a source whose Procfile says this.
pub async fn deploy(world: &mut World, procfile: &str) -> Result<Value> {
    world.call(upload(procfile)).await
}

/// A rollout of whatever the body names.
pub fn rollout(body: Value) -> Request {
    Request::about("startRollout", "shop").body(body)
}

/// Back to what ran before.
pub fn rollback() -> Request {
    rollout(json!({ "environment": "dev", "rollback": true }))
}

/// So many instances.
pub fn scale(instances: u32) -> Request {
    Request::about("scale", "shop").body(json!({ "environment": "dev", "instances": instances }))
}

/// A new version of a setting.
pub fn set(name: &str, value: &str) -> Request {
    Request::about("setSetting", "shop").at("name", name).body(json!({ "value": value }))
}

/// Takes the service out of use, or brings it back.
pub fn service(endpoint: &'static str) -> Request {
    Request::about(endpoint, "shop")
}

/// Stops the rollout that is under way, if there is one.
pub async fn cancel_open(world: &mut World) -> Option<Result<Value>> {
    let sight = world.look(false).await.expect("a world can be looked at");
    let open = sight.open_rollouts().into_iter().next()?;
    let mut request = Request::about("cancelRollout", "shop").at("rollout", open.rollout);
    let facts = sight.all::<RolloutSeen>();
    let mut changes = facts.iter().filter(|(_, seen)| seen.rollout == open.rollout).skip(1);
    // Who stops what is being stopped already changes nothing.
    request.mutates = !changes.any(|(fact, _)| fact.cause.is_some());
    Some(world.call(request).await)
}

/// The number of the release that has the traffic.
pub async fn serving(world: &mut World, environment: &str) -> Option<i64> {
    let sight = world.look(false).await.expect("a world can be looked at");
    let snapshot = sight.snapshot.clone()?;
    let route =
        snapshot.routes.into_iter().find(|r| r.service.as_str() == "shop" && r.environment.as_str() == environment)?;
    let backend = route.backends.into_iter().find(|b| b.weight > 0 && !b.instances.is_empty())?;
    let made = sight.all::<facts::ReleaseMade>();
    made.into_iter().find(|(_, release)| release.release == backend.release).map(|(_, release)| release.number)
}

/// The newest rollout as the ledger has it.
pub fn newest(sight: &Sight) -> RolloutSeen {
    sight.rollouts().pop().expect("there was a rollout")
}

/// The states of the newest rollout, in order.
pub fn states(sight: &Sight) -> Vec<RolloutState> {
    let newest = newest(sight).rollout;
    let mut states: Vec<RolloutState> = sight
        .all::<RolloutSeen>()
        .into_iter()
        .filter(|(_, seen)| seen.rollout == newest)
        .map(|(_, seen)| seen.state)
        .collect();
    states.dedup();
    states
}

/// Runs rounds until the newest rollout is in this state (or beyond it, final).
pub async fn until(world: &mut World, state: RolloutState) -> bool {
    for _ in 0..200 {
        let sight = world.look(false).await.expect("a world can be looked at");
        let open = sight.open_rollouts();
        if open.iter().any(|seen| seen.state == state) {
            return true;
        }
        world.rounds(1, Duration::from_millis(100)).await;
        let sight = world.look(false).await.expect("a world can be looked at");
        if sight.open_rollouts().is_empty() && !sight.rollouts().is_empty() && !builds_open(&sight) {
            return false;
        }
    }
    false
}

fn builds_open(sight: &Sight) -> bool {
    sight.latest::<facts::BuildSeen>().iter().any(|seen| matches!(seen.state.as_str(), "queued" | "running"))
}

/// Everything that was promised held; else the seed and what to run again.
#[track_caller]
pub fn held(world: &World, what: &str) {
    let list: Vec<String> = world.violations.iter().map(ToString::to_string).collect();
    assert!(
        list.is_empty(),
        "{what}: seed {} (again: SIM_SEED={}), deaths at {:?}\n  {}",
        world.seed,
        world.seed,
        world.deaths,
        list.join("\n  ")
    );
}

/// Does something with each of many, in worlds of their own, on all cores. What panics there panics
/// here, when the others are done.
pub fn on_every_core<T: Send>(of: Vec<T>, each: impl AsyncFn(T) + Sync) {
    let queue = std::sync::Mutex::new(of.into_iter());
    let next = || queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).next();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                while let Some(one) = next() {
                    runtime.block_on(each(one));
                }
            });
        }
    });
}
