//! Every page is read by an accessibility checker and kept as a picture: light, dark, narrow.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::browser::{Browser, View};
use crate::house::House;
use crate::site::file_name;
use crate::{axe, crawl, run, skip};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/evidence/portal")
}

/// How much wider than the window a page is: whoever reads it would have to push it to and fro.
const OVERFLOW: &str = "document.documentElement.scrollWidth - document.documentElement.clientWidth";

#[test]
#[ignore = "has not been seen to end over all pages yet: run it with `--run-ignored all` and mend what it tells"]
fn every_page_is_accessible_and_fits() {
    run(async {
        let script = match axe::script().await {
            Ok(script) => script,
            Err(why) => return skip(&format!("axe-core cannot be had: {why}")),
        };
        let house = House::lived_in().await;
        let browser = Browser::start().await;
        let cookie = house.cookie("admin").await;
        let found = crawl::crawl(house.http(), house.url(), cookie.as_deref(), crawl::UNLINKED).await;
        let pages = found.kinds();
        let _ = std::fs::remove_dir_all(folder());
        std::fs::create_dir_all(folder()).expect("a folder can be made");
        let (mut wrong, mut looked) = (Vec::new(), 0);
        let mut names = Vec::new();
        for (role, pages) in [("anonymous", vec!["/sign-in".to_owned(), "/no/such/page".to_owned()]), ("admin", pages)]
        {
            house.sign_in(&browser, role).await;
            for view in View::ALL {
                browser.look(view).await;
                for path in &pages {
                    browser.open(&format!("{}{path}", house.url())).await;
                    browser.until("the page has come", "document.readyState === 'complete'").await;
                    let name = format!("{}-{}", file_name(path), view.word());
                    std::fs::write(folder().join(format!("{name}.png")), browser.picture().await).expect("a file");
                    names.push(name);
                    let at = |line: String| format!("{path} {}: {line}", view.word());
                    wrong.extend(axe::violations(&browser, &script).await.into_iter().map(at));
                    let over = browser.value(OVERFLOW).await.as_i64().unwrap_or(0);
                    if over > 0 {
                        wrong.push(at(format!("{over} pixels wider than the window")));
                    }
                    looked += 1;
                }
            }
            browser.look(View::Light).await;
        }
        index(&names);
        e2e::evidence("portal-looks", &json!({ "pagesLookedAt": looked, "faults": wrong.len() }));
        assert!(wrong.is_empty(), "{} faults:\n{}", wrong.len(), wrong.join("\n"));
    });
}

/// All pictures on one page, for people.
fn index(names: &[String]) {
    let picture = |name: &String| {
        format!(
            "<figure><figcaption>{name}</figcaption><img src=\"{name}.png\" width=\"480\" alt=\"{name}\"></figure>\n"
        )
    };
    let all: String = names.iter().map(picture).collect();
    let page = format!(
        "<!doctype html><title>The portal</title><style>body{{display:flex;flex-wrap:wrap;gap:24px}}</style>\n{all}"
    );
    std::fs::write(folder().join("index.html"), page).expect("a file");
}
