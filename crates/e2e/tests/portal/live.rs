//! An open page becomes the new one, and what its reader holds stays.

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::house::House;
use crate::run;

/// Everything that a reader holds on a page.
const HELD: &str = "(() => { const e = document.activeElement; return {
    mine: window.mine ?? null,
    focus: e.id || e.getAttribute('href'),
    typed: e.value ?? null,
    selected: e.selectionStart === undefined ? null : [e.selectionStart, e.selectionEnd],
    marked: String(getSelection()),
    open: [...document.querySelectorAll('main details')].map(d => d.open),
    scroll: scrollY,
} })()";

async fn held(browser: &Browser) -> Value {
    browser.value(HELD).await
}

/// A window that is smaller than its page, so that there is something to scroll.
async fn small_window(browser: &Browser) {
    let metrics = json!({ "width": 900, "height": 420, "deviceScaleFactor": 1, "mobile": false });
    browser.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
}

#[test]
fn a_live_page_leaves_alone_what_its_reader_holds() {
    run(async {
        let house = House::lived_in().await;
        for n in 0..12 {
            house.service(&format!("quiet-{n}"), "Only there to make the page long").await;
        }
        let browser = Browser::start().await;
        house.sign_in(&browser, "developer").await;
        small_window(&browser).await;

        // Somebody types into a field that is folded open, has marked a part of it, and has scrolled.
        browser.open(&format!("{}/services?sort=team", house.url())).await;
        browser.value("window.mine = 1").await;
        browser.click("details.keep summary").await;
        browser.fill("#view", "my-view").await;
        browser.value("document.getElementById('view').setSelectionRange(1, 4)").await;
        browser.value("window.scrollTo(0, 120)").await;
        let before = held(&browser).await;
        assert_eq!(before["focus"], json!("view"), "{before}");
        assert_eq!((&before["typed"], &before["selected"]), (&json!("my-view"), &json!([1, 4])), "{before}");
        assert_eq!((&before["open"], &before["scroll"]), (&json!([true]), &json!(120)), "{before}");
        house.service("zebra", "Came while the page was open").await;
        browser.until_text("Came while the page was open").await;
        assert_eq!(held(&browser).await, before, "a line came, and nothing else is different");

        // Somebody stands on a line that moves to another place, with text marked in its heading.
        browser.open(&format!("{}/services?sort=change", house.url())).await;
        browser.value("window.mine = 2").await;
        let first = "document.querySelector('tbody tr a[href^=\"/services/\"]').textContent";
        assert_eq!(browser.value(first).await, json!("till"), "till changed last");
        browser.value("document.querySelector('tbody a[href=\"/services/shop\"]').focus()").await;
        browser.value("getSelection().selectAllChildren(document.querySelector('h1'))").await;
        let before = held(&browser).await;
        assert_eq!((&before["focus"], &before["marked"]), (&json!("/services/shop"), &json!("Services")), "{before}");
        house.orlop(&["restart", "--service", "shop", "--env", "dev"]).await;
        browser.until("the line moves to the top", &format!("{first} === 'shop'")).await;
        let after = held(&browser).await;
        for what in ["mine", "focus", "marked", "open"] {
            assert_eq!(after[what], before[what], "{what}: {after}");
        }

        // That would be noticed: a page that is loaded anew holds none of it.
        browser.open(&browser.url().await).await;
        let anew = held(&browser).await;
        for what in ["mine", "focus", "marked"] {
            assert_ne!(anew[what], before[what], "{what}: {anew}");
        }
    });
}

#[test]
fn a_page_whose_session_has_ended_says_so_and_keeps_what_was_read() {
    run(async {
        let house = House::lived_in().await;
        let browser = Browser::start().await;
        house.sign_in(&browser, "developer").await;
        browser.open(&format!("{}/services/shop", house.url())).await;
        browser.value("window.mine = 1").await;
        // The session ends somewhere else; the page notices with the next change and says so.
        let own = house.cookie("developer").await.expect("a session");
        let page = house.http().get(format!("{}/tokens", house.url())).header("cookie", &own);
        let page = page.send().await.expect("an answer").text().await.expect("a page");
        let token = between(&page, "name=\"form-token\" value=\"", "\"");
        for id in page.split("/tokens/").skip(1).filter_map(|rest| rest.split_once("/revoke")).map(|(id, _)| id) {
            let form = [("form-token", token), ("form-key", id)];
            let end = house.http().post(format!("{}/tokens/{id}/revoke", house.url()));
            let _ = end.header("cookie", &own).header("origin", house.url()).form(&form).send().await;
        }
        house.orlop(&["restart", "--service", "shop", "--env", "dev"]).await;
        browser.until("it says that it is not live any more", "!document.querySelector('[data-pulse]').hidden").await;
        assert_eq!(browser.value("window.mine").await, json!(1), "what was read is not taken away");
    });
}

fn between<'a>(text: &'a str, before: &str, behind: &str) -> &'a str {
    let rest = text.split_once(before).map_or("", |(_, rest)| rest);
    rest.split_once(behind).map_or("", |(found, _)| found)
}
