//! What people do with a platform, told in stories that come to every effect of it.

use std::sync::Arc;
use std::time::Duration;

use base::{Result, Secret};
use facts::RolloutState;
use serde_json::{Value, json};
use sim::{Bug, Ended, Faults, Photo, Request, Snag, World, push, tarball};

use crate::actions::{
    REST, cancel_open, create, deploy, rollback, rollout, scale, service, set, until, world, world_with_first,
};
use crate::install::Installed;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// One story: where it begins, and what happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Story {
    /// An installation is started for the first time.
    FirstStart,
    /// People, teams, tokens, settings, environments.
    People,
    /// A deploy with a release command and a worker.
    Deploy,
    /// A version that breaks, and the way back.
    Broken,
    /// Restart, promotion, scaling, a changed setting.
    Operate,
    /// A rollout is stopped in each of its states.
    Cancel,
    /// A service is removed and restored, once in the middle of a rollout.
    Remove,
    /// Builds that run, are stopped, are superseded, are lost with the machine.
    Build,
    /// Builds that hang, fail for ever, die with their last attempt.
    BadBuild,
    /// Pushes to an old and to a new service.
    Push,
    /// What is old is forgotten.
    Garbage,
}

/// All of them.
pub const STORIES: [Story; 11] = [
    Story::FirstStart,
    Story::People,
    Story::Deploy,
    Story::Broken,
    Story::Operate,
    Story::Cancel,
    Story::Remove,
    Story::Build,
    Story::BadBuild,
    Story::Push,
    Story::Garbage,
];

impl Story {
    pub fn name(self) -> &'static str {
        match self {
            Self::FirstStart => "first start",
            Self::People => "people",
            Self::Deploy => "deploy",
            Self::Broken => "broken version and rollback",
            Self::Operate => "operate",
            Self::Cancel => "cancel",
            Self::Remove => "remove and restore",
            Self::Build => "build",
            Self::BadBuild => "bad build",
            Self::Push => "push",
            Self::Garbage => "garbage",
        }
    }

    const fn seed(self) -> u64 {
        500 + self as u64
    }

    /// The world as it is before the story; none where nothing is there yet.
    pub async fn begin(self) -> Option<World> {
        Some(match self {
            Self::FirstStart => return None,
            Self::People | Self::Build | Self::BadBuild => world(self.seed()).await,
            Self::Garbage => well_used(self.seed()).await,
            _ => world_with_first(self.seed()).await,
        })
    }

    /// A world that goes on from there.
    pub async fn world(self, photo: Option<&Photo>) -> World {
        match photo {
            Some(photo) => World::from_photo(photo, self.seed()).await,
            None => World::empty(Arc::new(Installed::default()), self.seed()),
        }
    }

    /// What happens. It ends with a world at rest.
    pub async fn act(self, world: &mut World) {
        match self {
            Self::FirstStart => world.begin().await,
            Self::People => people(world).await,
            Self::Deploy => {
                let procfile = "web: sim ready=300\nworker: sim\nrelease: sim exit=0@400";
                done(deploy(world, procfile).await);
            }
            Self::Broken => broken(world).await,
            Self::Operate => operate(world).await,
            Self::Cancel => cancel(world).await,
            Self::Remove => remove(world).await,
            Self::Build => build(world).await,
            Self::BadBuild => bad_build(world).await,
            Self::Push => pushes(world).await,
            Self::Garbage => garbage(world).await,
        }
        world.come_to_rest(REST).await;
    }
}

/// It was answered, or had been answered before the control plane died.
#[track_caller]
fn done(answer: Result<Value>) {
    match answer {
        Ok(_) => {}
        Err(problem) if problem.code == "already-done" => {}
        Err(problem) => panic!("{problem:?}"),
    }
}

