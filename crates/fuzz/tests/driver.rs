//! The list is whole, and the driver finds what is planted.

use fuzz::{TARGETS, Target, corpus, short};

#[test]
fn every_target_has_seeds_and_a_program_for_cargo_fuzz() {
    let manifest = include_str!("../../../fuzz/Cargo.toml");
    let programs: Vec<&str> = manifest
        .lines()
        .skip_while(|line| *line != "[[bin]]")
        .filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'))
        .collect();
    assert_eq!(programs, TARGETS.iter().map(|target| target.name).collect::<Vec<_>>());
    for target in TARGETS {
        let seeds = corpus(target.name);
        assert!(!seeds.is_empty(), "{} has no seed", target.name);
        assert!(seeds.iter().all(|(_, bytes)| bytes.len() <= 32 << 10), "{} has a large seed", target.name);
    }
    let folders = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus")).unwrap();
    for folder in folders.flatten() {
        let name = folder.file_name();
        assert!(TARGETS.iter().any(|target| name == target.name), "{name:?} is the corpus of nothing");
    }
}

/// A parser with a hole: it reads one byte too far after a word.
fn reads_too_far(data: &[u8]) {
    if let Some(at) = data.windows(4).position(|window| window == b"Host") {
        let _ = data[at + 4];
    }
}

/// A parser that forgets what was before the cut.
fn forgets(data: &[u8]) {
    let count =
        |step: usize| data.chunks(step).map(|piece| piece.windows(2).filter(|w| w == b"\r\n").count()).sum::<usize>();
    assert_eq!(count(data.len().max(1)), count(3));
}

#[test]
fn planted_holes_are_found_and_found_again() {
    for (run, words) in [(reads_too_far as fn(&[u8]), &["Host"][..]), (forgets, &[])] {
        let target = Target { name: "gate", run, runs: 3_000, words };
        let report = short(&target, 7, target.runs);
        let (input, said) = report.broke.clone().expect("the planted hole");
        assert!(!said.is_empty());
        assert!(std::panic::catch_unwind(|| run(&input)).is_err(), "the input shows it again");
        assert_eq!(short(&target, 7, target.runs), report, "the same seed, the same course");
    }
}

#[test]
fn a_sound_parser_is_left_alone() {
    let target = Target { name: "gate", run: |data| drop(data.to_vec()), runs: 500, words: &[] };
    let report = short(&target, 7, target.runs);
    assert_eq!((report.runs, report.broke), (500, None));
}
