//! Every promise is checked against a fault that breaks it.

use std::sync::Arc;
use std::time::Duration;

use access::Gatekeeper;
use api::Access;
use api::platform::Verdict;
use async_trait::async_trait;
use base::{Generation, Result, Secret, ServiceName, TeamName};
use facts::{InstancesWanted, RolloutSeen, RolloutState};
use kernel::{Authority, Capability, Credential, Ctx, Identity, Platform, Reconciler, Target};
use serde_json::json;
use sim::{Bug, Leak, Request, World, check};

use crate::actions::{REST, create, deploy, scale, world_with_first};
use crate::install::Installed;

#[track_caller]
fn caught(world: &World, promise: &str) {
    let found = world.violations.iter().any(|violation| violation.promise == promise);
    assert!(found, "`{promise}` did not notice; noticed: {:?}", world.violations);
}

/// A world with one more capability.
async fn with_extra(seed: u64, extra: fn() -> Capability) -> World {
    let installed = Installed { extra: Some(extra), ..Installed::default() };
    let mut world = World::new(Arc::new(installed), seed).await;
    create(&mut world, "shop").await.expect("a service can be made");
    world
}

#[tokio::test]
async fn lost_write_is_noticed() {
    let mut world = world_with_first(100).await;
    let photo = world.photograph().await;
    world.call(scale(2)).await.expect("it can be scaled");
    world.check(true).await;
    assert!(world.violations.is_empty(), "{:?}", world.violations);
    world.lose_since(&photo).await;
    world.check(true).await;
    caught(&world, "nothing acknowledged is lost");
}

#[tokio::test]
async fn double_run_is_noticed() {
    let mut world = world_with_first(101).await;
    world.machine.plant(Bug::RunsTwice);
    world.call(scale(2)).await.expect("it can be scaled");
    world.rounds(2, Duration::from_millis(300)).await;
    caught(&world, "only decided instances run");
}

#[tokio::test]
async fn stale_generation_is_noticed() {
    let mut world = world_with_first(102).await;
    world.machine.plant(Bug::ObeysStale);
    world.check(false).await;
    let sight = world.check(false).await;
    let running = sight.instances.iter().find(|seen| seen.state.is_running()).expect("something runs").id;
    let engine = Arc::clone(&world.platform().ports().engine);
    engine.stop(running, Generation(0), Duration::ZERO).await.expect("the planted fault obeys");
    world.check(false).await;
    caught(&world, "generations never go back");

    let mut world = world_with_first(103).await;
    world.edge.obey_stale();
    let mut older = world.edge.snapshot().expect("it serves something");
    older.generation = Generation(1);
    world.platform().ports().gateway.apply(&older).await.expect("the planted fault obeys");
    world.check(false).await;
    caught(&world, "generations never go back");
}

/// Says yes to whoever is signed in.
struct SaysYes;

#[async_trait]
impl Authority for SaysYes {
    async fn identify(&self, platform: &Platform, credential: &Credential) -> Result<Identity> {
        Gatekeeper.identify(platform, credential).await
    }

    fn decide(&self, _: &Identity, _: Access, _: &Target) -> Result<()> {
        Ok(())
    }

    fn may_see(&self, _: &Identity, _: &TeamName, _: Option<&ServiceName>) -> bool {
        true
    }

    fn sees_all(&self, _: &Identity) -> bool {
        true
    }
}

