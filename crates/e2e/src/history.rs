//! What people were promised beside what became of it. The judge of the tests that kill: a wish that
//! was acknowledged has its effect, one key has one effect, and nothing is there that nobody wants.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What somebody asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// A deploy of a source.
    Deploy,
    /// A promotion, rollback or restart.
    Rollout,
}

/// One intent under one idempotency key, however often it was sent.
#[derive(Debug, Clone)]
pub struct Wish {
    /// The key.
    pub key: String,
    /// What.
    pub asked: Asked,
    /// Of which service.
    pub service: String,
    /// The build or rollout that the acknowledgement named. A wish that was refused is not one.
    pub made: String,
}

/// A build as it is in the end.
#[derive(Debug, Clone)]
pub struct Build {
    /// Its id.
    pub id: String,
    /// Of which service.
    pub service: String,
    /// The word of its state.
    pub state: String,
    /// Why.
    pub reason: String,
    /// The number of the release that it made.
    pub release: Option<i64>,
}

/// A rollout as it is in the end.
#[derive(Debug, Clone)]
pub struct Rollout {
    /// Its id.
    pub id: String,
    /// Of which service.
    pub service: String,
    /// Where.
    pub environment: String,
    /// Of which release.
    pub number: i64,
    /// `deploy`, `promotion`, …
    pub cause: String,
    /// The word of its state.
    pub state: String,
    /// Why.
    pub reason: String,
}

/// Everything that is there when all has come to rest.
#[derive(Debug, Clone, Default)]
pub struct World {
    /// Builds of every service.
    pub builds: Vec<Build>,
    /// Service and number of every release.
    pub releases: Vec<(String, i64)>,
    /// Rollouts of every service.
    pub rollouts: Vec<Rollout>,
    /// Service and environment, with the release that is current and the one that answers visitors.
    pub places: BTreeMap<(String, String), (i64, i64)>,
    /// Instances that the ledger wants.
    pub wanted: BTreeSet<String>,
    /// Instances and tasks that the ledger knows at all.
    pub recorded: BTreeSet<String>,
    /// Folders of the engine.
    pub folders: BTreeSet<String>,
    /// Keepers that run: the instance of each.
    pub keepers: Vec<String>,
    /// Jobs that are not finished.
    pub jobs: Vec<String>,
    /// Sources and artifacts that are stored and that no record names.
    pub objects: Vec<String>,
}

/// What is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Violation {
    /// Acknowledged, and without its effect.
    Lost(String),
    /// More than one effect, or one that nobody asked for.
    Doubled(String),
    /// Something that nobody wants or knows.
    Orphaned(String),
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(what) => write!(f, "lost: {what}"),
            Self::Doubled(what) => write!(f, "doubled: {what}"),
            Self::Orphaned(what) => write!(f, "orphaned: {what}"),
        }
    }
}

/// Judges a world at rest.
pub fn check(wishes: &[Wish], world: &World) -> Vec<Violation> {
    let mut found = Vec::new();
    deploys(wishes, world, &mut found);
    rollouts(wishes, world, &mut found);
    places(world, &mut found);
    orphans(world, &mut found);
    found.sort();
    found
}

fn deploys(wishes: &[Wish], world: &World, found: &mut Vec<Violation>) {
    let wishes: Vec<&Wish> = wishes.iter().filter(|wish| wish.asked == Asked::Deploy).collect();
    for (at, wish) in wishes.iter().enumerate() {
        let made: Vec<&Build> = world.builds.iter().filter(|build| build.id == wish.made).collect();
        let [build] = made[..] else {
            found.push(Violation::Lost(format!(
                "deploy {} was acknowledged as {}, which is not there",
                wish.key, wish.made
            )));
            continue;
        };
        // A build may give way to a newer deploy of the same service, and to nothing else.
        let newer = wishes.iter().skip(at + 1).any(|other| other.service == wish.service);
        match (build.state.as_str(), build.release) {
            ("succeeded", Some(number)) => {
                let count = world.releases.iter().filter(|(s, n)| *s == build.service && *n == number).count();
                if count != 1 {
                    found
                        .push(Violation::Lost(format!("release {number} of {} is there {count} times", build.service)));
                }
                let first = world.rollouts.iter().filter(|r| is_first(r, build, number)).count();
                match first {
                    1 => {}
                    0 => found
                        .push(Violation::Lost(format!("release {number} of {} was never rolled out", build.service))),
                    _ => found.push(Violation::Doubled(format!(
                        "release {number} of {} was rolled out {first} times by one deploy",
                        build.service
                    ))),
                }
            }
            ("cancelled", None) if newer && build.reason.contains("superseded") => {}
            _ => found.push(Violation::Lost(format!(
                "deploy {}: build {} is {} ({})",
                wish.key, build.id, build.state, build.reason
            ))),
        }
    }
    let asked: BTreeSet<&str> = wishes.iter().map(|wish| wish.made.as_str()).collect();
    if asked.len() < wishes.len() {
        found.push(Violation::Lost("two deploys under two keys were acknowledged with one build".to_owned()));
    }
    for build in world.builds.iter().filter(|build| !asked.contains(build.id.as_str())) {
        found.push(Violation::Doubled(format!(
            "nobody asked for build {} of {} ({})",
            build.id, build.service, build.state
        )));
    }
    let made: BTreeSet<(&str, i64)> =
        world.builds.iter().filter_map(|b| Some((b.service.as_str(), b.release?))).collect();
    for (service, number) in &world.releases {
        if !made.contains(&(service.as_str(), *number)) {
            found.push(Violation::Doubled(format!("release {number} of {service} is of no build")));
        }
    }
}

