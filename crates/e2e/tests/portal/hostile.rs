//! Texts of others: through every field that a page shows, and no script runs.

use reqwest::Method;
use serde_json::json;

use crate::browser::Browser;
use crate::house::House;
use crate::{crawl, run};

/// Texts that would run a script, leave their place, or look like something else, each with a mark.
const CORPUS: [&str; 14] = [
    "<script>window.hacked='script'</script>",
    "<img src=x onerror=\"window.hacked='img'\">",
    "\"><svg onload=\"window.hacked='svg'\">",
    "' onmouseover='window.hacked=1' autofocus onfocus='window.hacked=1",
    "</title></textarea></style></script><script>window.hacked='end'</script>",
    "<a href=\"javascript:window.hacked='link'\">click</a>",
    "[click](javascript:window.hacked='markdown')",
    "![x](x\" onerror=\"window.hacked='picture')",
    "<iframe srcdoc=\"<script>parent.hacked='frame'</script>\"></iframe>",
    "{{constructor.constructor('window.hacked=1')()}} ${window.hacked=1}",
    "&lt;script&gt;window.hacked='twice'&lt;/script&gt;",
    "<base href=//evil.example><form action=//evil.example><button>go",
    "<style>@import '//evil.example'</style><link rel=stylesheet href=//evil.example>",
    "\u{1b}[31m<b onclick=window.hacked=1>red\u{1b}[0m\u{1b}]8;;javascript:window.hacked=1\u{7}here\u{1b}]8;;\u{7} \u{202e}gpj.exe",
];

/// What is in the page that open texts would have left: scripts that ran, elements and handlers.
pub async fn traces(browser: &Browser) -> Vec<String> {
    let ask = "(() => { const all = [];
        if (window.hacked !== undefined) all.push('a script ran: ' + window.hacked);
        for (const e of document.querySelectorAll('*')) {
            for (const a of e.attributes) {
                if (/^on/i.test(a.name)) all.push('handler ' + a.name + ' on ' + e.tagName);
                if (/^(href|src|action|formaction|xlink:href)$/i.test(a.name) && /^\\s*(javascript:|\\/\\/|data:text)/i.test(a.value)) all.push(a.name + '=' + a.value);
            }
            if (/^(IFRAME|OBJECT|EMBED|BASE|STYLE)$/.test(e.tagName)) all.push('element ' + e.tagName);
            if (e.tagName === 'SCRIPT' && !e.src) all.push('a script in the page');
            if (e.tagName === 'IMG' && e.getAttribute('src') === 'x') all.push('a picture of others');
        }
        return all; })()";
    let found = browser.value(ask).await;
    found.as_array().into_iter().flatten().filter_map(|line| line.as_str().map(ToOwned::to_owned)).collect()
}

/// Puts texts into every place where one can be put by people and programs.
async fn sow(house: &House) -> usize {
    let mut sown = 0;
    let shop = house.source("shop", "procfile");
    house.service("shop", "first").await;
    for text in CORPUS {
        let line = text.replace(char::is_control, "");
        let body = json!({ "name": line.chars().filter(char::is_ascii).collect::<String>() });
        house.call(Method::POST, "/v1/tokens", body).await;
        sown += 1;
    }
    for (n, text) in CORPUS.iter().enumerate() {
        let value = json!({ "value": text, "secret": false });
        house.call(Method::PUT, &format!("/v1/services/shop/settings/TEXT_{n}"), value).await;
        let description: String = text.replace(char::is_control, "");
        house.service(&format!("hostile-{n}"), &description).await;
        sown += 2;
    }
    // The program itself says all of them, plain and as JSON; the commit has one as its message and another as its author.
    let said: String = CORPUS.iter().map(|text| format!("print({}, flush=True)\n", json!(text))).collect();
    shop.edit("web.py", "log(\"listening\"", &format!("{said}log(\"listening\"")).expect("the fixture has it");
    shop.git(&["init", "--quiet", "--initial-branch=main"]).await.and_then(e2e::Finished::done).expect("git");
    for (n, text) in CORPUS.iter().enumerate() {
        shop.write("note.txt", format!("{n}")).expect("a file");
        shop.git(&["add", "--all"]).await.and_then(e2e::Finished::done).expect("git");
        let author = format!("{} <ada@example.org>", text.replace(['<', '>', '\n', '\u{1b}', '\u{7}'], "'"));
        let commit = ["commit", "--quiet", "--message", text, "--author", &author];
        shop.git(&commit).await.and_then(e2e::Finished::done).expect("git");
        if n % 5 == 0 {
            shop.push().await.and_then(e2e::Outcome::good).expect("hostile texts do not stop a deploy");
        }
        sown += 3;
    }
    for text in CORPUS.iter().take(3) {
        let body = json!({ "environment": "dev", "restart": true, "reason": text });
        let path = "/v1/services/shop/rollouts";
        let request = house.http().post(format!("{}{path}", house.url())).bearer_auth(house.token("admin").unwrap());
        let _ = request.json(&body).send().await;
        sown += 1;
    }
    house.ask(5).await;
    sown
}

#[test]
fn no_text_of_others_acts() {
    run(async {
        let house = House::new().await;
        let sown = sow(&house).await;
        let browser = Browser::start().await;
        let cookie = house.cookie("admin").await;
        let found = crawl::crawl(house.http(), house.url(), cookie.as_deref(), crawl::UNLINKED).await;
        house.sign_in(&browser, "admin").await;
        let (mut wrong, mut pages, mut shown) = (Vec::new(), 0, 0);
        let readable = found.pages.iter().filter(|(path, (_, status))| *status == 200 && !path.starts_with("/assets/"));
        for (path, _) in readable {
            browser.console().await;
            browser.open(&format!("{}{path}", house.url())).await;
            browser.until("the page has come", "document.readyState === 'complete'").await;
            let text = browser.text().await;
            shown += usize::from(text.contains("window.hacked"));
            wrong.extend(traces(&browser).await.into_iter().map(|line| format!("{path}: {line}")));
            let refused = browser.console().await.into_iter().filter(|line| line.contains("Content Security Policy"));
            wrong.extend(refused.map(|line| format!("{path}: only the policy stopped it: {line}")));
            pages += 1;
        }
        let figures = json!({ "texts": CORPUS.len(), "fieldsSown": sown, "pagesOpened": pages, "pagesThatShowThem": shown, "faults": wrong.len() });
        e2e::evidence("portal-hostile", &figures);
        assert!(shown >= 3, "the texts are on the pages as texts: {figures}");
        assert!(wrong.is_empty(), "{} faults:\n{}", wrong.len(), wrong.join("\n"));
    });
}
