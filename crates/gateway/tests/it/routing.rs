//! Where requests go, what instances and clients are told, and how it is counted.

use std::collections::BTreeMap;
use std::time::Duration;

use ports::Gateway as _;
use serde_json::Value;

use crate::support::*;

/// The headers that the instance saw, by name.
fn seen(answer: &Answer) -> BTreeMap<String, Vec<String>> {
    let echo: Value = serde_json::from_str(&answer.body).unwrap_or_else(|e| panic!("{e}: {}", answer.all));
    let mut out = BTreeMap::<String, Vec<String>>::new();
    for pair in echo["headers"].as_array().unwrap() {
        let text = |i: usize| pair[i].as_str().unwrap().to_owned();
        out.entry(text(0)).or_default().push(text(1));
    }
    out
}

#[tokio::test]
async fn hosts_are_told_apart_whatever_their_spelling() {
    let mut front = Front::start().await;
    let (one, two) = (Upstream::start().await, Upstream::start().await);
    front.route(vec![route("one", vec![backend(1, &[&one])]), route("two", vec![backend(1, &[&two])])]).await;
    for (host, id) in [
        ("one.localhost", one.id),
        ("ONE.localHOST", one.id),
        ("one.localhost.", one.id),
        ("one.localhost:8080", one.id),
        ("two.localhost", two.id),
    ] {
        let answer = front.get(host, "/id").await;
        assert_eq!((answer.status, answer.body.as_str()), (200, id.to_string().as_str()), "{host}");
    }
    let answer =
        raw(front.address, "GET http://two.localhost/id HTTP/1.1\r\nHost: two.localhost\r\nConnection: close\r\n\r\n")
            .await;
    assert_eq!(answer.body, two.id.to_string());
}

#[tokio::test]
async fn weights_share_the_traffic_and_zero_gets_none() {
    let mut front = Front::start().await;
    let ups = [Upstream::start().await, Upstream::start().await, Upstream::start().await, Upstream::start().await];
    let backends =
        vec![backend(1, &[&ups[0]]), backend(3, &[&ups[1], &ups[2]]), backend(0, &[&ups[3]]), backend(10_000, &[])];
    front.route(vec![route("app", backends)]).await;
    let mut keep = front.connect().await;
    for _ in 0..800 {
        assert_eq!(keep.get("/id").await.unwrap().0, 200);
    }
    let counts = ups.each_ref().map(Upstream::seen);
    // 200 expected at the first: six standard deviations (σ ≈ 12) either way.
    assert!((126..=274).contains(&counts[0]), "{counts:?}");
    assert!(counts[1] > 150 && counts[2] > 150, "{counts:?}");
    assert_eq!(counts[3], 0);
    assert_eq!(counts.iter().sum::<u64>(), 800);
}

#[tokio::test]
async fn every_answer_says_its_release_and_request() {
    let mut front = Front::start().await;
    let up = Upstream::start().await;
    let backend = backend(1, &[&up]);
    let release = backend.release.to_string();
    front.route(vec![route("app", vec![backend]), route("empty", vec![])]).await;
    for path in ["/id", "/status/500", "/hop", "/204", "/304"] {
        let answer = front.get("app.localhost", path).await;
        assert_eq!(answer.header("orlop-release"), Some(release.as_str()), "{path}: {}", answer.all);
        assert_eq!(answer.header("x-request-id").map(str::len), Some(32), "{path}");
        assert!(!answer.all.contains("x-private") && !answer.all.contains("keep-alive"), "{}", answer.all);
    }
    assert_eq!(front.get("empty.localhost", "/").await.header("orlop-release"), None);
}

#[tokio::test]
async fn instances_are_told_who_asks_and_clients_cannot_lie_about_it() {
    let mut front = Front::start().await;
    let up = Upstream::start().await;
    front.one(&up).await;
    let lies = "Forwarded: for=6.6.6.6\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n\
        X-Forwarded-Host: evil\r\nX-Forwarded-Port: 1\r\nX-Forwarded-Prefix: /x\r\nX-Real-IP: 6.6.6.6\r\nX-Request-Id: mine\r\n";
    let text = format!("GET /echo?q=1 HTTP/1.1\r\nHost: app.localhost:81\r\n{lies}Connection: close\r\n\r\n");
    let answer = raw(front.address, text).await;
    let headers = seen(&answer);
    let one = |name: &str| headers.get(name).map_or("", |v| if v.len() == 1 { &v[0] } else { "many" });
    assert_eq!(one("forwarded"), "for=127.0.0.1;host=\"app.localhost:81\";proto=http");
    assert_eq!(one("x-forwarded-for"), "127.0.0.1");
    assert_eq!(one("x-forwarded-proto"), "http");
    assert_eq!(one("x-forwarded-host"), "app.localhost:81");
    assert_eq!(one("host"), "app.localhost:81");
    assert_eq!(one("via"), "1.1 orlop");
    assert_eq!(Some(one("x-request-id")), answer.header("x-request-id"));
    assert!(!headers.contains_key("x-forwarded-port") && !headers.contains_key("x-real-ip"), "{headers:?}");
    assert!(!answer.body.contains("6.6.6.6") && !answer.body.contains("evil"), "{}", answer.body);
}

