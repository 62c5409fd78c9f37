//! Whatever is sent, the answer is one that a person can act on: `application/problem+json` with a
//! code and a hint, and the headers that every answer has.

use std::collections::{BTreeMap, BTreeSet};

use api::{Access, Row, Shape, TABLE};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, RequestBuilder};

use crate::http::{Api, Reply};
use crate::support::Installation;

/// Headers that no answer is without.
const ALWAYS: [(&str, &str); 4] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cache-control", "no-store"),
];

/// Collects what is not as it should be.
#[derive(Default)]
struct Findings {
    asked: usize,
    wrong: Vec<String>,
}

impl Findings {
    /// Sends it; the answer must be a whole problem with one of these statuses.
    async fn check(&mut self, what: &str, request: RequestBuilder, statuses: &[u16]) -> Reply {
        self.asked += 1;
        let reply = Reply::of(request.send().await.unwrap_or_else(|e| panic!("{what}: no answer: {e}"))).await;
        let body = reply.json();
        let text = |key: &str| body.get(key).and_then(|v| v.as_str()).unwrap_or_default().to_owned();
        let mut faults = Vec::new();
        if !statuses.contains(&reply.status.as_u16()) {
            faults.push(format!("status {} is none of {statuses:?}", reply.status));
        }
        if reply.header("content-type") != "application/problem+json" {
            faults.push(format!("media type `{}`", reply.header("content-type")));
        }
        faults.extend(
            ["code", "hint", "detail", "title", "type"]
                .iter()
                .filter(|k| text(k).is_empty())
                .map(|k| format!("no {k}")),
        );
        if body.get("status").and_then(serde_json::Value::as_u64) != Some(u64::from(reply.status.as_u16())) {
            faults.push("another status in the body".to_owned());
        }
        faults.extend(missing_headers(&reply));
        if !faults.is_empty() {
            self.wrong.push(format!("{what}: {} in {}", faults.join(", "), reply.text));
        }
        reply
    }

    #[track_caller]
    fn none(self) {
        assert!(self.asked > 0);
        let wrong = self.wrong;
        assert!(wrong.is_empty(), "{} of {} answers are wrong:\n{}", wrong.len(), self.asked, wrong.join("\n"));
    }
}

fn missing_headers(reply: &Reply) -> Vec<String> {
    let mut missing: Vec<String> =
        ALWAYS.iter().filter(|(n, v)| reply.header(n) != *v).map(|(n, _)| format!("no {n}")).collect();
    if !reply.header("content-security-policy").contains("default-src 'none'") {
        missing.push("no content-security-policy".to_owned());
    }
    missing
}

/// The path of a row, every parameter with the same text or a plausible one.
fn path(row: &Row, text: Option<&str>) -> String {
    let mut out = String::new();
    for (i, part) in row.path.split(['{', '}']).enumerate() {
        match (i % 2, text, part) {
            (0, _, part) => out.push_str(part),
            (_, Some(text), _) => out.push_str(text),
            (_, None, "team") => out.push_str("main"),
            (_, None, "repository") => out.push_str("shop.git"),
            (_, None, "template") => out.push_str("web"),
            (_, None, "environment") => out.push_str("dev"),
            (_, None, "number") => out.push('1'),
            (_, None, "name") => out.push('A'),
            (_, None, "token") => out.push_str("tok_01hzzzzzzzzzzzzzzzzzzzzzzz"),
            (_, None, "build") => out.push_str("bld_01hzzzzzzzzzzzzzzzzzzzzzzz"),
            (_, None, "source") => out.push_str("src_01hzzzzzzzzzzzzzzzzzzzzzzz"),
            (_, None, "rollout") => out.push_str("ro_01hzzzzzzzzzzzzzzzzzzzzzzz"),
            (_, None, _) => out.push_str("shop"),
        }
    }
    out
}

fn method(row: &Row) -> Method {
    row.method.word().parse().expect("a method")
}

/// Rows with a JSON body.
fn bodies() -> impl Iterator<Item = &'static Row> {
    TABLE.iter().filter(|r| r.method.is_mutating() && matches!(r.shape, Shape::Json | Shape::Events))
}

async fn admin_with_shop(place: &Installation) -> Api {
    let admin = Api::admin(&place.up()).await;
    admin.post("/v1/teams/main/services", serde_json::json!({ "service": "shop" })).await.ok();
    admin
}

#[tokio::test]
async fn no_answer_is_without_a_way_on() {
    let place = Installation::new();
    let admin = admin_with_shop(&place).await;
    let mut findings = Findings::default();
    credentials(&mut findings, &admin).await;
    bad_bodies(&mut findings, &admin).await;
    bad_queries(&mut findings, &admin).await;
    bad_paths(&mut findings, &admin).await;
    no_such_things(&mut findings, &admin).await;
    wrong_methods(&mut findings, &admin).await;
    findings.none();
    assert_eq!(admin.get("/v1/services/shop").await.status, 200, "all of it had no effect");
}

async fn credentials(findings: &mut Findings, admin: &Api) {
    let nobody = admin.without();
    for row in TABLE.iter().filter(|r| r.access != Access::Public) {
        let none = findings.check(row.id, nobody.request(method(row), &path(row, None)), &[401]).await;
        if none.header("www-authenticate").is_empty() {
            findings.wrong.push(format!("{}: 401 without WWW-Authenticate", row.id));
        }
        for bad in ["Bearer x", "Bearer", "Basic Zm9v", "Basic !", "Digest x", "Bearer \u{fc}"] {
            let request = nobody.request(method(row), &path(row, None)).header("authorization", bad.as_bytes());
            findings.check(&format!("{} {bad}", row.id), request, &[401]).await;
        }
    }
}

