//! Starts a control plane over a filled installation and takes its figures.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use access::{Gatekeeper, MasterKey, SettingVault, first_sign_in};
use base::{Problem, Result};
use facts::{InstancesSeen, RouteSeen};
use kernel::{Admission, Config, Platform, Ports};
use ports::{Clock, Engine, Gateway, InstanceSeen, Objects, Purpose, Random};
use serde_json::{Value, json};
use sim::Installation;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::clock::{SystemChance, SystemClock};
use crate::fill::{PORT, open};
use crate::fleet::Fleet;
use crate::install::Installed;

/// Each list is asked for so many times; the middle one counts.
const ASKED: usize = 15;
/// Changes that are measured.
const CHANGES: usize = 12;
/// At rest is who uses less of a processor than this, percent.
const CALM: f64 = 3.0;

/// Takes the figures of one size; the last line of output has them.
pub async fn measure(dir: &Path, services: usize, seconds: u64) -> Result<()> {
    tokio::spawn(answer_for_all());
    let traffic = free_address()?;
    let gateway_dir = dir.join("gateway");
    let gateway = Running(start_gateway(&gateway_dir, traffic)?);
    let client = gateway::Client::new(&gateway_dir);
    until(Duration::from_secs(10), async || client.status().await.is_ok()).await?;
    let fleet = fleet(dir).await?;
    let mut figures = Figures::default();

    let (began, work) = (Instant::now(), worked(std::process::id()));
    let platform = control(dir, Arc::clone(&fleet), client.clone(), traffic).await?;
    let code = first_sign_in(&platform.ctx("bench")).await?.code;
    let endpoints = endpoints(&platform);
    platform.driver().start(&platform).await;
    let server = server::Server::bind(&server::Options {
        listen: "127.0.0.1:0".parse().expect("an address"),
        connections_max: 64,
    })
    .await?;
    let api = Api { at: server.address()?, token: String::new() };
    let router = server::router(&platform, endpoints);
    tokio::spawn(server.serve(router, std::future::pending()));
    let body = json!({ "code": code }).to_string();
    let signed = api.call("POST", "/v1/sign-in", Some(&body)).await?;
    figures.add("start, until the API answers", millis(began.elapsed()), "ms", Some(1000.0));
    let work = worked(std::process::id()).saturating_sub(work);
    figures.add("start, until the API answers, processor time", millis(work), "ms", None);
    let token = signed.1["secret"].as_str().unwrap_or_default().to_owned();
    let api = Api { token, ..api };

    let calm = Instant::now();
    settle().await;
    figures.add("first look at everything after the start", calm.elapsed().as_secs_f64().round(), "s", None);
    let served = client.status().await?;
    eprintln!("{services} services: the gateway serves {} routes, generation {}", served.routes, served.generation);
    if usize::try_from(served.routes).unwrap_or(0) != services * 3 {
        tell_reports(&platform);
        return Err(Problem::internal("not-served", format!("{} routes instead of {}", served.routes, services * 3)));
    }

    lists(&api, services, &mut figures).await?;
    changes(&platform, &api, &fleet, services, &mut figures).await?;
    settle().await;
    let (cpu, gateway_cpu) = (cpu_ticks(std::process::id()), cpu_ticks(gateway.0.id()));
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let percent = |now: u64, before: u64| tenths(now.saturating_sub(before) as f64 / seconds as f64);
    figures.add("idle processor time, control plane", percent(cpu_ticks(std::process::id()), cpu), "%", Some(1.0));
    figures.add("idle processor time, gateway", percent(cpu_ticks(gateway.0.id()), gateway_cpu), "%", Some(1.0));
    figures.add(
        "idle memory, control plane with its map of instances",
        resident(std::process::id()),
        "MB",
        Some(150.0),
    );
    figures.add("idle memory, gateway", resident(gateway.0.id()), "MB", None);
    tell_reports(&platform);
    println!("{}", json!({ "services": services, "figures": figures.0 }));
    Ok(())
}

#[derive(Default)]
pub(crate) struct Figures(pub Vec<Value>);

impl Figures {
    pub(crate) fn add(&mut self, what: &str, value: f64, unit: &str, most: Option<f64>) {
        eprintln!("  {what}: {value} {unit}");
        self.0.push(json!({ "what": what, "value": value, "unit": unit, "most": most }));
    }
}