#[tokio::test]
async fn a_trusted_peer_is_believed() {
    let mut front = Front::with(|o| o.trusted = vec!["127.0.0.1".parse().unwrap()]).await;
    let up = Upstream::start().await;
    front.one(&up).await;
    let claims = "Forwarded: for=9.9.9.9\r\nX-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: https\r\n";
    let text = format!("GET /echo HTTP/1.1\r\nHost: app.localhost\r\n{claims}Connection: close\r\n\r\n");
    let headers = seen(&raw(front.address, text).await);
    assert_eq!(headers["x-forwarded-for"], ["9.9.9.9, 127.0.0.1"]);
    assert_eq!(headers["x-forwarded-proto"], ["https"]);
    assert_eq!(headers["forwarded"], ["for=9.9.9.9, for=127.0.0.1;host=app.localhost;proto=http"]);
}

#[tokio::test]
async fn traces_go_on_or_begin() {
    let mut front = Front::start().await;
    let up = Upstream::start().await;
    front.one(&up).await;
    let valid = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    for (given, kept) in [
        (format!("traceparent: {valid}\r\ntracestate: a=b\r\n"), true),
        (format!("traceparent: {}\r\ntracestate: a=b\r\n", valid.to_uppercase()), false),
        (format!("traceparent: {valid}\r\ntraceparent: {valid}\r\ntracestate: a=b\r\n"), false),
        (String::new(), false),
    ] {
        let text = format!("GET /echo HTTP/1.1\r\nHost: app.localhost\r\n{given}Connection: close\r\n\r\n");
        let headers = seen(&raw(front.address, text).await);
        assert_eq!(headers["traceparent"].len(), 1, "{given}");
        assert_eq!(headers["traceparent"][0] == valid, kept, "{given}");
        assert_eq!(headers["traceparent"][0].len(), 55);
        assert_eq!(headers.contains_key("tracestate"), kept, "{given}");
    }
    let log = front.log(4).await;
    assert_eq!(log[0]["trace"], "0af7651916cd43dd8448eb211c80319c");
}

#[tokio::test]
async fn hop_by_hop_headers_stay_behind() {
    let mut front = Front::start().await;
    let up = Upstream::start().await;
    front.one(&up).await;
    let hops = "Connection: close, X-Secret\r\nX-Secret: 1\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nTE: trailers\r\n\
        Upgrade: h2c\r\nHTTP2-Settings: x\r\nX-Other: kept\r\n";
    let headers = seen(&raw(front.address, format!("GET /echo HTTP/1.1\r\nHost: app.localhost\r\n{hops}\r\n")).await);
    for gone in ["x-secret", "keep-alive", "proxy-connection", "upgrade", "http2-settings"] {
        assert!(!headers.contains_key(gone), "{gone}: {headers:?}");
    }
    assert_eq!(headers["x-other"], ["kept"]);
    assert_eq!((&headers["te"], &headers["connection"]), (&vec!["trailers".to_owned()], &vec!["te".to_owned()]));
}

