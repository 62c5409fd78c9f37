//! The gateway beside nginx and HAProxy, before the same upstream, in one run: requests per second
//! and core, processor time per request, latency at equal load.

mod load;

use std::path::Path;
use std::process::ExitCode;

use bench::cpu::{self, Others};
use bench::peers::{self, Peer, Upstream};
use bench::stats::{median, told};
use bench::{Program, Report, Table, origin};
use load::Load;
use serde_json::{Value, json};

/// Hosts, each with an upstream of its own.
const HOSTS: usize = 1000;

/// One way of asking.
struct Scenario {
    name: &'static str,
    path: &'static str,
    is_new: bool,
    connections: usize,
    /// Processors of the proxy.
    cores: usize,
}

const SCENARIOS: [Scenario; 5] = [
    Scenario { name: "small, keep-alive", path: "/small", is_new: false, connections: 64, cores: 1 },
    Scenario { name: "small, new connections", path: "/small", is_new: true, connections: 32, cores: 1 },
    Scenario { name: "64 KiB, keep-alive", path: origin::LARGE_PATH, is_new: false, connections: 32, cores: 1 },
    Scenario { name: "64 KiB, new connections", path: origin::LARGE_PATH, is_new: true, connections: 32, cores: 1 },
    Scenario { name: "small, keep-alive, 2 cores", path: "/small", is_new: false, connections: 64, cores: 2 },
];

/// The gateway runs here as it does in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    bench::run(|args| match args.split_first() {
        Some((&"load", rest)) => {
            let load = Load::of(rest).ok_or("a load is wanted")?;
            load::main(&load).map_err(|why| format!("the load failed: {why}"))?;
            std::process::exit(0);
        }
        _ => measure(args),
    })
}

/// What one round of one peer came to.
#[derive(Clone, Copy, Default)]
struct Round {
    per_second: f64,
    /// Processor time of the proxy per request, microseconds.
    cpu_us: f64,
    /// Processors that the proxy kept busy.
    busy: f64,
    p50: f64,
    p99: f64,
    errors: f64,
    others: f64,
}

struct Plan {
    rounds: usize,
    warm_ms: u64,
    measure_ms: u64,
    scenarios: Vec<&'static Scenario>,
    peers: Vec<&'static str>,
}

/// `[--quick] [--only WORDS]… [--peer NAME]…`
fn plan(args: &[&str]) -> Result<Plan, String> {
    let quick = args.contains(&"--quick");
    let named =
        |option: &str| -> Vec<&str> { args.windows(2).filter(|pair| pair[0] == option).map(|pair| pair[1]).collect() };
    let (only, with) = (named("--only"), named("--peer"));
    let is_wanted = |s: &&Scenario| only.is_empty() || only.contains(&s.name);
    let is_here = |name: &&str| (with.is_empty() || with.contains(name)) && peers::version(name).is_some();
    let plan = Plan {
        rounds: if quick { 3 } else { 7 },
        warm_ms: if quick { 200 } else { 300 },
        measure_ms: if quick { 700 } else { 1500 },
        scenarios: SCENARIOS.iter().filter(is_wanted).collect(),
        peers: peers::PEERS.into_iter().filter(is_here).collect(),
    };
    if plan.scenarios.is_empty() {
        return Err(format!("no such scenario; there are {:?}", SCENARIOS.map(|s| s.name)));
    }
    Ok(plan)
}

fn measure(args: &[&str]) -> Result<Report, String> {
    let plan = plan(args)?;
    cpu::raise_open_files(20_000)?;
    let dir = tempfile::Builder::new().prefix("orlop-bench-").tempdir().map_err(|why| why.to_string())?;
    let upstream = Upstream::start(HOSTS, 1)?;
    let mut report = Report::default();
    let versions: Vec<String> =
        plan.peers.iter().map(|name| format!("{name} {}", peers::version(name).unwrap_or_default())).collect();
    report.note(format!(
        "Peers: {}. Each routes {HOSTS} hosts to {HOSTS} upstreams over kept connections, tells the upstream about \
         the client, gives each request an id and writes an access log (nginx's in a buffer of 64 KiB unless it \
         says otherwise, HAProxy's by UDP). One processor for the proxy, the other for upstream and visitors; with \
         two, all share both. {} rounds of {} ms, peers in turn in each round; medians, spread in brackets.",
        versions.join(", "),
        plan.rounds,
        plan.measure_ms
    ));
    for missing in peers::PEERS.into_iter().filter(|name| peers::version(name).is_none()) {
        report.note(format!("NOT COMPARED with {missing}: it is not installed."));
    }
    for scenario in &plan.scenarios {
        one(scenario, &plan, dir.path(), &upstream, &mut report)?;
    }
    Ok(report)
}

