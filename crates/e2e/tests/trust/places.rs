//! Everywhere a secret could have got to.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use api::{Method as Verb, Shape, TABLE};
use serde_json::Value;

use crate::http::Api;
use crate::needles::{Finder, Found};
use crate::support::Installation;

/// Every file beneath the data folder as bytes; what is compressed also as what it holds.
pub fn files(finder: &Finder, data: &Path) -> (usize, Vec<Found>) {
    let (mut read, mut found) = (0, Vec::new());
    let mut folders = vec![data.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                folders.push(path);
                continue;
            }
            let place = path.strip_prefix(data).unwrap_or(&path).display().to_string();
            found.extend(finder.look(&format!("name of {place}"), place.as_bytes()));
            if kind.is_file()
                && let Ok(bytes) = std::fs::read(&path)
            {
                read += 1;
                found.extend(finder.look(&place, &bytes));
                found.extend(finder.look(&place, &inflated(&bytes)));
            }
        }
    }
    (read, found)
}

/// What a gzip or zlib stream holds (git keeps objects so, RFC 1950, RFC 1952); else nothing.
fn inflated(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let most = 64 << 20;
    match bytes {
        [0x1f, 0x8b, ..] => drop(flate2::read::MultiGzDecoder::new(bytes).take(most).read_to_end(&mut out)),
        [0x78, ..] => drop(flate2::read::ZlibDecoder::new(bytes).take(most).read_to_end(&mut out)),
        _ => {}
    }
    out
}