/// What a person of another team is shown of the service `shop`.
async fn spy(world: &mut World) {
    let person = Request::to("createPerson").body(json!({ "person": "eve" }));
    world.call(person).await.expect("an account can be made");
    let code = world.call(Request::to("issueSignIn").at("person", "eve").reads()).await.expect("a code can be made");
    let code = code.get("code").and_then(|code| code.as_str()).expect("a code").to_owned();
    let eve: Secret<String> = world.sign_in_with(&code).await;
    let one = [
        "getService",
        "listReleases",
        "listRollouts",
        "listBuilds",
        "getBoard",
        "listSettings",
        "listInstances",
        "listRoutes",
        "getTraffic",
        "getStatus",
        "listActivity",
    ];
    let changes = [
        scale(5),
        Request::about("setSetting", "shop").at("name", "A").body(json!({ "value": "b" })),
        Request::about("removeService", "shop"),
    ];
    let reads = one.into_iter().map(|endpoint| Request::about(endpoint, "shop").reads());
    for request in reads.chain(changes) {
        let endpoint = request.endpoint.to_owned();
        if world.call_as(&eve, request).await.is_ok() {
            world.leaks.push(Leak { endpoint, subject: "shop".to_owned() });
        }
    }
    let listed = world.call_as(&eve, Request::to("listServices").reads()).await.expect("everybody may list");
    if listed.to_string().contains("shop") {
        world.leaks.push(Leak { endpoint: "listServices".to_owned(), subject: "shop".to_owned() });
    }
    world.check(false).await;
}

#[tokio::test]
async fn cross_team_read_is_noticed() {
    let mut world = world_with_first(104).await;
    spy(&mut world).await;
    assert!(world.violations.is_empty(), "{:?}", world.violations);

    let installed = Installed { authority: Some(Arc::new(SaysYes)), ..Installed::default() };
    let mut world = World::new(Arc::new(installed), 105).await;
    create(&mut world, "shop").await.expect("a service can be made");
    spy(&mut world).await;
    caught(&world, "a team's things are its own");
}

/// Ends what carries the label of a service that somebody thinks is unused.
struct LabelReaper;

#[async_trait]
impl Reconciler for LabelReaper {
    const NAME: &'static str = "planted.reaper";
    const EVERY: Duration = Duration::from_secs(5);
    const WAKES: &'static [&'static str] = &[];
    type Status = ();

    async fn reconcile(&self, ctx: &Ctx) -> Result<()> {
        let engine = &ctx.platform().ports().engine;
        for seen in engine.list().await? {
            if seen.service.as_str() == "shop" && seen.state.is_running() {
                engine.stop(seen.id, Generation(i64::MAX), Duration::ZERO).await?;
            }
        }
        Ok(())
    }
}

#[tokio::test]
async fn delete_by_label_is_noticed() {
    let mut world = with_extra(106, || Capability::named("planted").reconciler(LabelReaper)).await;
    deploy(&mut world, "web: sim ready=200").await.expect("an upload is taken");
    world.rounds(12, Duration::from_millis(300)).await;
    caught(&world, "instances end only by their own name and by a decision");

    let mut world = world_with_first(107).await;
    world.call(scale(3)).await.expect("it can be scaled");
    world.come_to_rest(REST).await;
    assert!(world.violations.is_empty(), "{:?}", world.violations);
    world.machine.plant(Bug::StopsByLabel);
    world.call(scale(2)).await.expect("it can be scaled");
    // One round to decide and to tell the gateway, some until the instance has nothing to finish.
    world.rounds(60, Duration::from_millis(100)).await;
    caught(&world, "instances end only by their own name and by a decision");
}

#[tokio::test]
async fn a_retired_instance_that_never_ends_is_noticed() {
    let mut world = world_with_first(114).await;
    world.call(scale(2)).await.expect("it can be scaled");
    world.come_to_rest(REST).await;
    assert!(world.violations.is_empty(), "{:?}", world.violations);
    world.machine.plant(Bug::LetsRun);
    world.call(scale(1)).await.expect("it can be scaled");
    world.come_to_rest(REST).await;
    caught(&world, "the world comes to rest");
    caught(&world, "at rest exactly the wanted instances run");
}

/// Calls every rollout a success as soon as it sees it.
struct GreenPainter;

#[async_trait]
impl Reconciler for GreenPainter {
    const NAME: &'static str = "planted.painter";
    const EVERY: Duration = Duration::from_secs(5);
    const WAKES: &'static [&'static str] = &[];
    type Status = ();

    async fn reconcile(&self, ctx: &Ctx) -> Result<()> {
        let all = kernel::all_latest::<RolloutSeen>(&mut ctx.read().await?).await?;
        for (seen, _) in all.into_iter().filter(|(seen, _)| seen.state == RolloutState::Starting) {
            let mut tx = ctx.begin().await?;
            ctx.publish(&mut tx, &RolloutSeen { state: RolloutState::Succeeded, deadline: None, ..seen }).await?;
            tx.commit().await?;
        }
        Ok(())
    }
}