/// A secret that is shown once; who missed it asks for another.
async fn shown(world: &mut World, request: Request, field: &str) -> Value {
    for _ in 0..3 {
        match world.call(request.clone()).await {
            Ok(answer) => return answer.get(field).cloned().expect("the answer has it"),
            Err(problem) => assert_eq!(problem.code, "already-done"),
        }
    }
    panic!("nobody was shown `{field}`");
}

async fn people(world: &mut World) {
    done(world.call(Request::to("createPerson").body(json!({ "person": "eve" }))).await);
    let mut eve = None;
    for _ in 0..3 {
        let code = shown(world, Request::to("issueSignIn").at("person", "eve").reads(), "code").await;
        let request = Request::to("signIn").body(json!({ "code": code }));
        let answer = world.call_as(&Secret::new(String::new()), request).await;
        if let Some(secret) = answer.ok().and_then(|a| a.get("secret").and_then(Value::as_str).map(str::to_owned)) {
            eve = Some(Secret::new(secret));
            break;
        }
    }
    let eve: Secret<String> = eve.expect("eve can sign in");
    // Whoever was away when the control plane died asks again.
    let _ = world.call_as(&eve, Request::to("whoami").reads()).await;
    done(world.call(Request::to("createTeam").body(json!({ "team": "blue" }))).await);
    let member = |endpoint| Request::to(endpoint).at("team", "blue").at("person", "eve");
    done(world.call(member("setMember").body(json!({ "role": "owner" }))).await);
    done(world.call(Request::about("changeService", "shop").body(json!({ "description": "a shop" }))).await);
    let token = shown(world, Request::to("issueToken").body(json!({ "name": "ci" })), "token").await;
    let id = token.get("token").and_then(Value::as_str).expect("a token has an id").to_owned();
    done(world.call(Request::to("revokeToken").at("token", id)).await);
    let view = |endpoint| Request::to(endpoint).at("view", "mine");
    done(world.call(view("saveView").body(json!({ "team": "blue" }))).await);
    done(world.call(view("removeView")).await);
    done(world.call(Request::to("startSession").body(json!({ "name": "a browser" }))).await);
    done(world.call(set("COLOUR", "blue")).await);
    done(world.call(Request::about("removeSetting", "shop").at("name", "COLOUR")).await);
    let restore = Request::about("restoreSetting", "shop").at("name", "COLOUR").body(json!({ "version": 1 }));
    done(world.call(restore).await);
    done(world.call(Request::to("setPlatformSetting").at("name", "ALL").body(json!({ "value": "1" }))).await);
    let environment = Request::to("putEnvironment").at("environment", "preview").body(json!({ "after": "dev" }));
    done(world.call(environment).await);
    done(world.call(member("removeMember")).await);
    done(world.call(Request::to("removeTeam").at("team", "blue")).await);
    done(world.call(Request::to("removePerson").at("person", "eve")).await);
    // A token's use is noted now and then.
    world.pass(DAY);
    done(world.call(Request::about("getService", "shop").reads()).await);
    done(create(world, "other").await);
}

async fn broken(world: &mut World) {
    done(deploy(world, "web: sim ready=100").await);
    world.come_to_rest(REST).await;
    done(deploy(world, "web: sim ready=100 exit=3@2500 say=cannot-open-database").await);
    world.come_to_rest(REST).await;
    done(world.call(rollback()).await);
}

async fn operate(world: &mut World) {
    done(world.call(rollout(json!({ "environment": "dev", "restart": true }))).await);
    world.come_to_rest(REST).await;
    done(world.call(rollout(json!({ "environment": "staging", "from": "dev" }))).await);
    world.come_to_rest(REST).await;
    done(world.call(scale(3)).await);
    world.come_to_rest(REST).await;
    done(world.call(scale(1)).await);
    world.come_to_rest(REST).await;
    done(world.call(set("COLOUR", "red")).await);
    world.come_to_rest(REST).await;
    // Somebody's hand has changed what is wanted.
    foreign_hand(world).await;
    world.come_to_rest(REST).await;
    // There is no control plane for a day in the middle of a rollout.
    done(deploy(world, "web: sim ready=900").await);
    until(world, RolloutState::Starting).await;
    world.away(DAY).await;
    world.come_to_rest(REST).await;
    // The machine is switched off and on.
    world.machine.reboot();
    world.disturbed();
}