pub(crate) fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

pub(crate) fn millis(span: Duration) -> f64 {
    tenths(span.as_secs_f64() * 1000.0)
}

/// Every list that the API has, and a few that are searched.
async fn lists(api: &Api, services: usize, figures: &mut Figures) -> Result<()> {
    let one = format!("svc{:05}", services / 2);
    let of = |what: &str| format!("/v1/services/{one}/{what}");
    let asked = [
        "/v1/services".to_owned(),
        "/v1/services?limit=500".to_owned(),
        format!("/v1/services?after={one}"),
        "/v1/services?search=nothing-of-it".to_owned(),
        "/v1/services?team=main".to_owned(),
        "/v1/status".to_owned(),
        format!("/v1/status?after={one}"),
        format!("/v1/services/{one}/status"),
        of("environments"),
        of("instances"),
        of("routes"),
        of("traffic"),
        of("releases"),
        of("builds"),
        of("rollouts"),
        of("settings"),
        of("activity"),
        of("why"),
        of("impact"),
        "/v1/status/counts".to_owned(),
        "/v1/topology?environment=prod".to_owned(),
        "/v1/metrics".to_owned(),
        "/v1/runs".to_owned(),
        "/v1/doctor".to_owned(),
        "/v1/audit".to_owned(),
        "/v1/teams".to_owned(),
        "/v1/people".to_owned(),
        "/v1/tokens".to_owned(),
        "/v1/environments".to_owned(),
        "/v1/platform".to_owned(),
    ];
    let mut slowest = (0.0, String::new());
    for path in asked {
        let mut took = Vec::new();
        let work = worked(std::process::id());
        for _ in 0..ASKED {
            let began = Instant::now();
            let (status, _) = api.call("GET", &path, None).await?;
            took.push(began.elapsed());
            if status != 200 {
                return Err(Problem::internal("list", format!("GET {path} answered {status}")));
            }
        }
        let work = worked(std::process::id()).saturating_sub(work) / u32::try_from(ASKED).unwrap_or(1);
        took.sort_unstable();
        let middle = millis(took[ASKED / 2]);
        let shown = path.replace(&one, "NAME");
        if middle > slowest.0 {
            slowest = (middle, shown.clone());
        }
        figures.add(&format!("GET {shown}"), middle, "ms", Some(50.0));
        figures.add(&format!("GET {shown}, processor time"), millis(work), "ms", None);
    }
    eprintln!("  slowest list: {} {} ms", slowest.1, slowest.0);
    Ok(())
}

/// One more instance in one place, and one less: until the gateway has it and says so.
async fn changes(platform: &Platform, api: &Api, fleet: &Fleet, services: usize, figures: &mut Figures) -> Result<()> {
    let (mut up, mut down) = (Vec::new(), Vec::new());
    let work = worked(std::process::id());
    for n in 0..CHANGES {
        let service = format!("svc{:05}", 1 + (n * 7919) % (services - 1));
        for (instances, took) in [(2u32, &mut up), (1, &mut down)] {
            let mut wakes = platform.store().wakes();
            let began = Instant::now();
            let body = json!({ "environment": "prod", "instances": instances }).to_string();
            let (status, answer) = api.call("PUT", &format!("/v1/services/{service}/scale"), Some(&body)).await?;
            if status != 200 {
                return Err(Problem::internal("scale", format!("{status}: {answer}")));
            }
            let subject = format!("{service}/prod");
            loop {
                let wake = tokio::time::timeout(Duration::from_secs(30), wakes.recv()).await;
                let Ok(wake) = wake else {
                    return Err(unchanged(platform, fleet, &subject).await);
                };
                // Whoever lags reads as if woken.
                if wake.is_ok_and(|wake| &*wake.kind != "route.served" || *wake.subject != *subject) {
                    continue;
                }
                let seen: Option<RouteSeen> = kernel::latest(&mut platform.store().read().await?, &subject).await?;
                let is_there = |seen: RouteSeen| {
                    seen.shares.iter().any(|s| s.weight > 0 && s.instances == instances && s.probe_ok)
                };
                if seen.is_some_and(is_there) {
                    took.push(began.elapsed());
                    break;
                }
            }
        }
    }
    let work = worked(std::process::id()).saturating_sub(work) / u32::try_from(2 * CHANGES).unwrap_or(1);
    figures.add("one change, processor time of the control plane", millis(work), "ms", None);
    // What was retired has ended.
    until(Duration::from_secs(60), async || {
        fleet.list().await.is_ok_and(|all| all.iter().filter(|one| one.state.is_running()).count() == services * 3)
    })
    .await?;
    for (what, took) in [("one instance more", &mut up), ("one instance less", &mut down)] {
        took.sort_unstable();
        figures.add(
            &format!("{what}, until the gateway serves it (median)"),
            millis(took[took.len() / 2]),
            "ms",
            Some(100.0),
        );
        figures.add(&format!("{what}, until the gateway serves it (worst)"), millis(took[took.len() - 1]), "ms", None);
    }
    Ok(())
}