#[tokio::test]
async fn green_without_evidence_is_noticed() {
    let mut world = with_extra(108, || Capability::named("planted").reconciler(GreenPainter)).await;
    deploy(&mut world, "web: sim deaf").await.expect("an upload is taken");
    world.rounds(12, Duration::from_millis(300)).await;
    caught(&world, "success is observed on the route");
}

/// What the doctor says of the promises, after the control plane has looked.
async fn asked_itself(world: &mut World) -> Vec<(Verdict, String)> {
    let looked = world.reconcile("kernel.promises").await;
    assert!(matches!(looked, sim::Ended::Done(Ok(_))), "it could not look: {looked:?}");
    let mut found = Vec::new();
    for check in world.checks() {
        found.extend(check.check(&world.platform().ctx("doctor")).await);
    }
    found.retain(|check| check.name == "promises");
    found.into_iter().map(|check| (check.verdict, check.found)).collect()
}

/// What a hand that nobody stops publishes.
type Plant = fn(&InstancesWanted, &RolloutSeen) -> (InstancesWanted, Generation, RolloutSeen);

/// Expects that the control plane finds this broken in its own ledger.
async fn finds(seed: u64, promise: &str, plant: Plant) {
    let mut world = world_with_first(seed).await;
    world.call(scale(2)).await.expect("it can be scaled");
    world.come_to_rest(REST).await;
    assert_eq!(asked_itself(&mut world).await.first().map(|(verdict, _)| *verdict), Some(Verdict::Ok));

    let ctx = world.platform().ctx("hand");
    let mut read = ctx.read().await.expect("a store can be read");
    let (wanted, _) = kernel::all_latest::<InstancesWanted>(&mut read).await.expect("facts").remove(0);
    let (rollout, _) = kernel::all_latest::<RolloutSeen>(&mut read).await.expect("facts").remove(0);
    drop(read);
    let (wanted, generation, rollout) = plant(&wanted, &rollout);
    let mut tx = ctx.begin().await.expect("a transaction can begin");
    ctx.publish_at(&mut tx, &wanted, generation).await.expect("a wish can be published");
    ctx.publish(&mut tx, &rollout).await.expect("a fact can be published");
    tx.commit().await.expect("it can be committed");

    world.pass(Duration::from_secs(60));
    let found = asked_itself(&mut world).await;
    let is_told = |(verdict, text): &(Verdict, String)| *verdict == Verdict::Broken && text.starts_with(promise);
    assert!(found.len() == 1 && found.iter().all(is_told), "`{promise}` alone is broken: {found:?}");
}

/// A rollout that nobody began.
fn stranger() -> base::RolloutId {
    base::RolloutId::new(base::Time::from_micros(1), [7; 10])
}

#[tokio::test]
async fn the_control_plane_finds_what_is_broken_in_its_own_ledger() {
    const NEWER: Generation = Generation(1_000);
    finds(111, "success is observed on the route", |wanted, rollout| {
        let mut wanted = wanted.clone();
        wanted.sets.iter_mut().for_each(|set| set.rollout = stranger());
        (wanted, NEWER, RolloutSeen { rollout: stranger(), ..rollout.clone() })
    })
    .await;
    finds(112, "generations never go back", |wanted, rollout| (wanted.clone(), Generation(0), rollout.clone())).await;
    finds(113, "an open rollout has reason, since, next step and a deadline that holds", |wanted, rollout| {
        let deadline = Some(base::Time::from_micros(1));
        let next = "it goes on".to_owned();
        (wanted.clone(), NEWER, RolloutSeen { state: RolloutState::Starting, next, deadline, ..rollout.clone() })
    })
    .await;
}

/// Sends all traffic to whatever is newest, and forgets what is old, without looking.
struct Hasty;