/// Measures one scenario with all peers, round by round.
fn one(scenario: &Scenario, plan: &Plan, dir: &Path, upstream: &Upstream, report: &mut Report) -> Result<(), String> {
    let cores: Vec<usize> = (0..scenario.cores).collect();
    let dir = dir.join(scenario.name.replace([' ', ','], "-"));
    let start = |name: &&'static str| peers::start(name, &dir, &cores, upstream);
    let peers = plan.peers.iter().map(start).collect::<Result<Vec<Peer>, String>>()?;
    let load = |peer: &Peer, rate: f64| Load {
        address: peer.address,
        hosts: HOSTS,
        path: scenario.path.to_owned(),
        connections: scenario.connections,
        is_new: scenario.is_new,
        rate,
        warm_ms: plan.warm_ms,
        measure_ms: plan.measure_ms,
    };
    // With one processor the visitors are kept off it; with two there is nowhere else to go.
    let visitors: &[usize] = if scenario.cores == 1 { &[1] } else { &[0, 1] };
    let mut full = vec![Vec::new(); peers.len()];
    for _ in 0..plan.rounds {
        for (at, peer) in peers.iter().enumerate() {
            full[at].push(round(peer, &load(peer, 0.0), visitors)?);
        }
    }
    let per_second = |rounds: &[Round]| median(&rounds.iter().map(|r| r.per_second).collect::<Vec<_>>());
    let least = full.iter().map(|rounds| per_second(rounds)).fold(f64::INFINITY, f64::min);
    let rate = (least * 0.6).round();
    let mut equal = vec![Vec::new(); peers.len()];
    for _ in 0..plan.rounds.min(5) {
        for (at, peer) in peers.iter().enumerate() {
            equal[at].push(round(peer, &load(peer, rate), visitors)?);
        }
    }
    tell(scenario, &peers, rate, &full, &equal, report);
    Ok(())
}

fn round(peer: &Peer, load: &Load, visitors: &[usize]) -> Result<Round, String> {
    let args = load.args();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut program = Program::role(&args, visitors)?;
    program.line()?;
    let others = Others::begin();
    let all = || (cpu::used_us(peer.program.pid()), cpu::used_us(std::process::id()));
    let before = all();
    program.line()?;
    let after = all();
    let others = others.end(after.1 - before.1);
    let result: Value = serde_json::from_str(&program.line()?).map_err(|why| why.to_string())?;
    let number = |name: &str| result.get(name).and_then(Value::as_f64).unwrap_or(0.0);
    let (requests, seconds) = (number("requests"), number("seconds"));
    if let Some(why) = result.get("firstError").and_then(Value::as_str) {
        eprintln!("{}: {} errors, the first: {why}", peer.name, number("errors"));
    }
    let round = Round {
        per_second: requests / seconds,
        cpu_us: (after.0 - before.0) / requests.max(1.0),
        busy: (after.0 - before.0) / seconds / 1_000_000.0,
        p50: number("p50"),
        p99: number("p99"),
        errors: number("errors"),
        others,
    };
    eprintln!(
        "{:<22} {:>8.0}/s  {:>6.1} µs/request  busy {:.2}  p50 {} p99 {} µs  others {:.2}",
        peer.name, round.per_second, round.cpu_us, round.busy, round.p50, round.p99, round.others
    );
    Ok(round)
}

fn tell(
    scenario: &Scenario,
    peers: &[Peer],
    rate: f64,
    full: &[Vec<Round>],
    equal: &[Vec<Round>],
    report: &mut Report,
) {
    let of = |rounds: &[Round], pick: fn(&Round) -> f64| rounds.iter().map(pick).collect::<Vec<f64>>();
    let nginx = peers.iter().position(|peer| peer.name == "nginx");
    let mut table = Table::new(
        scenario.name,
        &[
            "proxy",
            "requests/s",
            "CPU µs/request",
            "requests/s per core",
            "of nginx",
            &format!("p50 / p99 µs at {rate:.0}/s"),
            "errors",
            "processors others had",
        ],
    );
    for (at, peer) in peers.iter().enumerate() {
        let cpu_us = of(&full[at], |r| r.cpu_us);
        // Round by round, so that what disturbs a round disturbs both sides of its ratio.
        let ratios: Vec<f64> = nginx.map_or_else(Vec::new, |nginx| {
            full[nginx].iter().zip(&full[at]).map(|(nginx, own)| nginx.cpu_us / own.cpu_us).collect()
        });
        let latency = |pick| median(&of(&equal[at], pick));
        let both = full[at].iter().chain(&equal[at]);
        table.row(vec![
            peer.name.to_owned(),
            told(&of(&full[at], |r| r.per_second), 0),
            told(&cpu_us, 1),
            format!("{:.0}", 1_000_000.0 / median(&cpu_us).max(0.001)),
            told(&ratios, 2),
            format!("{:.0} / {:.0}", latency(|r| r.p50), latency(|r| r.p99)),
            format!("{:.0}", both.clone().map(|r| r.errors).sum::<f64>()),
            told(&both.map(|r| r.others).collect::<Vec<_>>(), 2),
        ]);
        let rounds = |rounds: &[Round]| {
            let one = |r: &Round| {
                json!({ "perSecond": r.per_second, "cpuUs": r.cpu_us, "busy": r.busy, "p50Us": r.p50, "p99Us": r.p99,
                    "errors": r.errors, "others": r.others })
            };
            rounds.iter().map(one).collect::<Vec<_>>()
        };
        report.raw(
            &format!("{}: {}", scenario.name, peer.name),
            json!({ "full": rounds(&full[at]), "equal": rounds(&equal[at]), "rate": rate }),
        );
        if peer.name == "orlop" && nginx.is_some() {
            let ratio = median(&ratios);
            report.target(
                &format!("requests per second and core, {}", scenario.name),
                "≥ 1.0 × nginx",
                format!("{ratio:.2} × nginx"),
                Some(ratio >= 1.0),
            );
        }
    }
    report.table(table);
}