fn is_first(rollout: &Rollout, build: &Build, number: i64) -> bool {
    rollout.service == build.service && rollout.number == number && rollout.cause == "deploy"
}

fn rollouts(wishes: &[Wish], world: &World, found: &mut Vec<Violation>) {
    let wishes: Vec<&Wish> = wishes.iter().filter(|wish| wish.asked == Asked::Rollout).collect();
    for wish in &wishes {
        if !world.rollouts.iter().any(|rollout| rollout.id == wish.made) {
            found.push(Violation::Lost(format!(
                "rollout {} was acknowledged as {}, which is not there",
                wish.key, wish.made
            )));
        }
    }
    let asked: BTreeSet<&str> = wishes.iter().map(|wish| wish.made.as_str()).collect();
    if asked.len() < wishes.len() {
        found.push(Violation::Lost("two wishes under two keys were acknowledged with one rollout".to_owned()));
    }
    for (at, rollout) in world.rollouts.iter().enumerate() {
        if rollout.cause != "deploy" && !asked.contains(rollout.id.as_str()) {
            found.push(Violation::Doubled(format!("nobody asked for the {} {}", rollout.cause, rollout.id)));
        }
        let newer = world.rollouts.iter().enumerate().any(|(other, r)| {
            other != at && r.service == rollout.service && r.environment == rollout.environment && r.id > rollout.id
        });
        let fine = rollout.state == "succeeded" || (rollout.state == "superseded" && newer);
        if !fine {
            let Rollout { id, service, environment, state, reason, .. } = rollout;
            found.push(Violation::Lost(format!("rollout {id} of {service} in {environment} is {state}: {reason}")));
        }
    }
}

fn places(world: &World, found: &mut Vec<Violation>) {
    for ((service, environment), (current, answers)) in &world.places {
        if current != answers {
            found.push(Violation::Lost(format!(
                "{service} in {environment}: release {current} is current, release {answers} answers"
            )));
        }
        let last = world
            .rollouts
            .iter()
            .filter(|r| r.service == *service && r.environment == *environment && r.state == "succeeded")
            .max_by(|a, b| a.id.cmp(&b.id));
        if let Some(last) = last.filter(|last| last.number != *current) {
            found.push(Violation::Lost(format!(
                "{service} in {environment}: the last rollout brought release {}, release {current} is current",
                last.number
            )));
        }
    }
}

