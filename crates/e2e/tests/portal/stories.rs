//! What people do, in the browser.

use crate::browser::Browser;
use crate::house::House;
use crate::run;

#[test]
fn a_one_time_link_leads_in_and_signing_out_leads_out() {
    run(async {
        let house = House::new().await;
        let browser = Browser::start().await;
        let link = house.call(reqwest::Method::POST, "/v1/people/vera/sign-in", serde_json::Value::Null).await;
        let code = link["code"].as_str().expect("a code");
        browser.open(&format!("{}/services", house.url())).await;
        browser.until("who is nobody is led to the door", "location.pathname === '/sign-in'").await;
        browser.open(&format!("{}/sign-in?code={code}&to=/services", house.url())).await;
        browser.press(&["Enter"]).await;
        browser.until("the link leads where somebody wanted to go", "location.pathname === '/services'").await;
        browser.until_text("vera").await;
        // The code works once.
        let other = Browser::start().await;
        other.open(&format!("{}/sign-in?code={code}", house.url())).await;
        other.press(&["Enter"]).await;
        other.until("it is refused in words", "document.querySelector('[role=alert]') !== null").await;
        browser.click("form[action='/sign-out'] button").await;
        browser.until("signed out", "location.pathname === '/sign-in'").await;
        browser.open(&format!("{}/services", house.url())).await;
        browser.until("and it holds", "location.pathname === '/sign-in'").await;
    });
}

#[test]
fn traffic_becomes_a_picture() {
    run(async {
        let house = House::lived_in().await;
        let browser = Browser::start().await;
        house.sign_in(&browser, "viewer").await;
        browser.open(&format!("{}/services/shop/metrics?environment=dev&window=15m", house.url())).await;
        // The page is made again every few seconds, and stays the same page.
        browser.value("window.mine = 1").await;
        let drawn = "document.querySelector('svg.chart path.area.c-main') !== null";
        browser.until("requests are drawn", drawn).await;
        house.ask(40).await;
        let total = "Number([...document.querySelectorAll('.figures dd')].pop().textContent) >= 100";
        browser.until("all of them are counted", total).await;
        assert_eq!(browser.value("window.mine").await, serde_json::json!(1), "the page was not loaded anew");
        for what in ["Latency", "Failing", "Processor by instance", "Memory by instance"] {
            browser.until_text(what).await;
        }
        // Deploys are marks that lead to their rollout, and the numbers stand in a table.
        let marks =
            browser.value("document.querySelectorAll('svg.chart a.mark[href*=\"/rollouts/ro_\"]').length").await;
        assert!(marks.as_u64().is_some_and(|n| n > 0), "{marks}");
        browser.click(".picture details summary").await;
        browser
            .until(
                "the table behind a picture",
                "document.querySelector('.picture details[open] tbody tr td time') !== null",
            )
            .await;
        // The same by the API, and nobody asked where nobody asked.
        let told = house.orlop(&["metrics", "shop", "--json"]).await;
        let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
        assert!(told["environments"][0]["total"]["requests"].as_u64().is_some_and(|n| n >= 100), "{told}");
        assert_eq!(told["environments"][1]["total"]["requests"], serde_json::json!(0), "{told}");
        let line = house.orlop(&["metrics", "--all"]).await;
        assert!(line.lines().any(|line| line.starts_with("shop") && line.contains("dev")), "{line}");
    });
}

#[test]
fn everything_is_there_without_scripts() {
    run(async {
        let house = House::lived_in().await;
        let browser = Browser::start().await;
        house.sign_in(&browser, "developer").await;
        browser.scripts(false).await;
        for (path, text) in [("/", "till"), ("/services", "shop"), ("/services/shop/metrics", "Latency")] {
            browser.open(&format!("{}{path}", house.url())).await;
            assert!(browser.text().await.contains(text), "{path} lacks {text}");
        }
    });
}

#[test]
fn keys_lead_everywhere() {
    run(async {
        let house = House::lived_in().await;
        let browser = Browser::start().await;
        house.sign_in(&browser, "developer").await;
        browser.press(&["Tab"]).await;
        assert!(browser.focus().await.contains("#main"), "the first stop skips the menu: {}", browser.focus().await);
        browser.press(&["g", "s"]).await;
        browser.until("g s leads to the services", "location.pathname === '/services'").await;
        browser.press(&["j"]).await;
        assert!(browser.focus().await.contains("/services/"), "j goes to the first line: {}", browser.focus().await);
        browser.press(&["j", "k"]).await;
        browser.press(&["Enter"]).await;
        browser.until("Enter opens the line", "location.pathname.startsWith('/services/')").await;
        browser.press(&["?"]).await;
        browser.until("? tells the keys", "document.querySelector('dialog#keys[open]') !== null").await;
        browser.press(&["Escape"]).await;
        browser.until("Escape closes them", "document.querySelector('dialog#keys[open]') === null").await;
        browser.press(&["g", "h"]).await;
        browser.until("g h leads home", "location.pathname === '/'").await;
        // Every stop of the way through a page by Tab is seen: it has an outline.
        for _ in 0..25 {
            browser.press(&["Tab"]).await;
            let seen = "(() => { const e = document.activeElement; if (!e || e === document.body) return true; const s = getComputedStyle(e); return s.outlineStyle !== 'none' || s.boxShadow !== 'none' || e.matches('main') })()";
            assert_eq!(
                browser.value(seen).await,
                serde_json::json!(true),
                "no focus is seen on {}",
                browser.focus().await
            );
        }
    });
}

