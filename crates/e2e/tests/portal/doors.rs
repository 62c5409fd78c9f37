//! Requests from elsewhere: another site that sends forms, reads answers, puts the portal into a
//! frame, or hands out links that lead away.

use std::net::SocketAddr;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::browser::Browser;
use crate::house::House;
use crate::run;

/// A site of somebody else on this machine. Browsers hold it for the same *site*, ports being no part
/// of that, and send it cookies that are kept from other sites: the hardest case.
async fn elsewhere(portal: String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let portal = portal.clone();
            tokio::spawn(async move {
                let mut request = vec![0u8; 8192];
                let n = stream.read(&mut request).await.unwrap_or(0);
                let text = String::from_utf8_lossy(&request[..n]).into_owned();
                let (path, _) = text.split(' ').nth(1).unwrap_or("/").split_once('?').unwrap_or(("/", ""));
                let target =
                    text.split(' ').nth(1).and_then(|p| p.split_once("?to=")).map_or("/", |(_, to)| to).to_owned();
                let body = match path {
                    "/frame" => format!(
                        "<!doctype html><title>f</title><iframe src=\"{portal}{target}\"></iframe><iframe src=\"/plain?\"></iframe>"
                    ),
                    "/form" => format!(
                        "<!doctype html><title>f</title><form id=f method=post action=\"{portal}{target}\"><input name=theme value=dark><input name=to value=/></form>"
                    ),
                    _ => "<!doctype html><title>p</title>plain".to_owned(),
                };
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    address
}

/// Addresses of frames in the page that is open.
async fn frames(browser: &Browser) -> Vec<String> {
    let tree = browser.devtools("Page.getFrameTree", json!({})).await;
    let children = tree.pointer("/frameTree/childFrames").and_then(|c| c.as_array()).cloned().unwrap_or_default();
    children.iter().filter_map(|c| c.pointer("/frame/url")?.as_str().map(ToOwned::to_owned)).collect()
}

#[test]
fn nothing_comes_in_from_another_site() {
    run(async {
        let house = House::new().await;
        house.service("shop", "Sells things").await;
        let browser = Browser::start().await;
        house.sign_in(&browser, "admin").await;
        let cookies = browser.cookies().await;
        let session =
            cookies.iter().find(|c| c["name"].as_str().is_some_and(|n| n.contains("session"))).expect("a session");
        assert_eq!(session["httpOnly"], json!(true), "{session}");
        assert!(["Lax", "Strict"].contains(&session["sameSite"].as_str().unwrap_or_default()), "{session}");
        assert_eq!(browser.value("document.cookie.includes('session')").await, json!(false), "scripts do not see it");
        let other = format!("http://{}", elsewhere(house.url().to_owned()).await);

        // Forms: the browser sends the cookie along, and the portal refuses all the same.
        for path in ["/theme", "/sign-out", "/sign-in"] {
            browser.open(&format!("{other}/form?to={path}")).await;
            browser.value("document.getElementById('f').submit()").await;
            browser
                .until("the portal has answered", "location.pathname !== '/form' && document.readyState === 'complete'")
                .await;
            let text = browser.text().await;
            assert!(text.contains("cross-site-request"), "{path} was not refused, on a page that says why: {text}");
        }
        browser.open(&format!("{}/", house.url())).await;
        assert_eq!(
            browser.value("document.querySelector('header.side') !== null").await,
            json!(true),
            "still signed in"
        );
        assert_eq!(
            browser.value("document.documentElement.dataset.theme || ''").await,
            json!(""),
            "the theme is as it was"
        );

        // Scripts: what is answered cannot be read, and nothing is done.
        browser.open(&format!("{other}/plain?")).await;
        for (method, path) in
            [("GET", "/services"), ("GET", "/v1/whoami"), ("POST", "/sign-out"), ("GET", "/live?subjects=*")]
        {
            let ask = format!(
                "const done = arguments[arguments.length - 1]; const stop = new AbortController(); setTimeout(() => stop.abort(), 5000); fetch('{}{path}', {{ method: '{method}', credentials: 'include', signal: stop.signal }}).then(r => r.text()).then(t => done('read ' + t.length), e => done('refused'));",
                house.url()
            );
            let read = browser.run(&ask, json!([])).await;
            assert_eq!(read, json!("refused"), "{method} {path}");
        }

        // Frames: the portal's stay empty, and that the other one does not shows that this can be seen.
        for path in ["/", "/services", "/sign-in"] {
            browser.open(&format!("{other}/frame?to={path}")).await;
            browser.until("the page has come", "document.readyState === 'complete'").await;
            let found = frames(&browser).await;
            assert!(found.iter().any(|url| url.contains("/plain")), "a frame that is allowed is seen: {found:?}");
            assert!(!found.iter().any(|url| url.starts_with(house.url())), "{path} is in a frame: {found:?}");
        }
    });
}

#[test]
fn links_of_the_portal_lead_nowhere_else() {
    run(async {
        let house = House::new().await;
        let cookie = house.cookie("admin").await.expect("a session");
        let away = [
            "https://evil.example/",
            "//evil.example",
            "/\\evil.example",
            "/%09/evil.example",
            "javascript:alert(1)",
            "http:evil.example",
            "\\\\evil.example",
        ];
        let is_away =
            |to: &str| !to.starts_with('/') || to.starts_with("//") || to.starts_with("/\\") || to.contains('\t');
        for to in away {
            let encoded: String = to.bytes().map(|b| format!("%{b:02X}")).collect();
            let asked = house.http().get(format!("{}/sign-in?to={encoded}", house.url())).header("cookie", &cookie);
            let answer = asked.send().await.expect("the server answers");
            let location =
                answer.headers().get("location").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
            assert!(answer.status().is_redirection() && !is_away(&location), "{to}: {} {location}", answer.status());
            for (path, fields) in [
                ("/sign-in", vec![("token", house.token("viewer").expect("a token")), ("to", to)]),
                ("/theme", vec![("theme", "dark"), ("to", to)]),
            ] {
                let sent =
                    house.http().post(format!("{}{path}", house.url())).header("origin", house.url()).form(&fields);
                let answer = sent.send().await.expect("the server answers");
                let location = answer.headers().get("location").and_then(|v| v.to_str().ok()).unwrap_or_default();
                assert!(answer.status() == 303 && !is_away(location), "{path} {to}: {} {location}", answer.status());
            }
        }
        // The checker itself.
        assert!(is_away("//evil.example") && is_away("https://x/") && !is_away("/services"));
        // The session is the portal's: the API does not take the cookie.
        let asked = house.http().get(format!("{}/v1/whoami", house.url())).header("cookie", &cookie);
        assert_eq!(asked.send().await.expect("the server answers").status(), 401);
        // A name that somebody else let lead here is refused.
        let asked =
            house.http().get(format!("{}/", house.url())).header("host", "evil.example").header("cookie", &cookie);
        assert_eq!(asked.send().await.expect("the server answers").status(), 403);
    });
}
