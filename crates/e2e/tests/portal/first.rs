//! The first use: from an empty installation to a service that answers, without leaving the page.

use std::fs;

use reqwest::Method;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::house::House;
use crate::run;

/// Signs in with the link that a platform admin makes, as a person who has never been here.
async fn by_link(house: &House, browser: &Browser, person: &str) {
    let link = house.call(Method::POST, &format!("/v1/people/{person}/sign-in"), Value::Null).await;
    let code = link["code"].as_str().expect("a code");
    browser.open(&format!("{}/sign-in?code={code}", house.url())).await;
    browser.press(&["Enter"]).await;
    browser.until("somebody is signed in", "document.querySelector('header.side') !== null").await;
}

/// Names the service, and presses a button of the page where everything begins.
async fn begin(browser: &Browser, service: &str, button: &str) {
    browser.value("document.getElementById('service').value = ''").await;
    browser.fill("#service", service).await;
    browser.click(button).await;
    let path = format!("location.pathname === '/start/{service}'");
    browser.until("what becomes of it is followed", &path).await;
    browser.value("window.mine = 1").await;
}

/// Waits until the page, which is never loaded anew, shows the address, and asks there.
async fn it_answers(house: &House, browser: &Browser, service: &str) {
    browser.until_text("It runs, and answers").await;
    assert_eq!(browser.value("window.mine").await, json!(1), "the page became the new one in place");
    let shown = browser.value("document.querySelector('.notice.good a').href").await;
    let host = format!("{service}-dev.localhost");
    assert!(shown.as_str().is_some_and(|url| url.contains(&host)), "{shown}");
    let answer = house.place.client.ask(&host, "/").await.expect("it answers");
    assert_eq!(answer.status, 200, "{}", answer.body);
}

#[test]
fn an_empty_installation_leads_to_services_of_ones_own() {
    run(async {
        if e2e::missing(&["python3", "git"]).is_some() {
            return crate::skip("python3 or git is not on the path");
        }
        let house = House::new().await;
        let browser = Browser::start().await;
        by_link(&house, &browser, "olga").await;
        let leads = "document.querySelector('main a[href^=\"/start\"]') !== null";
        browser.until("an empty installation leads to the beginning", leads).await;

        // From a template, without a terminal.
        browser.click("main a[href^='/start']").await;
        browser.click("input[name=template][value='python-web']").await;
        begin(&browser, "hello", "main form[action='/start'] button.primary").await;
        it_answers(&house, &browser, "hello").await;

        // One's own code, with what the page says, word for word.
        browser.open(&format!("{}/start", house.url())).await;
        begin(&browser, "own", "main form[action='/start'] button[formaction='/start/push']").await;
        let told = browser.value("document.querySelector('section.push pre').innerText").await;
        let told = told.as_str().expect("instructions").to_owned();
        let folder = house.place.path("own-code");
        fs::create_dir_all(&folder).expect("a folder");
        let fixture = e2e::fixture("procfile");
        for file in
            fs::read_dir(fixture).expect("a fixture").filter_map(Result::ok).filter(|file| file.path().is_file())
        {
            fs::copy(file.path(), folder.join(file.file_name())).expect("a file");
        }
        let words = ["-e", "-c", told.as_str()];
        let carried_out = house.place.program(&folder, "sh", &words);
        let watched = async {
            let busy = "document.querySelector('.steps li.busy b')?.textContent !== 'source'";
            browser.until("the page goes on by itself once something was pushed", busy).await;
        };
        let (done, ()) = tokio::join!(carried_out, watched);
        done.and_then(e2e::Finished::done).expect("git carries out what the page says");
        it_answers(&house, &browser, "own").await;
        let still = browser.value("document.querySelector('section.push pre').innerText").await;
        assert_eq!(still, json!(told), "the token was not taken away while it was needed");

        // The token is for this service alone, and a reload does not show it again.
        let secret = told.split(['/', ':', '@', ' ']).find(|part| part.len() > 30).expect("a token").to_owned();
        let other = house.as_token(&secret, Method::GET, "/v1/services/hello").await;
        assert_eq!(other, 404, "another service is as if it did not exist");
        assert_eq!(house.as_token(&secret, Method::GET, "/v1/services/own").await, 200);
        browser.open(&browser.url().await).await;
        browser.until_text("It runs, and answers").await;
        assert!(!browser.text().await.contains(&secret), "it was shown once");
    });
}
