//! The checkers are tried on pages with faults: each must be found.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::axe::Rules;
use crate::browser::Browser;
use crate::{axe, crawl, hostile, run, skip};

/// Serves one page with a fault in it, and pages behind its links.
async fn bad_site() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = vec![0u8; 8192];
                let n = stream.read(&mut request).await.unwrap_or(0);
                let text = String::from_utf8_lossy(&request[..n]).into_owned();
                let path = text.split(' ').nth(1).unwrap_or("/").to_owned();
                let (status, body) = page(&path);
                let answer = format!(
                    "HTTP/1.1 {status}\r\ncontent-type: text/html\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    address
}

fn page(path: &str) -> (&'static str, &'static str) {
    match path {
        "/" => (
            "200 OK",
            "<!doctype html><html lang=en><title>t</title><a href=\"/gone\">a</a><a href=\"/breaks\">b</a><a href=\"/loud\">c</a><a href=\"/debug\">d</a></html>",
        ),
        "/loud" => (
            "200 OK",
            "<!doctype html><html lang=en><title>t</title><script>console.error('loud'); nothing.here()</script></html>",
        ),
        "/debug" => ("200 OK", "<!doctype html><html lang=en><title>t</title><p>Some(\"value\")</p></html>"),
        "/blind" => (
            "200 OK",
            "<!doctype html><html lang=en><title>t</title><main><h1>x</h1><img src=\"data:,\"><button></button><p style=\"color:#ccc;background:#fff\">faint</p><input></main></html>",
        ),
        "/open" => (
            "200 OK",
            "<!doctype html><html lang=en><title>t</title><p id=x></p><script>document.getElementById('x').innerHTML = '<img src=x onerror=\"window.hacked=1\">'</script></html>",
        ),
        "/breaks" => ("500 Internal Server Error", "broken"),
        _ => ("404 Not Found", "nothing"),
    }
}

#[test]
fn the_crawl_finds_dead_links_errors_and_loud_pages() {
    run(async {
        let url = format!("http://{}", bad_site().await);
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let found = crawl::crawl(&http, &url, None, &[]).await;
        for fault in ["/gone, linked from /: 404", "/breaks, linked from /: 500", "/debug shows `Some(`"] {
            assert!(found.wrong.iter().any(|line| line.contains(fault)), "{fault} was not found: {:?}", found.wrong);
        }
        let browser = Browser::start().await;
        let said = crawl::console(&browser, &url, &["/loud".to_owned(), "/".to_owned()]).await;
        assert!(said.iter().any(|line| line.contains("loud")), "{said:?}");
        assert!(said.iter().any(|line| line.contains("nothing is not defined")), "{said:?}");
        browser.open(&format!("{url}/open")).await;
        browser.until("the script ran", "window.hacked").await;
        assert!(!hostile::traces(&browser).await.is_empty(), "a script that ran leaves a trace");
    });
}

#[test]
fn axe_finds_what_is_planted() {
    run(async {
        let script = match axe::script().await {
            Ok(script) => script,
            Err(why) => return skip(&format!("axe-core cannot be had: {why}")),
        };
        let browser = Browser::start().await;
        browser.open(&format!("http://{}/blind", bad_site().await)).await;
        let found = axe::violations(&browser, &script, Rules::All).await;
        for rule in ["image-alt", "button-name", "color-contrast", "label"] {
            assert!(found.iter().any(|line| line.starts_with(rule)), "{rule} was not found: {found:#?}");
        }
    });
}
