//! `cargo run -p fuzz [-- [--seed N] [--runs N] [TARGET|FILE]...]`: a short run of every target, or of those
//! that are named. `--runs` multiplies the usual numbers. A file is fed once to the target that is
//! named before it, which is how a crash is looked at.

use std::process::ExitCode;

use fuzz::{TARGETS, Target, short};

/// The usual course.
const SEED: u64 = 20_260_101;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let (mut seed, mut times) = (SEED, 1u32);
    let mut wanted: Vec<&Target> = Vec::new();
    while let Some(arg) = args.next() {
        let mut number = |what: &str| {
            args.next().and_then(|n| n.parse::<u64>().ok()).unwrap_or_else(|| panic!("{what} takes a number"))
        };
        match arg.as_str() {
            "--seed" => seed = number("--seed"),
            "--runs" => times = u32::try_from(number("--runs")).unwrap_or(u32::MAX),
            name => match TARGETS.iter().find(|target| target.name == name) {
                Some(target) => wanted.push(target),
                None => return feed(name, wanted.last().copied()),
            },
        }
    }
    if wanted.is_empty() {
        wanted = TARGETS.iter().collect();
    }
    println!("seed {seed}");
    let mut broken = 0;
    for target in wanted {
        let report = short(target, seed, target.runs.saturating_mul(times));
        println!(
            "{:<16} {:>3} seeds, {:>6} made{}",
            report.target,
            report.seeds,
            report.runs,
            if report.broke.is_some() { ", BROKEN" } else { "" }
        );
        if let Some((input, said)) = &report.broke {
            broken += 1;
            let kept = report.keep().map_or_else(|| "nowhere".to_owned(), |path| path.display().to_string());
            println!("  {said}\n  input of {} bytes, kept in {kept}: {}", input.len(), input.escape_ascii());
        }
    }
    if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn feed(path: &str, target: Option<&Target>) -> ExitCode {
    match (target, std::fs::read(path)) {
        (Some(target), Ok(bytes)) => {
            (target.run)(&bytes);
            println!("{}: {} bytes, all holds", target.name, bytes.len());
            ExitCode::SUCCESS
        }
        (None, _) => {
            eprintln!("`{path}` is no target; they are {:?}", TARGETS.iter().map(|t| t.name).collect::<Vec<_>>());
            ExitCode::from(2)
        }
        (_, Err(error)) => {
            eprintln!("{path}: {error}");
            ExitCode::from(2)
        }
    }
}