/// What is known of a place that did not change in time.
async fn unchanged(platform: &Platform, fleet: &Fleet, subject: &str) -> Problem {
    tell_reports(platform);
    let last =
        async || -> Result<Option<RouteSeen>> { kernel::latest(&mut platform.store().read().await?, subject).await };
    eprintln!("  last seen of its route: {:?}", last().await);
    let all = fleet.list().await.unwrap_or_default();
    let mine = all.into_iter().filter(|one| {
        one.environment.as_ref().is_some_and(|environment| facts::place(&one.service, environment) == *subject)
    });
    eprintln!("  its instances: {:#?}", mine.collect::<Vec<_>>());
    Problem::timeout("change", format!("{subject} did not change"))
}

fn tell_reports(platform: &Platform) {
    for (name, report) in platform.driver().reports() {
        eprintln!(
            "  {name}: {} runs, {} failures, last took {:?} {}",
            report.runs,
            report.failures,
            report.last_took,
            report.last_error.unwrap_or_default()
        );
    }
}

pub(crate) async fn until(most: Duration, holds: impl AsyncFn() -> bool) -> Result<()> {
    let began = Instant::now();
    while began.elapsed() < most {
        if holds().await {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err(Problem::timeout("bench", "what was waited for did not come"))
}

/// Waits until this process has nothing to do any more.
pub(crate) async fn settle() {
    for _ in 0..300 {
        let before = cpu_ticks(std::process::id());
        tokio::time::sleep(Duration::from_secs(2)).await;
        if (cpu_ticks(std::process::id()).saturating_sub(before)) as f64 / 2.0 < CALM {
            return;
        }
    }
}

/// Processor time in hundredths of a second (proc(5): fields 14 and 15, in clock ticks of 10 ms).
pub(crate) fn cpu_ticks(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after = text.rsplit_once(')').map(|(_, rest)| rest.to_owned()).unwrap_or_default();
    after.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum()
}

/// Processor time of all threads that live, to the nanosecond (proc(5): schedstat). Other than the
/// time that passes it does not depend on what else the machine does.
pub(crate) fn worked(pid: u32) -> Duration {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let of = |task: std::fs::DirEntry| -> Option<u64> {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse().ok()
    };
    Duration::from_nanos(tasks.filter_map(of).sum())
}

pub(crate) fn resident(pid: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    let kilobytes = line.split_whitespace().next().and_then(|n| n.parse::<f64>().ok());
    tenths(kilobytes.unwrap_or_default() / 1024.0)
}

/// Ends with whoever started it.
pub(crate) struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark starts itself in its other roles")]
pub(crate) fn start_gateway(dir: &Path, listen: SocketAddr) -> Result<Child> {
    let failed = |e: std::io::Error| Problem::internal("gateway", e);
    let own = std::env::current_exe().map_err(failed)?;
    let dir = dir.display().to_string();
    Command::new(own).args(["gateway", &dir, &listen.to_string()]).stdout(Stdio::null()).spawn().map_err(failed)
}

pub(crate) fn free_address() -> Result<SocketAddr> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").map_err(|e| Problem::internal("listen", e))?;
    listener.local_addr().map_err(|e| Problem::internal("listen", e))
}

/// The server behind every address of an instance.
pub(crate) async fn answer_for_all() {
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await.expect("the port of the instances is free");
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut request = [0u8; 4096];
            while stream.read(&mut request).await.is_ok_and(|n| n > 0) {
                if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.is_err() {
                    return;
                }
            }
        });
    }
}

