//! How the portal bears many services: the time that the server takes for each page, what travels
//! until it is seen, how soon it shows a change, and what many open pages cost.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use access::first_sign_in;
use base::{Problem, Result};
use ports::Gateway;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::measure::{
    Api, Figures, Running, answer_for_all, control, cpu_ticks, endpoints, fleet, free_address, millis, resident,
    settle, start_gateway, tenths, until, worked,
};
use crate::pages;

/// Each page is asked for so many times.
const ASKED: usize = 40;
/// Changes whose way to an open page is measured.
const CHANGES: usize = 12;
/// Pages that are open at once.
const OPEN: usize = 500;
/// From then on they cost what they cost for good.
const AFTER_OPENING: Duration = Duration::from_secs(10);
/// What a page may take, milliseconds; what may travel, kilobytes; until when a change is shown, milliseconds.
const PAGE_MS: f64 = 50.0;
const FIRST_KB: f64 = 100.0;
const SHOWN_MS: f64 = 500.0;
/// What the open pages may take of a core, percent, and of memory, megabytes.
const OPEN_PERCENT: f64 = 10.0;
const OPEN_MB: f64 = 50.0;

/// Takes the figures; the last line of output has them.
pub async fn measure(dir: &Path, services: usize, seconds: u64) -> Result<()> {
    tokio::spawn(answer_for_all());
    let traffic = free_address()?;
    let gateway_dir = dir.join("gateway");
    let _gateway = Running(start_gateway(&gateway_dir, traffic)?);
    let client = gateway::Client::new(&gateway_dir);
    until(Duration::from_secs(10), async || client.status().await.is_ok()).await?;
    let platform = control(dir, fleet(dir).await?, client, traffic).await?;
    let code = first_sign_in(&platform.ctx("bench")).await?.code;
    let all = endpoints(&platform);
    platform.driver().start(&platform).await;
    let connections_max = OPEN * 2;
    let options = server::Options { listen: "127.0.0.1:0".parse().expect("an address"), connections_max };
    let server = server::Server::bind(&options).await?;
    let at = server.address()?;
    let router = pages::over(&platform, server::router(&platform, all));
    tokio::spawn(server.serve(router, std::future::pending()));
    let browser = Browser::sign_in(at, &code).await?;
    let token = first_sign_in(&platform.ctx("bench")).await?.code;
    let signed = Api { at, token: String::new() }
        .call("POST", "/v1/sign-in", Some(&json!({ "code": token }).to_string()))
        .await?;
    let api = Api { at, token: signed.1["secret"].as_str().unwrap_or_default().to_owned() };
    settle().await;

    let mut figures = Figures::default();
    let one = format!("svc{:05}", services / 2);
    let found = pages_of(&browser, &one).await?;
    times(&browser, &found, &one, &mut figures).await?;
    changes(&browser, &api, services, &mut figures).await?;
    open(&browser, services, seconds, &mut figures).await?;
    println!("{}", json!({ "services": services, "figures": figures.0 }));
    Ok(())
}

/// A browser as far as the server notices: a session, and pages that are asked for compressed.
#[derive(Clone)]
struct Browser {
    at: SocketAddr,
    cookie: String,
}

/// What came.
struct Came {
    status: u16,
    head: String,
    /// As it travelled.
    bytes: usize,
    took: Duration,
}

