//! Memory: what 10,000 idle connections cost each proxy, what an idle gateway of the real binary
//! takes, and what the keeper of one instance takes.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use bench::peers::{self, Upstream};
use bench::stats::{median, told};
use bench::{Program, Report, Table, cpu};
use serde_json::json;

/// Connections that are held; HAProxy needs two files for each and gets fewer where files are short.
const CONNECTIONS: usize = 10_000;
const HAPROXY_CONNECTIONS: usize = 8_000;
/// How long everything settles before it is looked at.
const SETTLE: Duration = Duration::from_millis(1500);
/// How long connections are idle before they count as idle: all proxies let go of buffers only after a while.
const IDLE: Duration = Duration::from_secs(6);

fn main() -> ExitCode {
    bench::run(|args| match args {
        ["hold", address, count] => {
            hold(address, count.parse().map_err(|_| "a number is wanted")?).map_err(|why| why.to_string())?;
            std::process::exit(0);
        }
        _ => measure(args),
    })
}

/// Opens connections, asks once on each, and holds them until it is ended.
fn hold(address: &str, count: usize) -> std::io::Result<()> {
    let mut held = Vec::with_capacity(count);
    for n in 0..count {
        let mut stream = TcpStream::connect(address)?;
        // At once: in pieces it would wait for acknowledgements.
        stream.write_all(format!("GET /small HTTP/1.1\r\nHost: {}\r\n\r\n", bench::host(n % 16)).as_bytes())?;
        let mut buffer = [0; 4096];
        let mut seen = 0;
        while !buffer[..seen].ends_with(&[b'x'; bench::origin::SMALL]) {
            match stream.read(&mut buffer[seen..])? {
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                read => seen += read,
            }
        }
        held.push(stream);
    }
    println!("held");
    std::thread::sleep(Duration::from_secs(600));
    Ok(())
}

fn measure(args: &[&str]) -> Result<Report, String> {
    let rounds = if args.contains(&"--quick") { 1 } else { 3 };
    cpu::raise_open_files(20_000)?;
    let dir = tempfile::Builder::new().prefix("orlop-bench-").tempdir().map_err(|why| why.to_string())?;
    let mut report = Report::default();
    connections(rounds, dir.path(), &mut report)?;
    match std::env::var("ORLOP_BIN") {
        Ok(binary) => gateway(&binary, dir.path(), &mut report)?,
        Err(_) => report.note("NOT MEASURED: the idle gateway of the binary; ORLOP_BIN names none."),
    }
    report.note(
        "Memory is the proportional set size: pages of the binary that several processes share count for each in \
         part. Memory of connections is the difference to before they came; each had one request.",
    );
    Ok(report)
}

fn connections(rounds: usize, dir: &Path, report: &mut Report) -> Result<(), String> {
    let upstream = Upstream::start(16, 1)?;
    let wanted = ["orlop", "nginx", "haproxy"];
    let names: Vec<&'static str> =
        peers::PEERS.into_iter().filter(|n| wanted.contains(n) && peers::version(n).is_some()).collect();
    let mut found = vec![(Vec::new(), Vec::new()); names.len()];
    for round in 0..rounds {
        for (at, name) in names.iter().enumerate() {
            let count = if *name == "haproxy" { HAPROXY_CONNECTIONS } else { CONNECTIONS };
            let peer = peers::start(name, &dir.join(round.to_string()), &[0], &upstream)?;
            std::thread::sleep(SETTLE);
            let before = cpu::family_kib(peer.program.pid());
            let mut holder = Program::role(&["hold", &peer.address.to_string(), &count.to_string()], &[1])?;
            let held = holder.line()?;
            std::thread::sleep(IDLE);
            let after = cpu::family_kib(peer.program.pid());
            let per_10k = (after - before) / count as f64 * 10_000.0 / 1024.0;
            eprintln!("{name}: {held} {count}: {before:.0} KiB before, {after:.0} KiB with them");
            found[at].0.push(before / 1024.0);
            found[at].1.push(per_10k);
        }
    }
    let mut table = Table::new(
        "Idle connections",
        &["proxy", "MiB before", "MiB per 10,000 idle connections", "KiB per connection"],
    );
    for (name, (before, more)) in names.iter().zip(&found) {
        let each = median(more) * 1024.0 / 10_000.0;
        table.row(vec![(*name).to_owned(), told(before, 1), told(more, 1), format!("{each:.2}")]);
        report.raw(name, json!({ "beforeMib": before, "per10000Mib": more }));
    }
    report.table(table);
    Ok(())
}

/// The gateway as the platform starts it, without a route and without traffic.
fn gateway(binary: &str, dir: &Path, report: &mut Report) -> Result<(), String> {
    let folder = dir.join("idle-gateway").display().to_string();
    let argv = [binary, "gateway", &folder, "127.0.0.1:0"].map(str::to_owned);
    let all = cpu::allowed().map_err(|why| why.to_string())?;
    let mut gateway = Program::start(&argv, &all, Some(&dir.join("idle-gateway.log")))?;
    std::thread::sleep(SETTLE);
    if !gateway.runs() {
        return Err(std::fs::read_to_string(dir.join("idle-gateway.log")).unwrap_or_default());
    }
    let memory = cpu::memory(gateway.pid());
    report.target("an idle gateway", "≤ 30 MB", memory.told(), Some(memory.proportional_kib <= 30.0 * 1000.0));
    report.raw("idle gateway", memory.json());
    Ok(())
}