/// The instances that the ledger says run.
pub(crate) async fn fleet(dir: &Path) -> Result<Arc<Fleet>> {
    let store = open(&dir.join("orlop.db")).await?;
    let mut read = store.read().await?;
    let mut running = Vec::new();
    for (fact, _) in kernel::all_latest::<InstancesSeen>(&mut read).await? {
        for process in fact.processes {
            for one in process.instances.into_iter().filter(|one| one.state.is_running()) {
                running.push(InstanceSeen {
                    id: one.id,
                    service: fact.service.clone(),
                    environment: Some(fact.environment.clone()),
                    release: Some(process.release),
                    process: process.process.clone(),
                    purpose: Purpose::Serve,
                    generation: fact.generation,
                    state: one.state,
                    address: one.address,
                    started: one.since,
                    since: one.since,
                    evidence: one.evidence,
                    memory: None,
                    cpu_us: None,
                });
            }
        }
    }
    drop(read);
    store.close().await;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::after(None));
    Ok(Arc::new(Fleet::of(running, 8_000_000, PORT, clock)))
}

pub(crate) async fn control(
    dir: &Path,
    engine: Arc<Fleet>,
    gateway: gateway::Client,
    traffic: SocketAddr,
) -> Result<Platform> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::after(None));
    let random: Arc<dyn Random> = Arc::new(SystemChance(aws_lc_rs::rand::SystemRandom::new()));
    let store = open(&dir.join("orlop.db")).await?;
    let vault = SettingVault::new(store.clone(), MasterKey::of([7; 32]), Arc::clone(&random));
    let objects: Arc<dyn Objects> = Arc::new(cloud::Objects::in_folder(&dir.join("objects"))?);
    let sources = Arc::new(git::Repositories::open(dir.join("git"), None)?);
    let signals = Arc::new(signals::Memory::default());
    let (gateway, vault) = (Arc::new(gateway), Arc::new(vault));
    let ports = Ports { engine, gateway, objects, sources, vault, signals, clock, random };
    let mut config = Config::defaults(dir);
    config.gateway.listen = traffic;
    config.build.disk_reserve = base::Bytes(0);
    let capabilities = Installed::default().capabilities(&store, &ports.random);
    let hooks = capabilities.iter().flat_map(|capability| capability.hooks.iter().cloned()).collect();
    let platform = Platform::new(store, ports, config, Arc::new(Gatekeeper), Admission::new(hooks));
    platform.driver().install(&capabilities);
    Ok(platform)
}

pub(crate) fn endpoints(platform: &Platform) -> Vec<kernel::Mounted> {
    let capabilities = Installed::default().capabilities(platform.store(), &platform.ports().random);
    let doctor = server::Doctor::of(&capabilities);
    let own = server::platform_endpoints(doctor).into_mounted();
    capabilities.into_iter().flat_map(|capability| capability.endpoints.into_mounted()).chain(own).collect()
}

/// A client of the API: one connection for each call.
pub(crate) struct Api {
    pub at: SocketAddr,
    pub token: String,
}

impl Api {
    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<&str>) -> Result<(u16, Value)> {
        let failed = |e: std::io::Error| Problem::unavailable("api", e.to_string());
        let mut stream = TcpStream::connect(self.at).await.map_err(failed)?;
        let body = body.unwrap_or_default();
        let authorization = match self.token.is_empty() {
            true => String::new(),
            false => format!("authorization: Bearer {}\r\n", self.token),
        };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\n{authorization}connection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.at,
            body.len()
        );
        stream.write_all(head.as_bytes()).await.map_err(failed)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.map_err(failed)?;
        let text = String::from_utf8_lossy(&answer);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        // The body may come in chunks, of which only the first matters here.
        let json =
            body.find('{').and_then(|at| serde_json::Deserializer::from_str(&body[at..]).into_iter().next()?.ok());
        Ok((status, json.unwrap_or_default()))
    }
}
