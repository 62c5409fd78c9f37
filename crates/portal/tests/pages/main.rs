//! The pages over an API that says the worst it can: every text is hostile, every id and name is real.
//! What is shown does nothing; what a page links to is there.

mod world;

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::body::Body;
use base::Time;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;
use world::{HOSTILE, World, build, rollout};

/// A browser that is signed in.
struct Browser {
    router: axum::Router,
    world: Arc<World>,
}

impl Browser {
    fn new() -> Self {
        let world = Arc::new(World::default());
        let router = portal::router(portal::Options {
            transport: Arc::<World>::clone(&world),
            now: Arc::new(|| Time::from_micros(1_790_000_100_000_000)),
            random: Arc::new(|bytes| bytes.fill(7)),
            hosts: Vec::new(),
        });
        Self { router, world }
    }

    async fn send(&self, request: Request<Body>) -> (StatusCode, http::HeaderMap, String) {
        let response = self.router.clone().oneshot(request).await.expect("a router answers");
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.expect("a whole page").to_bytes();
        (head.status, head.headers, String::from_utf8(bytes.to_vec()).expect("a page is text"))
    }

    async fn get(&self, path: &str) -> (StatusCode, http::HeaderMap, String) {
        let request = Request::get(path).header("host", "localhost").header("cookie", "orlop-session=secret");
        self.send(request.header("accept", "text/html").body(Body::empty()).expect("a request")).await
    }

    async fn post(&self, path: &str, form: &str, origin: &str) -> (StatusCode, http::HeaderMap, String) {
        let request = Request::post(path)
            .header("host", "localhost")
            .header("origin", origin)
            .header("cookie", "orlop-session=secret")
            .header("content-type", "application/x-www-form-urlencoded");
        self.send(request.body(Body::from(form.to_owned())).expect("a request")).await
    }
}

/// The pages of this half of the portal.
fn pages() -> Vec<String> {
    let (rollout, build) = (rollout(), build());
    [
        "/services/shop/rollouts".to_owned(),
        format!("/services/shop/rollouts/{rollout}"),
        "/services/shop/rollouts/plan?environment=prod&from=dev".to_owned(),
        "/services/shop/rollouts/plan?environment=prod&rollback=true".to_owned(),
        format!("/services/shop/builds/{build}"),
        "/services/shop/runs".to_owned(),
        "/runs".to_owned(),
        "/runs?kind=release".to_owned(),
        "/environments".to_owned(),
        "/environments/compare".to_owned(),
        "/environments/compare?from=dev&to=prod&differs=1".to_owned(),
        "/environments/dev/prod/settings/shop".to_owned(),
        "/environments/promote?from=dev&to=prod&service=shop&service=till".to_owned(),
        "/topology".to_owned(),
        "/topology?focus=shop&environment=dev".to_owned(),
        "/topology?group=team&open=pay".to_owned(),
        "/topology/shop".to_owned(),
        "/platform".to_owned(),
        "/why/shop".to_owned(),
        "/help".to_owned(),
        "/help?q=rollout".to_owned(),
        "/help/tour".to_owned(),
        "/help/architecture".to_owned(),
        "/help/service-file".to_owned(),
        "/help/api".to_owned(),
        "/help/errors".to_owned(),
        "/help/errors/stale-version".to_owned(),
        "/palette".to_owned(),
        "/palette?q=shop".to_owned(),
        "/palette?q=logs+shop&part=1".to_owned(),
        "/start".to_owned(),
        "/start/shop".to_owned(),
    ]
    .into()
}

/// Text of others that became more than text.
fn acts(page: &str) -> Vec<&'static str> {
    let bad = ["<script>alert", "<img src=x", "\"'><", "\u{202e}", "\u{1b}", "=\"javascript:"];
    bad.into_iter().filter(|bad| page.contains(bad)).collect()
}