#[async_trait]
impl Reconciler for Hasty {
    const NAME: &'static str = "planted.hasty";
    const EVERY: Duration = Duration::from_secs(5);
    const WAKES: &'static [&'static str] = &[];
    type Status = ();

    async fn reconcile(&self, ctx: &Ctx) -> Result<()> {
        let wishes = kernel::all_latest::<InstancesWanted>(&mut ctx.read().await?).await?;
        for (wish, _) in wishes {
            let Some(set) = wish.sets.last() else { continue };
            let traffic = facts::TrafficWanted {
                service: wish.service.clone(),
                environment: wish.environment.clone(),
                hosts: Vec::new(),
                shares: vec![facts::TrafficShare { rollout: set.rollout, release: set.release, weight: 100 }],
                closed: false,
            };
            let mut tx = ctx.begin().await?;
            ctx.publish(&mut tx, &traffic).await?;
            tx.commit().await?;
        }
        Ok(())
    }
}

#[tokio::test]
async fn traffic_to_what_never_answered_is_noticed() {
    let mut world = with_extra(109, || Capability::named("planted").reconciler(Hasty)).await;
    deploy(&mut world, "web: sim deaf").await.expect("an upload is taken");
    world.rounds(12, Duration::from_millis(300)).await;
    caught(&world, "a broken release gets no request");
}

#[tokio::test]
async fn every_other_promise_notices_its_own_fault() {
    let mut world = world_with_first(110).await;
    let good = world.come_to_rest(REST).await;
    assert!(world.violations.is_empty(), "{:?}", world.violations);
    let notices = |what: &str, found: Vec<check::Violation>| assert!(!found.is_empty(), "{what} was not noticed");

    let mut sight = good.clone();
    sight.decided.clear();
    notices("an instance that nobody decided upon", check::only_decided(&sight));

    let mut sight = good.clone();
    let twin = sight.instances.iter().find(|seen| seen.state.is_running()).expect("something runs").clone();
    let id = base::InstanceId::new(sight.now, [9; 10]);
    let decided = sight.decided.iter().find(|one| one.id == twin.id).expect("it was decided").clone();
    sight.decided.push(sim::Decided { id, ..decided });
    sight.instances.push(ports::InstanceSeen { id, ..twin });
    notices("one instance too many", check::at_most_wanted(&sight));
    notices("one instance too many at rest", check::instances_are_as_wanted(&sight));

    let mut sight = good.clone();
    sight.instances.clear();
    notices("a service that does not run", check::instances_are_as_wanted(&sight));
    notices("a route to nobody", check::traffic_is_as_wanted(&sight));

    let mut sight = good.clone();
    sight.chain = Some("fact 3: changed".to_owned());
    notices("a changed fact", check::chain_is_sound(&sight));

    let mut sight = good.clone();
    let ack = sight.acks.last().expect("something was acknowledged").clone();
    let other = sight.acks.first().expect("something was acknowledged").requests.clone();
    sight.acks.push(sim::Ack { requests: ack.requests.into_iter().chain(other).collect(), ..ack });
    notices("an action that was done twice", check::acknowledged_is_kept(&sight));

    let mut sight = good.clone();
    let doubled = sight.current.first().expect("something is current").clone();
    sight.current.push(doubled);
    notices("two current releases", check::currents_are_good(&sight));

    let mut sight = good.clone();
    sight.current.clear();
    notices("a place that forgot what is current", check::the_newest_wish_holds(&sight));

    let mut sight = good.clone();
    let release = base::ReleaseId::new(sight.now, [9; 10]);
    let backends = sight.snapshot.iter_mut().flat_map(|s| &mut s.routes).flat_map(|route| &mut route.backends);
    backends.for_each(|backend| backend.release = release);
    notices("traffic to a release that nobody made", check::traffic_goes_to_known(&sight));

    let mut sight = good;
    sight.facts.truncate(
        sight
            .facts
            .iter()
            .position(|fact| fact.body.get("deadline").is_some_and(|d| !d.is_null()))
            .expect("a rollout was open")
            + 1,
    );
    notices("an open rollout", check::nothing_is_open(&sight));
    sight.now = sight.now.plus(Duration::from_secs(3600));
    sight.calm_since = base::Time::default();
    notices("a deadline that passed", check::rollouts_explain_themselves(&sight));
}
