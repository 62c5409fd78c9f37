//! A crawl: every link of every page, as each role. No dead link, no server error, no console error.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::house::{House, ROLES};
use crate::run;
use crate::site::{kind, links, own};

/// Pages of one kind that are followed; there are as many as services and releases else.
const ALIKE: usize = 3;
/// Most pages of a crawl.
const PAGES: usize = 800;

/// What a crawl came upon.
#[derive(Debug, Default)]
pub struct Found {
    /// Each address with where it was found first and what it answered.
    pub pages: BTreeMap<String, (String, u16)>,
    /// What is wrong, one line each.
    pub wrong: Vec<String>,
}

impl Found {
    /// Pages that a person can read, one of each kind, whichever service it is about; the shop has most to show.
    pub fn kinds(&self) -> Vec<String> {
        let is_page = |path: &str| !["/assets/", "/v1/", "/openapi.json"].iter().any(|other| path.starts_with(other));
        let readable = self.pages.iter().filter(|(path, (_, status))| *status == 200 && is_page(path));
        let mut paths: Vec<&String> = readable.map(|(path, _)| path).collect();
        paths.sort_by_key(|path| !path.contains("/shop"));
        let mut seen = BTreeSet::new();
        paths.into_iter().filter(|path| seen.insert(of_any_service(&kind(path)))).cloned().collect()
    }
}

/// A kind of page without the name of its service.
fn of_any_service(kind: &str) -> String {
    let mut parts: Vec<&str> = kind.split('/').collect();
    if let ["", "services" | "topology" | "why" | "people" | "teams", name, ..] = parts.as_mut_slice() {
        *name = "*";
    }
    parts.join("/")
}

/// Pages to which no other one leads.
pub const UNLINKED: &[&str] = &["/style", "/services/shop/metrics"];

/// Follows every link from the first page and some more on.
pub async fn crawl(http: &Client, url: &str, cookie: Option<&str>, more: &[&str]) -> Found {
    let mut found = Found::default();
    let mut alike: BTreeMap<String, usize> = BTreeMap::new();
    let mut open: VecDeque<_> =
        more.iter().chain(&["/"]).map(|path| ((*path).to_owned(), "the beginning".to_owned())).collect();
    while let Some((path, from)) = open.pop_front() {
        let count = alike.entry(kind(&path)).or_default();
        if *count >= ALIKE || found.pages.contains_key(&path) || found.pages.len() >= PAGES {
            continue;
        }
        *count += 1;
        let mut request = http.get(format!("{url}{path}")).header("accept", "text/html");
        if let Some(cookie) = cookie {
            request = request.header("cookie", cookie);
        }
        let response = request.send().await.expect("the server answers");
        let status = response.status();
        found.pages.insert(path.clone(), (from.clone(), status.as_u16()));
        let to = response.headers().get("location").and_then(|v| v.to_str().ok()).map(ToOwned::to_owned);
        let is_page = response.headers().get("content-type").is_some_and(|v| v.as_bytes().starts_with(b"text/html"));
        let text = if is_page { response.text().await.unwrap_or_default() } else { String::new() };
        if !status.is_success() && !status.is_redirection() {
            found.wrong.push(format!("{path}, linked from {from}: {status}"));
        }
        if status == StatusCode::OK && is_page {
            for fault in ["Problem {", "None</", "Some(", "{{", "}}"] {
                if text.contains(fault) {
                    found.wrong.push(format!("{path} shows `{fault}`"));
                }
            }
        }
        let next = links(&text).into_iter().chain(to).filter_map(|link| own(&link, url));
        open.extend(next.map(|next| (next, path.clone())));
    }
    found
}

/// Opens a page of each kind and tells what the console said. `None`: nobody is signed in.
pub async fn console(browser: &Browser, url: &str, pages: &[String]) -> Vec<String> {
    let mut wrong = Vec::new();
    browser.console().await;
    for path in pages {
        browser.open(&format!("{url}{path}")).await;
        browser.until("the page has come", "document.readyState === 'complete'").await;
        wrong.extend(browser.console().await.into_iter().map(|line| format!("{path}: {line}")));
    }
    wrong
}

#[test]
fn every_link_as_every_role() {
    run(async {
        let house = House::lived_in().await;
        let browser = Browser::start().await;
        let (mut wrong, mut figures) = (Vec::new(), serde_json::Map::new());
        let mut everything = BTreeSet::new();
        for role in ROLES {
            let cookie = house.cookie(role).await;
            let found = crawl(house.http(), house.url(), cookie.as_deref(), UNLINKED).await;
            assert!(!found.pages.is_empty());
            house.sign_in(&browser, role).await;
            let kinds = found.kinds();
            let said = console(&browser, house.url(), &kinds).await;
            let count = |status: fn(u16) -> bool| found.pages.values().filter(|(_, s)| status(*s)).count();
            figures.insert(role.to_owned(), json!({
                "links": found.pages.len(), "kindsOpened": kinds.len(), "redirects": count(|s| (300..400).contains(&s)),
                "deadOrRefused": found.wrong.len(), "consoleLines": said.len(),
            }));
            wrong.extend(found.wrong.iter().chain(&said).map(|line| format!("{role}: {line}")));
            everything.extend(found.pages.into_keys());
        }
        // What one role has found, the others may type: refused or not, nothing breaks, and who is
        // nobody reads nothing.
        for role in ROLES {
            let cookie = house.cookie(role).await;
            for path in &everything {
                let mut request = house.http().get(format!("{}{path}", house.url())).header("accept", "text/html");
                if let Some(cookie) = &cookie {
                    request = request.header("cookie", cookie);
                }
                let response = request.send().await.expect("the server answers");
                let status = response.status();
                let text = response.text().await.unwrap_or_default();
                let secret = text.contains("sk_live_0123456789");
                // The document of the API has examples; the sign-in page has the address that was typed.
                let open = ["/openapi.json", "/sign-in"].iter().any(|public| path.starts_with(public));
                let told =
                    role == "anonymous" && status == 200 && !open && (text.contains("shop") || text.contains("olga"));
                if status.is_server_error() || secret || told {
                    wrong.push(format!("{role} types {path}: {status}, secret: {secret}, told: {told}"));
                }
            }
        }
        figures.insert("typed".to_owned(), Value::from(everything.len() * ROLES.len()));
        e2e::evidence("portal-crawl", &Value::Object(figures));
        assert!(wrong.is_empty(), "{} faults:\n{}", wrong.len(), wrong.join("\n"));
    });
}
