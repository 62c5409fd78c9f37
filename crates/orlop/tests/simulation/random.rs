//! Random people, random deaths, random faults; everything follows from the seed.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base::Result;
use ports::Clock as _;
use serde_json::{Value, json};
use sim::{Faults, Plan, Request, World, seeds};

use crate::actions::{
    REST, cancel_open, deploy, held, on_every_core, rollback, rollout, scale, service, set, upload, world,
};
use crate::report::{Part, record};

/// Seeds where nobody names any; `SIM_SEEDS=5000` runs so many.
const SEEDS: u64 = 500;
/// What people do in one world, at most.
const ACTIONS_MAX: u64 = 6;

#[test]
fn random_worlds_keep_every_promise() {
    let seeds = seeds(SEEDS);
    println!("seeds {:?} to {:?}", seeds.first(), seeds.last());
    let parts = Mutex::new(Part::default());
    on_every_core(seeds, async |seed| {
        let mut world = world(seed).await;
        live(&mut world).await;
        world.come_to_rest(REST).await;
        let mut mine = Part::default();
        mine.add(&world);
        parts.lock().unwrap_or_else(PoisonError::into_inner).join(mine);
        held(&world, "a random world");
    });
    record("random", parts.into_inner().unwrap_or_else(PoisonError::into_inner));
}

async fn live(world: &mut World) {
    // Something has to be there to be acted upon.
    deploy(world, "web: sim ready=200 busy=300").await.expect("an upload is taken");
    if world.chance.per_mille(700) {
        world.rounds(14, Duration::from_millis(400)).await;
    }
    if world.chance.per_mille(500) {
        let of = |chance: &sim::Chance| chance.below(40);
        world.gate.faults(Faults {
            refused: of(&world.chance),
            answer_lost: of(&world.chance),
            late: of(&world.chance),
        });
        world.disturbed();
    }
    for _ in 0..1 + world.chance.below(ACTIONS_MAX) {
        interfere(world);
        // A refusal is an answer too: there may be nothing to roll back to.
        let _ = act(world).await;
        let rounds = u32::try_from(world.chance.below(9)).unwrap_or(1);
        let apart = Duration::from_millis(100 + world.chance.below(1500));
        world.rounds(rounds, apart).await;
        world.edge.away(false);
    }
}

/// Plans what happens to the platform meanwhile.
fn interfere(world: &mut World) {
    let chance = &world.chance;
    match chance.below(12) {
        10 | 11 => set_wall(world),
        0..=3 => world.gate.plan(Plan::KillAt(1 + chance.below(120))),
        4 => {
            world.interrupts = vec![interruption(world)];
            world.gate.plan(Plan::PauseAt(1 + world.chance.below(80)));
        }
        5 => {
            world.edge.away(true);
            world.disturbed();
        }
        6 => world.edge.restart_with_older(1 + usize::try_from(chance.below(3)).unwrap_or(0)),
        7 => {
            world.machine.reboot();
            world.disturbed();
        }
        _ => {}
    }
}

/// Somebody sets the machine's wall clock: a little or a lot, forward or back, to before and long
/// behind anything that was recorded. Half of the times the control plane is started anew with it.
fn set_wall(world: &mut World) {
    const HOUR: Duration = Duration::from_secs(3600);
    let (chance, now) = (&world.chance, world.clock.now());
    let to = match chance.below(6) {
        0 => now.plus(HOUR),
        1 => now.minus(HOUR),
        2 => base::Time::from_micros(0),
        3 => base::Time::from_micros(4_102_444_800_000_000),
        4 => now.minus(HOUR * 24 * 365),
        _ => now,
    };
    world.clock.set_wall(to);
    if chance.per_mille(500) {
        world.gate.plan(Plan::KillAt(1));
    }
}

fn interruption(world: &World) -> Request {
    let chance = &world.chance;
    match chance.below(5) {
        0 => upload(&procfile(world)),
        1 => scale(u32::try_from(chance.below(4)).unwrap_or(1)),
        2 => set("COLOUR", &chance.number().to_string()),
        3 => service("removeService"),
        _ => rollback(),
    }
}

async fn act(world: &mut World) -> Option<Result<Value>> {
    match world.chance.below(12) {
        0..=3 => Some(deploy(world, &procfile(world)).await),
        4 => Some(world.call(rollback()).await),
        5 => Some(world.call(rollout(json!({ "environment": "dev", "restart": true }))).await),
        6 => Some(world.call(rollout(json!({ "environment": "staging", "from": "dev" }))).await),
        7 => cancel_open(world).await,
        8 => {
            let instances = u32::try_from(1 + world.chance.below(3)).unwrap_or(1);
            Some(world.call(scale(instances)).await)
        }
        9 => {
            let value = world.chance.number().to_string();
            Some(world.call(set("COLOUR", &value)).await)
        }
        10 => Some(world.call(service("removeService")).await),
        _ => Some(world.call(service("restoreService")).await),
    }
}

/// A version that is good, slow or broken in some way. What would crash for ever once it serves is
/// not among them: such a world does not come to rest.
fn procfile(world: &World) -> String {
    let chance = &world.chance;
    let web = match chance.below(10) {
        0 => "sim exit=1@0",
        1 => "sim deaf",
        2 => "sim oom@300",
        3 => "sim ready=100 stubborn",
        4 => "sim ready=4000",
        5 => "sim ready=100 busy=5000",
        6 => "missing",
        7 => "sim ready=300 sick=600-900",
        _ => "sim ready=150",
    };
    let release = match chance.below(6) {
        0 => "\nrelease: sim exit=0@500",
        1 => "\nrelease: sim exit=2@100",
        _ => "",
    };
    let worker = if chance.per_mille(200) { "\nworker: sim" } else { "" };
    format!("web: {web} v={}{release}{worker}", chance.below(1000))
}