fn orphans(world: &World, found: &mut Vec<Violation>) {
    for folder in world.folders.difference(&world.recorded) {
        found.push(Violation::Orphaned(format!("the engine has {folder}, which nobody decided upon")));
    }
    for keeper in &world.keepers {
        if !world.wanted.contains(keeper) {
            found.push(Violation::Orphaned(format!("instance {keeper} runs, and nobody wants it")));
        }
    }
    for wanted in &world.wanted {
        match world.keepers.iter().filter(|keeper| *keeper == wanted).count() {
            1 => {}
            0 => found.push(Violation::Lost(format!("instance {wanted} is wanted and does not run"))),
            n => found.push(Violation::Doubled(format!("instance {wanted} runs {n} times"))),
        }
    }
    found.extend(world.jobs.iter().map(|job| Violation::Orphaned(format!("job {job} is not finished"))));
    found.extend(world.objects.iter().map(|object| Violation::Orphaned(format!("object {object} is of no record"))));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two deploys and a rollback, all well.
    fn good() -> (Vec<Wish>, World) {
        let wish =
            |key: &str, asked, made: &str| Wish { key: key.into(), asked, service: "shop".into(), made: made.into() };
        let build = |id: &str, release| Build {
            id: id.into(),
            service: "shop".into(),
            state: "succeeded".into(),
            reason: String::new(),
            release: Some(release),
        };
        let rollout = |id: &str, number, cause: &str| Rollout {
            id: id.into(),
            service: "shop".into(),
            environment: "dev".into(),
            number,
            cause: cause.into(),
            state: "succeeded".into(),
            reason: String::new(),
        };
        let wishes =
            vec![wish("k1", Asked::Deploy, "b1"), wish("k2", Asked::Deploy, "b2"), wish("k3", Asked::Rollout, "r3")];
        let set = |items: &[&str]| items.iter().map(|i| (*i).to_owned()).collect::<BTreeSet<_>>();
        let world = World {
            builds: vec![build("b1", 1), build("b2", 2)],
            releases: vec![("shop".into(), 1), ("shop".into(), 2)],
            rollouts: vec![rollout("r1", 1, "deploy"), rollout("r2", 2, "deploy"), rollout("r3", 1, "rollback")],
            places: [(("shop".into(), "dev".into()), (1, 1))].into(),
            wanted: set(&["i3"]),
            recorded: set(&["i1", "i2", "i3"]),
            folders: set(&["i2", "i3"]),
            keepers: vec!["i3".into()],
            jobs: Vec::new(),
            objects: Vec::new(),
        };
        (wishes, world)
    }

    #[test]
    fn a_world_without_fault_is_clear() {
        let (wishes, world) = good();
        assert_eq!(check(&wishes, &world), []);
    }

    /// Each plants one fault and names the word of its violation and of what is said.
    #[test]
    fn every_planted_fault_is_found() {
        type Plant = fn(&mut Vec<Wish>, &mut World);
        let planted: [(&str, &str, Plant); 17] = [
            ("lost", "k2 was acknowledged", |_, w| drop(w.builds.remove(1))),
            ("lost", "b2 is failed", |_, w| w.builds[1].state = "failed".into()),
            ("lost", "b2 is cancelled", |_, w| {
                w.builds[1] = Build { state: "cancelled".into(), release: None, ..w.builds[1].clone() };
            }),
            ("lost", "release 2 of shop is there 0", |_, w| drop(w.releases.pop())),
            ("lost", "was never rolled out", |_, w| drop(w.rollouts.remove(1))),
            ("lost", "acknowledged as r3", |_, w| drop(w.rollouts.remove(2))),
            ("lost", "is pending", |_, w| w.rollouts[2].state = "pending".into()),
            ("lost", "is superseded", |_, w| w.rollouts[2].state = "superseded".into()),
            ("lost", "release 2 answers", |_, w| {
                w.places.insert(("shop".into(), "dev".into()), (1, 2));
            }),
            ("lost", "the last rollout brought release 1", |_, w| {
                w.places.insert(("shop".into(), "dev".into()), (2, 2));
            }),
            ("lost", "does not run", |_, w| w.keepers.clear()),
            ("doubled", "nobody asked for build b3", |_, w| {
                let twin = Build { id: "b3".into(), release: None, ..w.builds[1].clone() };
                w.builds.push(twin);
            }),
            ("doubled", "rolled out 2 times", |_, w| {
                let twin = Rollout { id: "r2b".into(), ..w.rollouts[1].clone() };
                w.rollouts.push(twin);
            }),
            ("doubled", "nobody asked for the rollback", |_, w| {
                let twin = Rollout { id: "r3b".into(), ..w.rollouts[2].clone() };
                w.rollouts.push(twin);
            }),
            ("doubled", "runs 2 times", |_, w| w.keepers.push("i3".into())),
            ("orphaned", "nobody decided upon", |_, w| {
                w.folders.insert("stranger".into());
            }),
            ("orphaned", "nobody wants it", |_, w| w.keepers.push("i2".into())),
        ];
        for (kind, says, plant) in planted {
            let (mut wishes, mut world) = good();
            plant(&mut wishes, &mut world);
            let found: Vec<String> = check(&wishes, &world).iter().map(Violation::to_string).collect();
            assert!(found.iter().any(|f| f.starts_with(kind) && f.contains(says)), "{kind}, {says}: {found:?}");
        }
        let (mut wishes, world) = good();
        wishes[1].made = "b1".into();
        assert!(check(&wishes, &world).iter().any(|v| v.to_string().contains("two keys")), "two keys, one build");
    }

    #[test]
    fn a_build_may_give_way_to_a_newer_deploy_only() {
        let (wishes, mut world) = good();
        world.builds[0].state = "cancelled".into();
        world.builds[0].reason = "superseded by the newer build b2".into();
        world.builds[0].release = None;
        world.releases.remove(0);
        world.rollouts.remove(0);
        world.rollouts[1].number = 2;
        world.places.insert(("shop".into(), "dev".into()), (2, 2));
        assert_eq!(check(&wishes, &world), []);
        assert!(!check(&wishes[..1], &world).is_empty(), "nothing newer was asked for");
    }
}
