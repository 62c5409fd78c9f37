//! Lists that are looked through: views of one's own, and the log as far back as it is kept.

use serde_json::json;

use crate::browser::Browser;
use crate::house::House;
use crate::run;

#[test]
fn a_view_is_kept_found_again_and_forgotten() {
    run(async {
        let house = House::lived_in().await;
        let browser = Browser::start().await;
        house.sign_in(&browser, "admin").await;
        // Without scripts, as everything.
        browser.scripts(false).await;
        browser.open(&format!("{}/services?health=down&sort=change", house.url())).await;
        browser.click("details.keep summary").await;
        browser.fill("#view", "Pay: down!").await;
        browser.click("details.keep form button").await;
        browser.until_text("Kept as pay-down").await;
        // It stands above the list, is marked where it is shown, and leads back.
        browser.open(&format!("{}/services", house.url())).await;
        browser.click("nav[aria-label='Your views'] a").await;
        let text = browser.text().await;
        assert!(text.contains("till") && !text.contains("Sells things"), "{text}");
        assert!(browser.url().await.ends_with("/services?health=down&sort=change"), "{}", browser.url().await);
        let marked = "document.querySelector('nav[aria-label=\"Your views\"] a[aria-current]')?.textContent";
        assert_eq!(browser.value(marked).await, json!("pay-down"));
        // The CLI has the same, and uses it.
        let listed = house.orlop(&["view", "list"]).await;
        assert!(listed.contains("pay-down") && listed.contains("health down"), "{listed}");
        let shown = house.orlop(&["status", "--view", "pay-down"]).await;
        assert!(shown.contains("till") && !shown.contains("shop"), "{shown}");
        house.orlop(&["view", "save", "all-of-pay", "--team", "pay"]).await;
        browser.open(&format!("{}/services?health=down&sort=change", house.url())).await;
        assert!(browser.text().await.contains("all-of-pay"));
        browser.click("div.keep form button").await;
        browser.until_text("The view pay-down is forgotten.").await;
        assert!(!house.orlop(&["view", "list"]).await.contains("pay-down"));
        // They are of one person.
        house.sign_in(&browser, "owner").await;
        browser.open(&format!("{}/services", house.url())).await;
        assert!(!browser.text().await.contains("all-of-pay"));
    });
}

#[test]
fn a_log_is_searched_as_far_back_as_it_is_kept() {
    run(async {
        let house = House::lived_in().await;
        let browser = Browser::start().await;
        house.sign_in(&browser, "viewer").await;
        let needle = "/needle-in-the-log";
        let _ = house.place.client.ask("shop-dev.localhost", needle).await;
        house.ask(60).await;
        let logs = format!("{}/services/shop/logs?environment=dev", house.url());
        // What is searched for, with what stands around it, and nothing of the rest.
        browser.open(&format!("{logs}&q=NEEDLE-in&context=2&stream=out")).await;
        browser.until_text("needle-in-the-log").await;
        let count = "[document.querySelectorAll('pre.log .line:not(.beside) mark').length, document.querySelectorAll('pre.log .line.beside').length]";
        assert_eq!(browser.value(count).await, json!([1, 4]), "one line, and two on each side");
        browser.until_text("1 found in").await;
        browser.until_text("all that is kept").await;
        // Its address shows it again, in the middle of everything that was said then.
        let link = "[...document.querySelectorAll('pre.log .line')].find(l => l.textContent.includes('needle')).querySelector('a').href";
        let link = browser.value(link).await.as_str().expect("an address").to_owned();
        browser.open(&link).await;
        let middle = "(() => { const all = [...document.querySelectorAll('pre.log .line')]; const at = all.findIndex(l => l.classList.contains('found')); return [all[at]?.textContent.includes('needle') ?? false, at > 2, all.length - at > 2] })()";
        assert_eq!(browser.value(middle).await, json!([true, true, true]));
        // Lines that are not shown are a step further back, none of them twice and none left out.
        let mut seen = Vec::new();
        browser.open(&format!("{logs}&lines=50&q=request")).await;
        loop {
            let ids = "[...document.querySelectorAll('pre.log .line[id]')].map(l => l.id)";
            let ids: Vec<String> = serde_json::from_value(browser.value(ids).await).expect("ids");
            seen.extend(ids);
            if browser.value("document.querySelector('p.more a') === null").await == json!(true) {
                break;
            }
            browser.click("p.more a").await;
            browser.until("the next part", "document.readyState === 'complete'").await;
        }
        let all = seen.len();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), all, "no line comes twice");
        assert!(all > 100, "{all} lines: 121 visitors asked");
        // The same by the command line.
        let found =
            house.orlop(&["logs", "--service", "shop", "--env", "dev", "--search", "needle", "--context", "1"]).await;
        assert_eq!(found.lines().count(), 3, "{found}");
        assert!(found.contains(needle), "{found}");
    });
}