/// Wants no instance of what is current, past everybody who may decide it.
async fn foreign_hand(world: &mut World) {
    let ctx = world.platform().ctx("hand");
    let all = kernel::all_latest::<facts::InstancesWanted>(&mut ctx.read().await.expect("a store can be read")).await;
    let (mut wish, _) = all.expect("facts can be read").into_iter().next().expect("something is wanted");
    wish.sets.clear();
    let mut tx = ctx.begin().await.expect("a transaction can begin");
    ctx.publish(&mut tx, &wish).await.expect("a wish can be published");
    tx.commit().await.expect("it can be committed");
}

async fn cancel(world: &mut World) {
    use RolloutState::{Draining, Pending, Releasing, Shifting, Starting, Verifying};
    for state in [Pending, Releasing, Starting, Shifting, Verifying, Draining] {
        done(deploy(world, "web: sim ready=900\nrelease: sim exit=0@700").await);
        until(world, state).await;
        if let Some(answer) = cancel_open(world).await {
            // It may have ended while the control plane was away.
            let _ = answer;
        }
        world.come_to_rest(REST).await;
    }
}

async fn remove(world: &mut World) {
    done(world.call(service("removeService")).await);
    world.come_to_rest(REST).await;
    done(world.call(service("restoreService")).await);
    world.come_to_rest(REST).await;
    done(deploy(world, "web: sim ready=900").await);
    until(world, RolloutState::Starting).await;
    done(world.call(service("removeService")).await);
    world.come_to_rest(REST).await;
    done(world.call(service("restoreService")).await);
}

/// A source that takes steps to build.
fn steps(version: &str) -> Request {
    let main = format!("package main\n\n// {version}\nfunc main() {{}}\n");
    let files = [("go.mod", "module example.com/shop\n\ngo 1.22\n"), ("main.go", main.as_str())];
    Request::about("uploadSource", "shop").query("environment=dev").upload(tarball(&files))
}

/// The build that is under way, told to stop.
async fn cancel_build(world: &mut World) -> Option<Request> {
    let sight = world.look(false).await.expect("a world can be looked at");
    let open = sight.latest::<facts::BuildSeen>().into_iter().find(|b| matches!(&*b.state, "queued" | "running"));
    open.map(|build| Request::about("cancelBuild", "shop").at("build", build.build))
}

/// Works at a build while something else happens in the middle of it.
async fn work_while(world: &mut World, meanwhile: Option<Request>) {
    world.interrupts.extend(meanwhile);
    world.gate.snag("engine.ensure, done", 1, Snag::Pause);
    world.work().await;
    world.interrupts.clear();
    world.come_to_rest(REST).await;
}

/// Works at a build and dies there.
async fn work_and_die(world: &mut World, kind: &str, nth: u64) {
    world.gate.snag(kind, nth, Snag::Die);
    world.work().await;
    world.pass(Duration::from_secs(31));
    world.disturbed();
}

async fn build(world: &mut World) {
    done(world.call(steps("one")).await);
    world.come_to_rest(REST).await;
    // It is stopped by a person, then by a newer one, while it runs.
    done(world.call(steps("two")).await);
    let meanwhile = cancel_build(world).await;
    work_while(world, meanwhile).await;
    done(world.call(steps("three")).await);
    work_while(world, Some(steps("four"))).await;
    // It is stopped before it runs.
    done(world.call(steps("five")).await);
    if let Some(request) = cancel_build(world).await {
        done(world.call(request).await);
    }
    world.come_to_rest(REST).await;
    // It is stopped by somebody whose control plane dies before it can call the job off.
    done(world.call(steps("five and a half")).await);
    if let Some(request) = cancel_build(world).await {
        world.gate.snag("commit, done", 1, Snag::Die);
        done(world.call(request).await);
    }
    world.come_to_rest(REST).await;
    // Its task is lost with the machine.
    done(world.call(steps("six")).await);
    world.machine.plant(Bug::Hangs);
    work_and_die(world, "engine.ensure, done", 1).await;
    world.machine.reboot();
    world.machine.mend();
}