#[tokio::test]
async fn every_page_shows_hostile_text_as_text() {
    let browser = Browser::new();
    let mut shown = 0;
    for path in pages() {
        let (status, _, page) = browser.get(&path).await;
        assert_eq!(status, StatusCode::OK, "{path}: {page}");
        assert_eq!(acts(&page), Vec::<&str>::new(), "{path} lets text of others act");
        shown += page.matches("&lt;script&gt;").count() + page.matches("&#60;script&#62;").count();
        assert!(!page.contains(" style=") && !page.contains("<style"), "{path} has a style of its own");
        assert!(page.contains("<h1") || path.contains("part=1"), "{path} has no heading");
    }
    assert!(shown > 60, "only {shown} hostile texts were shown: the world does not reach the pages");
}

#[test]
fn the_check_finds_what_acts() {
    assert_eq!(acts(HOSTILE).len(), 6, "{:?}", acts(HOSTILE));
    assert!(acts("&lt;script&gt;alert(1)").is_empty());
}

/// Pages of the other half, which the links of this half lead to.
const ELSEWHERE: [&str; 14] = [
    "/services/{}/releases",
    "/services/{}/logs",
    "/services/{}/metrics",
    "/services/{}/settings",
    "/services/{}/access",
    "/services/{}/activity",
    "/services/{}",
    "/teams/{}",
    "/teams",
    "/people",
    "/tokens",
    "/audit",
    "/openapi.json",
    "/v1/manifest/schema",
];

fn is_elsewhere(path: &str) -> bool {
    ELSEWHERE.iter().any(|known| {
        let (want, have): (Vec<&str>, Vec<&str>) = (known.split('/').collect(), path.split('/').collect());
        want.len() == have.len() && want.iter().zip(&have).all(|(want, have)| want == have || *want == "{}")
    })
}

#[tokio::test]
async fn every_link_leads_somewhere() {
    let browser = Browser::new();
    let (mut seen, mut dead) = (BTreeSet::new(), Vec::new());
    for path in pages() {
        let (_, _, page) = browser.get(&path).await;
        let links = page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
        let forms = page.split("action=\"").skip(1).filter_map(|rest| rest.split('"').next());
        for link in links.chain(forms).filter(|link| link.starts_with('/')) {
            let link = link.replace("&amp;", "&").replace("&#38;", "&");
            let plain = link.split(['#', '?']).next().unwrap_or_default().to_owned();
            if is_elsewhere(&plain) || !seen.insert(link.clone()) {
                continue;
            }
            let (status, _, page) = browser.get(link.split('#').next().unwrap_or_default()).await;
            // Forms are sent, not looked at.
            if status == StatusCode::NOT_FOUND && !page.contains("help-not-found") || status.is_server_error() {
                dead.push(format!("{link} on {path}: {status}"));
            }
        }
    }
    assert!(seen.len() > 100, "only {} links were followed", seen.len());
    assert!(dead.is_empty(), "{dead:#?}");
}

#[tokio::test]
async fn a_page_is_small() {
    let browser = Browser::new();
    for path in pages() {
        // Documents as long as they are, and lists of everything there is, are read at leisure.
        if path.starts_with("/help/") {
            continue;
        }
        let (_, _, page) = browser.get(&path).await;
        assert!(page.len() < 100 << 10, "{path} has {} bytes", page.len());
    }
}

/// The hidden fields of the form that leads to `action`.
async fn form(browser: &Browser, page: &str, action: &str) -> String {
    let (_, _, page) = browser.get(page).await;
    let form = page
        .split("<form")
        .find(|form| form.contains(&format!("action=\"{action}\"")))
        .unwrap_or_else(|| panic!("no form {action}"));
    let form = form.split("</form").next().unwrap_or_default();
    let value = |input: &str, name: &str| -> Option<String> {
        Some(input.split(&format!("{name}=\"")).nth(1)?.split('"').next()?.to_owned())
    };
    let fields: Vec<(String, String)> = form
        .split("<input")
        .skip(1)
        .filter(|input| input.contains("type=\"hidden\""))
        .filter_map(|input| Some((value(input, "name")?, value(input, "value")?)))
        .collect();
    serde_urlencoded::to_string(fields).expect("a form")
}