async fn bad_bodies(findings: &mut Findings, admin: &Api) {
    let large = format!("{{\"x\":\"{}\"}}", "a".repeat(1 << 20));
    for row in bodies() {
        let to = |body: &str| {
            admin.request(method(row), &path(row, None)).header(CONTENT_TYPE, "application/json").body(body.to_owned())
        };
        for (bad, statuses) in [
            ("{", &[400][..]),
            ("{\"a\":1,}", &[400]),
            ("\u{0}", &[400]),
            ("[]", &[422]),
            ("3", &[422]),
            ("\"x\"", &[422]),
            ("{\"no-such-key\":1}", &[422]),
            ("{\"team\":[],\"person\":{},\"value\":1,\"code\":false,\"role\":7}", &[422]),
        ] {
            findings.check(&format!("{} with {bad:?}", row.id), to(bad), statuses).await;
        }
        let form = admin.request(method(row), &path(row, None)).form(&[("a", "b")]);
        findings.check(&format!("{} as a form", row.id), form, &[415]).await;
        let untyped = admin.request(method(row), &path(row, None)).body("{}");
        findings.check(&format!("{} untyped", row.id), untyped, &[415]).await;
        findings.check(&format!("{} too large", row.id), to(&large), &[413]).await;
        for key in ["", "\"\"", &"k".repeat(256), "a\tb"] {
            let request = to("{}").header("idempotency-key", key);
            findings.check(&format!("{} with the key {key:?}", row.id), request, &[400]).await;
        }
        let stale = to("{\"no-such-key\":1}").header("if-match", "W/\"not ours\"");
        findings.check(&format!("{} with a foreign ETag", row.id), stale, &[412]).await;
    }
}

async fn bad_queries(findings: &mut Findings, admin: &Api) {
    for row in TABLE.iter().filter(|r| r.shape != Shape::Raw) {
        for bad in ["no-such-key=1", "limit=many", "limit=-1", "after=%00&x", "limit=1&limit=2&y"] {
            let request = admin.request(method(row), &format!("{}?{bad}", path(row, None)));
            findings.check(&format!("{} ?{bad}", row.id), request, &[400, 422]).await;
        }
    }
}

async fn bad_paths(findings: &mut Findings, admin: &Api) {
    let long = "a".repeat(10_000);
    for row in TABLE.iter().filter(|r| r.path.contains('{')) {
        for bad in ["..%2F..%2Fetc", "%00", "UPPER", "a%20b", "%ff", "-", "a%0d%0ab", "\u{fc}", &long] {
            let request = admin.request(method(row), &path(row, Some(bad)));
            let what = format!("{} {}", row.id, bad.get(..12).unwrap_or(bad));
            findings.check(&what, request, &[400, 404, 405, 422]).await;
        }
    }
}

async fn no_such_things(findings: &mut Findings, admin: &Api) {
    for bad in [
        "/v2/services",
        "/v1",
        "/v1/",
        "/v1/services/",
        "/v1//services",
        "/healthz/x",
        "/git/",
        "/.env",
        "/V1/SERVICES",
    ] {
        findings.check(bad, admin.request(Method::GET, bad), &[404]).await;
    }
}

async fn wrong_methods(findings: &mut Findings, admin: &Api) {
    let mut methods: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for row in TABLE.iter() {
        methods.entry(path(row, None)).or_default().insert(row.method.word());
    }
    for (path, known) in methods {
        for word in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"] {
            if known.contains(word) {
                continue;
            }
            let what = format!("{word} {path}");
            let reply = findings.check(&what, admin.request(word.parse().expect("a method"), &path), &[405]).await;
            let allow: BTreeSet<_> = reply.header("allow").split(',').map(str::trim).filter(|m| *m != "HEAD").collect();
            if allow != known {
                findings.wrong.push(format!("{what}: Allow is {:?}, not {known:?}", reply.header("allow")));
            }
        }
    }
}

#[tokio::test]
async fn heads_are_answers_without_a_body() {
    let place = Installation::new();
    let admin = admin_with_shop(&place).await;
    for path in ["/healthz", "/readyz", "/openapi.json", "/v1/services", "/v1/services/shop", "/v1/manifest/schema"] {
        let (get, head) = (admin.get(path).await, admin.send(Method::HEAD, path, None).await);
        assert_eq!((get.status, head.status), (200.try_into().unwrap(), get.status), "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"), "{path}");
        assert!(head.text.is_empty() && !get.text.is_empty(), "{path}");
        assert_eq!(
            missing_headers(&get).into_iter().filter(|m| !m.contains("cache-control")).collect::<Vec<_>>(),
            Vec::<String>::new(),
            "{path}"
        );
    }
}

/// The document, the table and what is mounted are one.
#[tokio::test]
async fn the_document_has_every_endpoint() {
    let place = Installation::new();
    let admin = Api::admin(&place.up()).await;
    let document = admin.get("/openapi.json").await.ok();
    let mut described = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods").iter().filter(|(m, _)| *m != "parameters") {
            let id = operation["operationId"].as_str().expect("an id").to_owned();
            described.insert((method.to_uppercase(), path.clone(), id));
        }
    }
    let table: BTreeSet<_> =
        TABLE.iter().map(|r| (r.method.word().to_owned(), r.path.to_owned(), r.id.to_owned())).collect();
    assert_eq!(described, table);
    for row in TABLE.iter() {
        let reply = admin.request(Method::OPTIONS, &path(row, None)).send().await.expect("an answer");
        assert_ne!(reply.status(), 404, "{} is not mounted", row.id);
    }
}