async fn bad_build(world: &mut World) {
    // It ends neither by itself nor at its deadline.
    world.machine.plant(Bug::Hangs);
    done(world.call(steps("one")).await);
    for _ in 0..2 {
        world.work().await;
        world.pass(Duration::from_secs(31));
    }
    world.machine.mend();
    world.come_to_rest(REST).await;
    // Nobody answers: it is tried again, and given up.
    done(deploy(world, "web: sim ready=100").await);
    for _ in 0..8 {
        world.gate.faults(Faults { refused: 1000, ..Faults::default() });
        world.work().await;
        world.gate.faults(Faults::default());
        world.pass(Duration::from_secs(60));
    }
    world.come_to_rest(REST).await;
    // It dies in each attempt, at the first commit behind the one that claims it.
    done(deploy(world, "web: sim ready=120").await);
    for _ in 0..6 {
        work_and_die(world, "commit", 2).await;
    }
}

async fn pushes(world: &mut World) {
    let source = |text: &'static str| [("Procfile", text)];
    for (number, service) in (1..).zip(["shop", "fresh"]) {
        let commit = |n: u32| format!("{:040x}", n * 10 + number);
        for n in 1..=3 {
            // A new service comes into being behind the first push.
            let body = push("refs/heads/main", &commit(n), &source("web: sim ready=100"));
            if world.call(Request::push(service, body)).await.is_ok() {
                break;
            }
            let _ = world.reconcile("catalog.services").await;
        }
        world.come_to_rest(REST).await;
        let body = push("refs/heads/topic", &commit(9), &source("web: sim"));
        done(world.call(Request::push(service, body)).await);
        done(world.call(Request::push(service, push("refs/heads/topic", &commit(9), &[]))).await);
    }
    // What was pushed cannot be deployed; once nobody is left to say so.
    let bad = |n: u32| format!("refs/heads/main {n:040x}\nno archive").into_bytes();
    done(world.call(Request::push("shop", bad(101))).await);
    for body in [bad(102), push("refs/heads/main", &format!("{:040x}", 103), &source("web: sim ready=120"))] {
        // The ref has moved, and the control plane dies before it deploys. Git sends nothing again.
        world.gate.snag("sources.receive, done", 1, Snag::Die);
        let _ = world.call_once(Request::push("shop", body)).await;
        world.come_to_rest(REST).await;
    }
}

/// A world with more releases and logs than are kept.
async fn well_used(seed: u64) -> World {
    let mut world = world_with_first(seed).await;
    for number in 0..52 {
        world.call(steps(&number.to_string())).await.expect("an upload is taken");
        while let Ended::Done(Ok(true)) = world.work().await {}
        if number % 2 == 0 {
            deploy(&mut world, &format!("web: sim ready=100 v={number}")).await.expect("an upload is taken");
            while let Ended::Done(Ok(true)) = world.work().await {}
        }
    }
    world.come_to_rest(REST).await;
    world
}

async fn garbage(world: &mut World) {
    world.objects.plant(&format!("oci/blobs/sha256/{:064x}", 7), b"of a database that was lost");
    for _ in 0..4 {
        world.pass(8 * DAY);
        world.disturbed();
        for name in ["kernel.housekeeping", "deliver.garbage"] {
            // One that died is run again.
            for _ in 0..2 {
                if let Ended::Done(Err(problem)) = world.reconcile(name).await {
                    panic!("{name}: {problem:?}");
                }
            }
        }
    }
}