impl Browser {
    async fn sign_in(at: SocketAddr, code: &str) -> Result<Self> {
        let body = format!("code={code}&to=/");
        let head = format!(
            "POST /sign-in HTTP/1.1\r\nhost: {at}\r\norigin: http://{at}\r\nconnection: close\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let (text, _) = exchange(at, &head).await?;
        let text = String::from_utf8_lossy(&text);
        let cookies = text.lines().filter_map(|line| line.strip_prefix("set-cookie: ")?.split(';').next());
        let cookie = cookies.filter(|pair| pair.contains("session")).collect::<Vec<_>>().join("; ");
        match cookie.is_empty() {
            true => {
                Err(Problem::internal("sign-in", format!("no session: {}", text.lines().next().unwrap_or_default())))
            }
            false => Ok(Self { at, cookie }),
        }
    }

    fn head(&self, path: &str, more: &str) -> String {
        let Self { at, cookie } = self;
        format!("GET {path} HTTP/1.1\r\nhost: {at}\r\ncookie: {cookie}\r\naccept: text/html\r\n{more}")
    }

    async fn get(&self, path: &str) -> Result<Came> {
        let began = Instant::now();
        let (all, head) =
            exchange(self.at, &self.head(path, "accept-encoding: gzip\r\nconnection: close\r\n\r\n")).await?;
        let took = began.elapsed();
        let text = String::from_utf8_lossy(&all[..head]).into_owned();
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Ok(Came { status, head: text, bytes: all.len() - head, took })
    }

    /// The text of a page.
    async fn text(&self, path: &str) -> Result<String> {
        let (all, head) = exchange(self.at, &self.head(path, "connection: close\r\n\r\n")).await?;
        Ok(String::from_utf8_lossy(&all[head..]).into_owned())
    }

    /// An open page: the stream that tells it what changed.
    async fn live(&self, subject: &str) -> Result<TcpStream> {
        let mut stream = TcpStream::connect(self.at).await.map_err(failed)?;
        let head = self.head(&format!("/live?subjects={subject}"), "orlop-live: 1\r\n\r\n");
        stream.write_all(head.as_bytes()).await.map_err(failed)?;
        let mut first = [0u8; 12];
        stream.read_exact(&mut first).await.map_err(failed)?;
        match first.ends_with(b"200") {
            true => Ok(stream),
            false => Err(Problem::internal("live", format!("{}", String::from_utf8_lossy(&first)))),
        }
    }
}

fn failed(e: std::io::Error) -> Problem {
    Problem::unavailable("portal", e.to_string())
}

/// Everything that comes back, and where the head ends.
async fn exchange(at: SocketAddr, request: &str) -> Result<(Vec<u8>, usize)> {
    let mut stream = TcpStream::connect(at).await.map_err(failed)?;
    stream.write_all(request.as_bytes()).await.map_err(failed)?;
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await.map_err(failed)?;
    let head = all.windows(4).position(|four| four == b"\r\n\r\n").map_or(all.len(), |at| at + 4);
    Ok((all, head))
}

/// The pages that the menu and one service lead to: each with a name in which no id stands.
async fn pages_of(browser: &Browser, service: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for path in ["/".to_owned(), "/services".to_owned(), format!("/services/{service}")] {
        let text = browser.text(&path).await?;
        found.push(path);
        for link in text.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            let link = link.replace("&amp;", "&");
            let is_page = link.starts_with('/') && !link.starts_with("/assets/") && !link.contains('?');
            let is_meant = !link.starts_with("/services/") || link.starts_with(&format!("/services/{service}"));
            if is_page && is_meant && !found.contains(&link) && found.len() < 60 {
                found.push(link);
            }
        }
    }
    Ok(found)
}

async fn times(browser: &Browser, pages: &[String], service: &str, figures: &mut Figures) -> Result<()> {
    let first = browser.text("/").await?;
    let assets = first.split(['"', '\'']).filter(|word| word.starts_with("/assets/"));
    let mut fixed = 0;
    for asset in assets.collect::<std::collections::BTreeSet<_>>() {
        fixed += browser.get(asset).await?.bytes;
    }
    let (mut slowest, mut largest) = ((0.0, String::new()), (0.0, String::new()));
    for path in pages {
        let shown = path.replace(service, "NAME");
        let shown: Vec<&str> = shown.split('/').map(|part| if part.len() > 26 { "ID" } else { part }).collect();
        let shown = shown.join("/");
        let (mut took, mut bytes) = (Vec::new(), 0);
        let work = worked(std::process::id());
        for _ in 0..ASKED {
            let came = browser.get(path).await?;
            if came.status != 200 {
                let head = came.head.lines().next().unwrap_or_default().to_owned();
                return Err(Problem::internal("page", format!("GET {path}: {head}")));
            }
            bytes = bytes.max(came.bytes);
            took.push(came.took);
        }
        let work = worked(std::process::id()).saturating_sub(work) / u32::try_from(ASKED).unwrap_or(1);
        took.sort_unstable();
        let late = millis(took[(ASKED * 95).div_ceil(100) - 1]);
        let kb = tenths((bytes + fixed) as f64 / 1024.0);
        eprintln!("  {shown}: p95 {late} ms, processor {} ms, {kb} KB at first", millis(work));
        slowest = if late > slowest.0 { (late, shown.clone()) } else { slowest };
        largest = if kb > largest.0 { (kb, shown) } else { largest };
    }
    figures.add("pages asked for", pages.len() as f64, "pages", None);
    figures.add(&format!("slowest page ({}), p95", slowest.1), slowest.0, "ms", Some(PAGE_MS));
    figures.add(&format!("largest first paint ({})", largest.1), largest.0, "KB", Some(FIRST_KB));
    figures.add("of that style sheet, script and icon", tenths(fixed as f64 / 1024.0), "KB", None);
    Ok(())
}

