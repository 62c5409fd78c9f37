//! What a network of its own costs. Prints medians and writes them to `target/evidence/network.json`;
//! fast or slow, it passes. `cargo test --release -p process costs -- --nocapture` gives figures of
//! the optimised keeper.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use ports::conformance::engine::wait_ready;
use ports::conformance::handing;
use ports::{Connect, Health, Network, Probe, Purpose, Way};

use crate::bench::{Bench, G1, keeper_of};

/// Starts that are measured.
const STARTS: usize = 15;
/// Connections that are measured.
const CONNECTIONS: usize = 1000;

fn median(mut all: Vec<Duration>) -> u64 {
    all.sort_unstable();
    all.get(all.len() / 2).map_or(0, |span| u64::try_from(span.as_micros()).unwrap_or(u64::MAX))
}

fn kib(pid: i32, file: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// Starts until ready, new connections, and what keeper and init hold, with or without.
async fn inward(own: bool) -> serde_json::Value {
    let bench = Bench::with(|options| options.own_network = own);
    let (mut starts, mut connects, mut memory) = (Vec::new(), Vec::new(), serde_json::Value::Null);
    for turn in 0..STARTS {
        let mut spec = bench.task(&["serve"]);
        (spec.port, spec.purpose) = (true, Purpose::Serve);
        spec.health = Some(Health { probe: Probe::Port, every_ms: 50, timeout_ms: 1000 });
        let began = Instant::now();
        bench.engine.ensure(&spec, G1).await.unwrap();
        let address = wait_ready(&bench.engine, spec.id).await.address.unwrap();
        starts.push(began.elapsed());
        if turn + 1 == STARTS {
            for _ in 0..CONNECTIONS {
                let began = Instant::now();
                let connection = handing::connect(&address).await;
                connects.push(began.elapsed());
                drop(connection.unwrap());
                // The server of the tests answers one at a time.
                tokio::time::sleep(Duration::from_micros(200)).await;
            }
            let keeper = keeper_of(&bench.instance_dir(spec.id)).unwrap();
            memory = serde_json::json!({
                "keeperResidentKib": kib(keeper, "status", "VmRSS:"),
                "keeperOwnKib": kib(keeper, "status", "RssAnon:"),
                "keeperShareKib": kib(keeper, "smaps_rollup", "Pss:"),
            });
        }
        bench.engine.stop(spec.id, G1, Duration::ZERO).await.unwrap();
    }
    serde_json::json!({ "startUntilReadyUs": median(starts), "newConnectionUs": median(connects), "memory": memory })
}

/// The program alone, from its start until it accepts a connection.
fn bare() -> u64 {
    let mut all = Vec::new();
    for _ in 0..STARTS {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let began = Instant::now();
        let mut child = crate::bench::bare_guest(port);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::sleep(Duration::from_micros(200));
        }
        all.push(began.elapsed());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    median(all)
}

/// A byte there and back, a new connection with its first byte back, and 64 MiB there and back.
async fn outward(own: bool) -> serde_json::Value {
    let bench = Bench::with(|options| options.own_network = own);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let _ = stream.set_nodelay(true);
                let mut buffer = vec![0; 256 << 10];
                while let Ok(count @ 1..) = stream.read(&mut buffer) {
                    if stream.write_all(&buffer[..count]).is_err() {
                        break;
                    }
                }
            });
        }
    });
    let mut out = serde_json::Map::new();
    for (name, words) in [
        ("roundTripUs", ["ping", "2000"]),
        ("connectAndFirstByteUs", ["meet", "300"]),
        ("throughputMibPerS", ["flow", "64"]),
    ] {
        let mut spec = bench.task(&[words[0], "127.0.0.1", &port.to_string(), words[1]]);
        spec.cpu = base::MilliCpu(4000);
        spec.network = Network::Only(vec![Connect { host: "127.0.0.1".into(), port, way: Way::Direct }]);
        let (_, seen, lines) = bench.run(&spec).await;
        let figure = lines.concat().parse::<u64>();
        let figure = figure.unwrap_or_else(|_| panic!("{name}: {lines:?} {}", seen.evidence));
        out.insert(name.to_owned(), figure.into());
    }
    out.into()
}

#[tokio::test(flavor = "multi_thread")]
async fn costs_of_a_network_are_told() {
    let record = serde_json::json!({
        "build": if cfg!(debug_assertions) { "debug" } else { "release" },
        "bareProcessUs": bare(),
        "ownNetwork": { "inward": inward(true).await, "outward": outward(true).await },
        "sharedNetwork": { "inward": inward(false).await, "outward": outward(false).await },
    });
    println!("network: {record:#}");
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/evidence");
    let written = std::fs::create_dir_all(&folder)
        .and_then(|()| std::fs::write(folder.join("network.json"), format!("{record:#}\n")));
    if let Err(e) = written {
        eprintln!("the figures were not written down: {e}");
    }
}
