//! Attempts to escape and to reach what belongs to others, from a build and from an instance, as
//! root and (through `user.rs`) as an ordinary user. The attempts are made by the guest; here is
//! laid out what they are after, and what they saw is compared with what can be seen from outside.
//!
//! An attempt may get through only where the engine says that every wall before it is missing on
//! this host. That the attempts can succeed at all is shown by the same program without walls, and
//! by sandboxes from which one wall was left out.

mod evidence;
mod range;
mod table;

use std::collections::{BTreeMap, BTreeSet};

use ports::{Availability, ExitKind, Feature, Network};

use evidence::Record;
pub(crate) use evidence::merge;
use range::Range;
use table::{Place, ROWS, Row};

/// What the guest says of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Said {
    outcome: String,
    detail: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_attempt_is_held_or_its_wall_is_told_to_be_missing() {
    let range = Range::new(&[]).await;
    let mut records = Vec::new();
    for from in [Place::Instance, Place::Named, Place::Build] {
        let said = attempts(&range, from).await;
        let judged = judge(&said, from, &range.bench.engine.features());
        let open = judged.iter().filter(|r| r.outcome == evidence::OPEN).map(|r| r.attempt).collect();
        let harm = range.harm(&open);
        records.extend(judged);
        assert!(harm.is_empty(), "seen from outside after the attempts from {from:?}: {harm:?}");
    }
    evidence::write(&records);
    evidence::print(&records);
    let holes: Vec<&Record> = records.iter().filter(|r| r.outcome == "HOLE").collect();
    assert!(holes.is_empty(), "{holes:#?}");
    let names: BTreeSet<&str> = records.iter().map(|r| r.attempt).collect();
    assert!(names.len() >= 60, "only {} attempts", names.len());
}

/// The counterpart: with no wall at all the same attempts get through, each of them.
#[tokio::test(flavor = "multi_thread")]
async fn without_walls_every_attempt_gets_through() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can do without walls what the attempts try");
        return;
    }
    let range = Range::new(&[]).await;
    let said = range.without_walls();
    let mut absent = Vec::new();
    let mut unnoticed = Vec::new();
    for row in ROWS {
        let seen = &said[row.name];
        let nothing = |what| row.may_lack && seen.detail.contains(what);
        let powerless = row.capability.is_some_and(|number| !capable(number));
        let lacks = seen.outcome == "absent" || nothing("No such file") || nothing("not permitted") || powerless;
        match seen.outcome.as_str() {
            "breach" => {}
            _ if lacks => absent.push(row.name),
            _ if row.only_left_out => {}
            _ => unnoticed.push((row.name, seen)),
        }
    }
    println!("this host has nothing to attack for {absent:?}");
    assert!(unnoticed.is_empty(), "these would not notice a missing wall: {unnoticed:#?}");
    assert!(absent.len() * 5 < ROWS.len(), "too much is absent to say anything: {absent:?}");
    let harm = range.harm(&BTreeSet::new());
    for what in ["host file", "datagram", "control-plane", "undeclared", "elsewhere"] {
        assert!(harm.iter().any(|h| h.contains(what)), "the look from outside misses {what}: {harm:?}");
    }
}

/// Whether this process has a capability: root of a container does not have all.
fn capable(number: u32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    u64::from_str_radix(effective.trim(), 16).unwrap() >> number & 1 == 1
}

/// One wall is left out while the engine goes on claiming it: the suite must find the hole.
#[tokio::test(flavor = "multi_thread")]
async fn a_wall_that_was_left_out_is_noticed() {
    for (walls, notices) in table::LEFT_OUT {
        let range = Range::new(walls).await;
        let features = range.bench.engine.features();
        let stands = |wall: &&str| features.iter().any(|f| f.name == *wall && f.availability == Availability::Works);
        if !walls.iter().all(stands) {
            eprintln!("SKIPPED in part: this host has not all of {walls:?}, so they cannot be left out");
            continue;
        }
        if walls.contains(&"cgroup-namespace") && !crate::bench::works(&range.bench, "pids-limit") {
            // Without control groups of the platform there are no names to see.
            continue;
        }
        let said = attempts(&range, Place::Instance).await;
        let found = judge(&said, Place::Instance, &features);
        let holes: BTreeSet<&str> = found.iter().filter(|r| r.outcome == "HOLE").map(|r| r.attempt).collect();
        println!("without {walls:?}: {holes:?}");
        for name in *notices {
            assert!(holes.contains(name), "{name} does not notice that {walls:?} are missing: {holes:?}");
        }
    }
}