#[tokio::test]
async fn what_is_shown_is_what_is_sent() {
    let browser = Browser::new();
    let plan = "/services/shop/rollouts/plan?environment=prod&from=dev";
    let fields = form(&browser, plan, "/services/shop/rollouts").await;
    let (status, headers, page) = browser.post("/services/shop/rollouts", &fields, "http://localhost").await;
    assert_eq!(status, StatusCode::SEE_OTHER, "{page}");
    assert_eq!(headers["location"], format!("/services/shop/rollouts/{}", rollout()).as_str());
    let sent = browser.world.sent();
    let (line, body) = sent.last().expect("a call");
    assert_eq!(line, "POST /v1/services/shop/rollouts");
    assert_eq!(*body, serde_json::json!({"environment": "prod", "from": "dev", "rollback": false, "restart": false}));

    let cancel = format!("/services/shop/rollouts/{}/cancel", rollout());
    let fields = form(&browser, cancel.trim_end_matches("/cancel"), &cancel).await;
    assert_eq!(browser.post(&cancel, &fields, "http://localhost").await.0, StatusCode::SEE_OTHER);
    assert!(browser.world.sent().last().expect("a call").0.ends_with("/cancel"));
}

#[tokio::test]
async fn several_promotions_are_sent_one_by_one() {
    let browser = Browser::new();
    let page = "/environments/promote?from=dev&to=prod&service=shop&service=till";
    let fields = form(&browser, page, "/environments/promote").await;
    let (status, _, page) = browser.post("/environments/promote", &fields, "http://localhost").await;
    assert_eq!(status, StatusCode::SEE_OTHER, "{page}");
    let lines: Vec<String> = browser.world.sent().into_iter().map(|(line, _)| line).collect();
    assert_eq!(lines, ["POST /v1/services/shop/rollouts", "POST /v1/services/till/rollouts"]);
}

#[tokio::test]
async fn a_first_service_is_made_packed_and_uploaded() {
    let browser = Browser::new();
    let fields = form(&browser, "/start", "/start").await;
    let fields = format!("{fields}&template=web&service=fresh&team=pay");
    let (status, headers, page) = browser.post("/start", &fields, "http://localhost").await;
    assert_eq!(status, StatusCode::SEE_OTHER, "{page}");
    assert_eq!(headers["location"], "/start/fresh");
    let lines: Vec<String> = browser
        .world
        .sent()
        .into_iter()
        .map(|(line, _)| line.split('?').next().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(
        lines,
        ["POST /v1/templates/web/files", "POST /v1/teams/pay/services", "POST /v1/services/fresh/sources"]
    );
    // A template does not take the place of what is in use.
    let over = fields.replace("service=fresh", "service=shop");
    let (status, _, page) = browser.post("/start", &over, "http://localhost").await;
    assert_eq!(status, StatusCode::CONFLICT, "{page}");
    assert!(browser.world.sent().iter().all(|(line, _)| !line.contains("/services/shop/sources")));
    let (status, _, page) = browser.post("/start/push", &fields, "http://localhost").await;
    assert_eq!(status, StatusCode::OK, "{page}");
    assert!(page.contains("git push http://ada:orlop_issued@localhost/git/fresh.git main"), "{page}");
    let (line, body) = browser.world.sent().pop().expect("a call");
    assert_eq!(line, "POST /v1/tokens");
    assert_eq!(body["services"], serde_json::json!(["fresh"]), "the token is for this service alone");
    assert_eq!(body["scopes"], serde_json::json!(["read", "deploy"]));
}

#[tokio::test]
async fn forms_of_other_places_change_nothing() {
    let browser = Browser::new();
    let plan = "/services/shop/rollouts/plan?environment=prod&from=dev";
    let fields = form(&browser, plan, "/services/shop/rollouts").await;
    for (path, form, origin) in [
        ("/services/shop/rollouts", fields.as_str(), "https://evil.test"),
        ("/services/shop/rollouts", "environment=prod&from=dev", "http://localhost"),
        ("/environments/promote", "from=dev&to=prod&service=shop&form-token=guess", "http://localhost"),
        ("/start", "template=web&service=fresh&team=pay", "http://localhost"),
        ("/start/push", "service=fresh&team=pay", "null"),
    ] {
        let (status, _, _) = browser.post(path, form, origin).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path} from {origin}");
    }
    assert!(browser.world.sent().is_empty(), "{:?}", browser.world.sent());
}