#[tokio::test]
async fn pages_say_whose_fault_it_is() {
    let mut front = Front::limited(|l| l.answer_timeout = Duration::from_millis(100)).await;
    let (up, dead) = (Upstream::start().await, Upstream::start().await);
    let gone = route("dead", vec![backend(1, &[&dead])]);
    front.route(vec![route("app", vec![backend(1, &[&up])]), route("empty", vec![]), gone]).await;
    dead.kill().await;
    for (host, path, status, code, fault) in [
        ("nobody.localhost", "/", 404, "unknown-host", "client"),
        ("127.0.0.1", "/", 404, "unknown-host", "client"),
        ("empty.localhost", "/", 503, "nothing-runs", "none-running"),
        ("dead.localhost", "/", 502, "instance-unreachable", "instance"),
        ("app.localhost", "/hang", 504, "instance-too-slow", "instance"),
    ] {
        let answer = front.get(host, path).await;
        assert_eq!(answer.status, status, "{}", answer.all);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        let problem = answer.problem();
        assert_eq!((problem["code"].as_str(), problem["fault"].as_str()), (Some(code), Some(fault)));
        assert_eq!(problem["status"], status);
        assert_eq!(problem["type"], format!("urn:orlop:problem:{code}"));
        assert_eq!(problem["requestId"].as_str(), answer.header("x-request-id"));
        for member in ["title", "detail", "hint"] {
            assert!(problem[member].as_str().is_some_and(|t| !t.is_empty()), "{member}: {problem}");
        }
        let text =
            format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: text/html,*/*;q=0.8\r\nConnection: close\r\n\r\n");
        let page = raw(front.address, text).await;
        assert_eq!(page.status, status);
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
        assert!(page.body.contains(code) && page.body.contains(&format!("fault: {fault}")), "{}", page.body);
        assert!(page.body.len() < 2000);
    }
    // A page of the instance is not touched.
    let own = front.get("app.localhost", "/status/500").await;
    assert_eq!((own.status, own.body.as_str()), (500, "mine"));
}

#[tokio::test]
async fn answers_without_content_keep_their_shape() {
    let mut front = Front::start().await;
    let up = Upstream::start().await;
    front.one(&up).await;
    let head = raw(front.address, "HEAD /id HTTP/1.1\r\nHost: app.localhost\r\nConnection: close\r\n\r\n").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(head.header("content-length"), Some(up.id.to_string().len().to_string().as_str()));
    assert_eq!(head.header("transfer-encoding"), None);
    let none = front.get("app.localhost", "/204").await;
    assert_eq!((none.status, none.body.as_str(), none.header("content-length")), (204, "", None));
    assert_eq!(front.get("app.localhost", "/304").await.status, 304);
    let nobody = raw(front.address, "HEAD / HTTP/1.1\r\nHost: nobody\r\nConnection: close\r\n\r\n").await;
    assert_eq!((nobody.status, nobody.body.as_str()), (404, ""));
}

#[tokio::test]
async fn requests_are_logged_and_counted() {
    let mut front = Front::limited(|l| l.answer_timeout = Duration::from_millis(100)).await;
    let up = Upstream::start().await;
    let backend = backend(1, &[&up]);
    let (rollout, release) = (backend.rollout, backend.release);
    front.route(vec![route("app", vec![backend]), route("empty", vec![])]).await;
    let post = "POST /body?token=secret HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
    assert_eq!(raw(front.address, post).await.body, "hello");
    for path in ["/id", "/status/500", "/hang", "/304"] {
        front.get("app.localhost", path).await;
    }
    front.get("empty.localhost", "/").await;
    front.get("nobody.localhost", "/").await;
    let log = front.log(7).await;
    assert_eq!(log.len(), 7);
    // Lines of different workers may change places.
    let line = |path: &str, host: &str| log.iter().find(|l| l["path"] == path && l["host"] == host).unwrap();
    let first = line("/body", "app.localhost");
    assert_eq!(first["method"], "POST");
    assert_eq!((&first["bytesIn"], &first["bytesOut"]), (&5.into(), &5.into()));
    assert_eq!(first["rollout"], rollout.to_string());
    assert_eq!(first["release"], release.to_string());
    assert_eq!(first["instance"], up.id.to_string());
    assert_eq!((&first["service"], &first["environment"]), (&"app".into(), &"dev".into()));
    assert_eq!(first["client"], "127.0.0.1");
    assert!(!std::fs::read_to_string(front.dir.path().join("access.log")).unwrap().contains("secret"));
    assert_eq!(line("/hang", "app.localhost")["code"], "instance-too-slow");
    assert_eq!(line("/", "nobody.localhost")["code"], "unknown-host");

    let counters = front.client.counters(None).await.unwrap();
    let of = |service: &str, some: bool| {
        counters.iter().find(|c| c.service.as_str() == service && c.rollout.is_some() == some).unwrap()
    };
    let app = of("app", true);
    assert_eq!((app.rollout, app.release), (Some(rollout), Some(release)));
    assert_eq!(app.by_class, [0, 2, 1, 0, 2]);
    assert_eq!(app.gateway_errors, 1);
    assert_eq!(app.latency_buckets.iter().sum::<u64>(), 5);
    assert_eq!(app.bytes_in, 5);
    assert_eq!(of("empty", false).by_class, [0, 0, 0, 0, 1]);
}