/// Runs the guest's attempts inside, and reads what it said of each.
async fn attempts(range: &Range, from: Place) -> BTreeMap<String, Said> {
    let mut spec = match from {
        Place::Build => range.bench.build(&["escape"]),
        Place::Instance | Place::Named => range.bench.task(&["escape"]),
    };
    if from == Place::Named {
        spec.command.extend(ROWS.iter().filter(|r| r.from.contains(&from)).map(|r| r.name.to_owned()));
        spec.network = range.declared("registry.example.org");
    } else if from == Place::Instance {
        spec.network = range.declared("127.0.0.1");
    } else {
        assert_eq!(spec.network, Network::Host);
    }
    let artifact = if from == Place::Build { "/usr/bin/env" } else { "/app/data/greeting.txt" };
    spec.env.insert("ESCAPE".to_owned(), base::Secret::new(range.targets("1", artifact)));
    let (kind, seen, lines) = range.bench.run(&spec).await;
    assert_eq!(kind, ExitKind::Status { status: 0 }, "{} {lines:?}", seen.evidence);
    read(&lines)
}

fn read(lines: &[String]) -> BTreeMap<String, Said> {
    lines
        .iter()
        .filter_map(|line| {
            let mut parts = line.splitn(3, ": ");
            let (name, outcome) = (parts.next()?, parts.next()?);
            let said = Said { outcome: outcome.to_owned(), detail: parts.next().unwrap_or_default().to_owned() };
            Some((name.to_owned(), said))
        })
        .collect()
}

/// Compares what was said with what may be. No attempt may be missing, and none may be unknown.
fn judge(said: &BTreeMap<String, Said>, from: Place, features: &[Feature]) -> Vec<Record> {
    let rows: Vec<&Row> = ROWS.iter().filter(|row| row.from.contains(&from)).collect();
    if from != Place::Named {
        let known: BTreeSet<&str> = ROWS.iter().map(|r| r.name).collect();
        let unknown: Vec<&String> = said.keys().filter(|name| !known.contains(name.as_str())).collect();
        assert!(unknown.is_empty(), "the guest tries what the table does not know: {unknown:?}");
    }
    let lacks = |name: &str| {
        let feature = features.iter().find(|f| f.name == name);
        feature.unwrap_or_else(|| panic!("the engine tells of no feature `{name}`")).availability != Availability::Works
    };
    let judged = rows.into_iter().map(|row| {
        let seen = said.get(row.name).unwrap_or_else(|| panic!("the guest did not try {}", row.name));
        let walls = row.walls(from);
        let excuse = !walls.is_empty() && walls.iter().all(|name| lacks(name));
        let outcome = match seen.outcome.as_str() {
            "held" => "held",
            "absent" => "absent",
            "breach" if excuse => evidence::OPEN,
            _ => "HOLE",
        };
        Record { attempt: row.name, breaks: row.breaks, from, outcome, saw: seen.detail.clone(), walls: walls.to_vec() }
    });
    judged.collect()
}

#[test]
fn the_judge_can_say_no() {
    let features = |works: bool| {
        let missing = Availability::Missing { why: "w".into(), fix: "f".into() };
        let named = ["seccomp", "landlock-files", "landlock-tcp", "network-namespace", "ipc-namespace"];
        let more = ["landlock-scopes", "uts-namespace", "cgroup-namespace", "private-proc", "build-network"];
        let availability = if works { Availability::Works } else { missing };
        let feature = |name: &&str| Feature {
            name: (*name).to_owned(),
            purpose: String::new(),
            availability: availability.clone(),
        };
        named.iter().chain(&more).map(feature).collect::<Vec<_>>()
    };
    let all = |outcome: &str| {
        let said = Said { outcome: outcome.to_owned(), detail: String::new() };
        ROWS.iter().map(|row| (row.name.to_owned(), said.clone())).collect::<BTreeMap<_, _>>()
    };
    let holes =
        |said, works| judge(&said, Place::Instance, &features(works)).iter().filter(|r| r.outcome == "HOLE").count();
    assert_eq!(holes(all("held"), true), 0);
    let rows = ROWS.iter().filter(|r| r.from.contains(&Place::Instance)).count();
    assert_eq!((holes(all("breach"), true), holes(all("broken"), true)), (rows, rows));
    assert!(holes(all("breach"), false) > 60, "what stands on no optional wall is never excused");
}