/// From the moment at which a change is recorded until an open page has the new text in its hands.
async fn changes(browser: &Browser, api: &Api, services: usize, figures: &mut Figures) -> Result<()> {
    let mut took = Vec::new();
    for n in 0..CHANGES {
        let service = format!("svc{:05}", 1 + (n * 7919) % (services - 1));
        let path = format!("/services/{service}");
        let mut stream = browser.live(&service).await?;
        let body = json!({ "environment": "prod", "instances": 2 + n % 2 }).to_string();
        let (status, answer) = api.call("PUT", &format!("/v1/services/{service}/scale"), Some(&body)).await?;
        if status != 200 {
            return Err(Problem::internal("scale", format!("{status}: {answer}")));
        }
        // The call has answered, so that the fact is recorded.
        let began = Instant::now();
        let mut text = Vec::new();
        let told = tokio::time::timeout(Duration::from_secs(10), async {
            let mut bytes = [0u8; 4096];
            // At the begin of a line: the head of the answer names the scheme `data:` among what may be loaded.
            while !String::from_utf8_lossy(&text).contains("\ndata:") {
                let n = stream.read(&mut bytes).await.unwrap_or(0);
                if n == 0 {
                    return false;
                }
                text.extend_from_slice(&bytes[..n]);
            }
            true
        });
        if !told.await.unwrap_or(false) {
            return Err(Problem::timeout("live", format!("{path} was not told of a change")));
        }
        browser.get(&path).await?;
        took.push(began.elapsed());
    }
    took.sort_unstable();
    figures.add("a change on an open page (median)", millis(took[took.len() / 2]), "ms", Some(SHOWN_MS));
    figures.add("a change on an open page (worst)", millis(took[took.len() - 1]), "ms", Some(SHOWN_MS));
    Ok(())
}

/// What open pages cost while nothing happens.
async fn open(browser: &Browser, services: usize, seconds: u64, figures: &mut Figures) -> Result<()> {
    settle().await;
    let used = |before: u64| tenths(cpu_ticks(std::process::id()).saturating_sub(before) as f64 / seconds as f64);
    let before = cpu_ticks(std::process::id());
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let (idle, memory) = (used(before), resident(std::process::id()));
    let mut streams = Vec::new();
    for n in 0..OPEN {
        let subject = if n % 5 == 0 { "*".to_owned() } else { format!("svc{:05}", n % services) };
        streams.push(browser.live(&subject).await?);
    }
    // Not until it is calm: what open pages cost may be what keeps it busy.
    tokio::time::sleep(AFTER_OPENING).await;
    let before = cpu_ticks(std::process::id());
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let (busy, larger) = (used(before), resident(std::process::id()));
    figures.add("processor time at rest, no page open", idle, "%", None);
    figures.add(
        &format!("processor time more, {OPEN} pages open"),
        tenths((busy - idle).max(0.0)),
        "%",
        Some(OPEN_PERCENT),
    );
    figures.add(&format!("memory more, {OPEN} pages open"), tenths((larger - memory).max(0.0)), "MB", Some(OPEN_MB));
    drop(streams);
    Ok(())
}