/// The newest rollout of the shop in an environment.
async fn newest(house: &House, environment: &str) -> (String, i64) {
    let path = format!("/v1/services/shop/rollouts?limit=1&environment={environment}");
    let page = house.call(reqwest::Method::GET, &path, serde_json::Value::Null).await;
    let one = &page["items"][0];
    (one["rollout"].as_str().expect("a rollout").to_owned(), one["number"].as_i64().expect("a number"))
}

#[test]
fn a_deploy_is_watched_promoted_and_taken_back() {
    run(async {
        let house = House::lived_in().await;
        let browser = Browser::start().await;
        house.sign_in(&browser, "developer").await;
        let page = |path: &str| format!("{}{path}", house.url());

        // A deploy, watched as it happens on the page of the service, which is never loaded anew.
        browser.open(&page("/services/shop")).await;
        browser.value("window.mine = 1").await;
        let shop = e2e::Source::at(&house.place, "shop").expect("the folder is there");
        shop.edit("web.py", "b\"fine\\n\"", "b\"better\\n\"").expect("the fixture has it");
        let push = async { shop.push().await.and_then(e2e::Outcome::good).expect("the third release works") };
        let watch = async {
            let moving =
                "/starting|shifting|verifying|draining|changing/i.test(document.querySelector('main').innerText)";
            browser.until("the page tells that something is under way", moving).await;
            browser.until_text("release 3").await;
        };
        tokio::join!(push, watch);
        assert_eq!(browser.value("window.mine").await, serde_json::json!(1), "the page became the new one in place");
        let (rollout, number) = newest(&house, "dev").await;
        assert_eq!(number, 3);
        browser.open(&page(&format!("/services/shop/rollouts/{rollout}"))).await;
        browser.until_text("succeeded").await;

        // Promotion: what differs, what would happen, and then it does.
        browser.open(&page("/environments/compare?from=dev&to=staging")).await;
        browser.click("input[name=service][value=shop]").await;
        browser.click("main form button.primary").await;
        browser.until_text("Nothing has been done yet").await;
        assert_eq!(newest(&house, "staging").await.1, 2, "looking changes nothing");
        browser.click("main form[method=post] button.primary").await;
        for _ in 0..600 {
            if newest(&house, "staging").await.1 == 3 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        let (promoted, number) = newest(&house, "staging").await;
        assert_eq!(number, 3, "the button promotes what the page showed");
        browser.open(&page(&format!("/services/shop/rollouts/{promoted}"))).await;
        browser.until_text("succeeded").await;

        // Undo: one click away, with a preview of what it will do.
        browser.open(&page(&format!("/services/shop/rollouts/{rollout}"))).await;
        browser.click("main a.button[href*='/rollouts/plan'][href*='rollback']").await;
        browser.until("a preview", "document.querySelector('main form[method=post] button') !== null").await;
        assert_eq!(newest(&house, "dev").await.0, rollout, "looking changes nothing");
        browser.click("main form[method=post] button").await;
        browser
            .until(
                "it leads to the way back",
                &format!("/rollouts\\/ro_/.test(location.pathname) && !location.pathname.endsWith('{rollout}')"),
            )
            .await;
        browser.until_text("succeeded").await;
        // The page names every state, also those ahead: what counts is who answers.
        let mut answered = String::new();
        for _ in 0..600 {
            answered = house.place.client.ask("shop-dev.localhost", "/healthz").await.expect("it answers").body;
            if answered == "fine\n" {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        assert_eq!(answered, "fine\n", "the second release answers again");
    });
}

#[test]
fn a_log_is_followed_as_it_is_written() {
    run(async {
        let house = House::lived_in().await;
        let browser = Browser::start().await;
        house.sign_in(&browser, "viewer").await;
        browser.open(&format!("{}/services/shop/logs?environment=dev", house.url())).await;
        browser.until("a log that goes on", "document.querySelector('pre.log[data-tail]') !== null").await;
        let _ = house.place.client.ask("shop-dev.localhost", "/needle-in-the-log").await;
        browser.until_text("needle-in-the-log").await;
        // The line can be pointed at: its address shows it again.
        let link = "[...document.querySelectorAll('pre.log .line')].find(l => l.textContent.includes('needle'))?.querySelector('a[href]')?.href || ''";
        let link = browser.value(link).await.as_str().unwrap_or_default().to_owned();
        assert!(!link.is_empty(), "each line has an address");
        browser.open(&link).await;
        browser.until_text("needle-in-the-log").await;
    });
}
