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
        for (path, text) in [("/", "shop"), ("/services", "till"), ("/services/shop/metrics", "Latency")] {
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