/// Every value of every row of every table: long texts lie in pieces in the file itself.
pub fn dump(finder: &Finder, data: &Path) -> (usize, Vec<Found>) {
    const DUMP: &str = r#"
import sqlite3, sys
db = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
    for row in db.execute(f'SELECT * FROM "{table}"'):
        sys.stdout.buffer.write(table.encode() + b"\n" + b"\n".join(str(cell).encode() for cell in row) + b"\n")
"#;
    #[expect(clippy::disallowed_methods, reason = "reads the database from outside")]
    let output = std::process::Command::new("python3").args(["-c", DUMP]).arg(data.join("orlop.db")).output();
    let output = output.expect("python3 is there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (output.stdout.len(), finder.look("database dump", &output.stdout))
}

/// Every answer that an admin can have about these services.
pub async fn answers(finder: &Finder, api: &Api, services: &[&str]) -> (usize, Vec<Found>) {
    let (mut asked, mut found) = (0, Vec::new());
    for page in ["/", "/sign-in", "/style.css", "/openapi.json", "/v1/manifest/schema", "/no/such/page"] {
        let reply = api.get(page).await;
        asked += 1;
        found.extend(finder.look(&format!("page {page}"), reply.text.as_bytes()));
    }
    for row in TABLE.iter().filter(|row| row.method == Verb::Get && row.shape != Shape::Raw) {
        for path in paths(api, row.path, services).await {
            let text = match row.shape {
                Shape::Events => events(api, &path).await,
                _ => api.get(&path).await.text,
            };
            asked += 1;
            found.extend(finder.look(&format!("API {path}"), text.as_bytes()));
        }
    }
    (asked, found)
}

async fn events(api: &Api, path: &str) -> String {
    let query = match path {
        "/v1/events" => "?after=0",
        path if path.ends_with("/logs") => "?tail=10000&environment=dev",
        _ => "",
    };
    // Where nothing runs there is no log.
    if api.get(&path.replace("/logs", "/instances")).await.status != 200 && path.ends_with("/logs") {
        return String::new();
    }
    let mut response = match api.request(reqwest::Method::GET, &format!("{path}{query}")).send().await {
        Ok(response) => response,
        Err(_) => return String::new(),
    };
    let mut text = String::new();
    let end = tokio::time::Instant::now() + std::time::Duration::from_secs(4);
    while let Ok(Ok(Some(chunk))) = tokio::time::timeout_at(end, response.chunk()).await {
        text.push_str(&String::from_utf8_lossy(&chunk));
    }
    text
}

/// The template with everything put in that there is.
async fn paths(api: &Api, template: &str, services: &[&str]) -> Vec<String> {
    if !template.contains("{service}") {
        let filled = template.replace("{team}", "main");
        return if filled.contains('{') { Vec::new() } else { vec![filled, format!("{template}?limit=500")] };
    }
    let mut all = Vec::new();
    for service in services {
        let path = template.replace("{service}", service);
        let Some((begin, rest)) = path.split_once('{') else {
            all.push(path);
            continue;
        };
        let (parameter, end) = rest.split_once('}').expect("a template");
        let (list, key) = match parameter {
            "source" | "build" => ("builds", parameter),
            "number" => ("releases", "number"),
            "rollout" => ("rollouts", "rollout"),
            "name" => ("settings", "name"),
            other => panic!("{template}: nobody knows where {other} comes from"),
        };
        let listed = api.get(&format!("/v1/services/{service}/{list}")).await.json();
        let items = listed["items"].as_array().cloned().unwrap_or_default();
        all.extend(items.iter().map(|item| match &item[key] {
            Value::String(text) => format!("{begin}{text}{end}"),
            other => format!("{begin}{other}{end}"),
        }));
    }
    all
}

/// What the command line shows, both outputs.
pub fn typed(finder: &Finder, place: &Installation, services: &[&str]) -> (usize, Vec<Found>) {
    let (mut ran, mut found) = (0, Vec::new());
    let mut commands: Vec<Vec<&str>> = vec![
        vec!["status"],
        vec!["doctor"],
        vec!["platform"],
        vec!["whoami"],
        vec!["audit", "list", "--limit", "500"],
        vec!["audit", "verify"],
        vec!["token", "list"],
        vec!["person", "list"],
        vec!["setting", "list", "--platform"],
        vec!["config", "dump"],
        vec!["team", "list"],
        vec!["service", "list"],
    ];
    for service in services {
        for words in [
            &["status"][..],
            &["why"],
            &["setting", "list", "--service"],
            &["builds"],
            &["releases"],
            &["traffic"],
            &["rollout", "list", "--service"],
            &["route", "list", "--service"],
        ] {
            commands.push([words, &[service]].concat());
        }
        commands.push(vec!["logs", "--tail", "10000", service]);
    }
    for words in &commands {
        for json in [false, true] {
            let args = words.iter().copied().chain(json.then_some("--json"));
            let output = place.orlop(args);
            ran += 1;
            found.extend(
                finder.look(&format!("orlop {}", words.join(" ")), format!("{}{}", output.out, output.err).as_bytes()),
            );
        }
    }
    (ran, found)
}

/// Looks at the arguments and the environment of every process of this machine, again and again.
pub struct Watcher {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(usize, Vec<Found>)>,
}

impl Watcher {
    pub fn start(finder: Arc<Finder>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let (mut seen, mut found) = (0, Vec::new());
            while !over.load(Ordering::SeqCst) {
                let (n, more) = processes(&finder);
                seen += n;
                found.extend(more);
                found.sort();
                found.dedup();
                std::thread::sleep(std::time::Duration::from_millis(100));
            }
            (seen, found)
        });
        Self { stop, thread }
    }

    pub fn end(self) -> (usize, Vec<Found>) {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().expect("the watcher does not panic")
    }
}

/// Every process but this test and those inside of a sandbox: an instance holds its own secrets.
pub fn processes(finder: &Finder) -> (usize, Vec<Found>) {
    let own = std::fs::read_link("/proc/self/ns/pid").expect("this process has a namespace");
    let (mut seen, mut found) = (0, Vec::new());
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let path: PathBuf = entry.path();
        if pid == std::process::id() || std::fs::read_link(path.join("ns/pid")).is_ok_and(|ns| ns != own) {
            continue;
        }
        let words = std::fs::read(path.join("cmdline")).unwrap_or_default();
        let role = words.split(|b| *b == 0).nth(1).map(|w| String::from_utf8_lossy(w).into_owned()).unwrap_or_default();
        seen += 1;
        found.extend(finder.look(&format!("arguments of {role}"), &words));
        let environment = std::fs::read(path.join("environ")).unwrap_or_default();
        found.extend(finder.look(&format!("environment of {role}"), &environment));
    }
    (seen, found)
}
