//! Every page is read by an accessibility checker and kept as a picture: light, dark, narrow.

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::json;

use crate::axe::Rules;
use crate::browser::{Browser, View};
use crate::house::House;
use crate::site::file_name;
use crate::{axe, crawl, run, skip};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/evidence/portal")
}

/// How much wider than the window a page is: whoever reads it would have to push it to and fro.
const OVERFLOW: &str = "document.documentElement.scrollWidth - document.documentElement.clientWidth";

/// What a look at pages came to.
#[derive(Default)]
struct Looked {
    pictures: Vec<String>,
    wrong: Vec<String>,
    /// Where the time went, milliseconds: opening pages, the checker, pictures.
    spent: [u128; 3],
}

impl Looked {
    /// One page: light, then dark, then narrow, without being loaded anew.
    async fn at(&mut self, browser: &Browser, url: &str, path: &str, script: &str) {
        let begun = Instant::now();
        browser.look(View::Light).await;
        browser.open(&format!("{url}{path}")).await;
        browser.until("the page has come", "document.readyState === 'complete'").await;
        self.spent[0] += begun.elapsed().as_millis();
        for view in View::ALL {
            browser.look(view).await;
            let begun = Instant::now();
            let found = axe::violations(browser, script, rules(view)).await;
            let at = |line: String| format!("{path} {}: {line}", view.word());
            self.wrong.extend(found.into_iter().map(at));
            let over = browser.value(OVERFLOW).await.as_i64().unwrap_or(0);
            if over > 0 {
                self.wrong.push(at(format!("{over} pixels wider than the window")));
            }
            self.spent[1] += begun.elapsed().as_millis();
            let begun = Instant::now();
            let name = format!("{}-{}", file_name(path), view.word());
            std::fs::write(folder().join(format!("{name}.png")), browser.picture().await).expect("a file");
            self.pictures.push(name);
            self.spent[2] += begun.elapsed().as_millis();
        }
    }
}

/// What the checker looks for: everything once, and again what colours and the width can change.
const fn rules(view: View) -> Rules {
    match view {
        View::Light => Rules::All,
        View::Dark => Rules::Only(&["color-contrast", "link-in-text-block"]),
        View::Narrow => Rules::Only(&["target-size", "scrollable-region-focusable"]),
    }
}

#[test]
fn every_page_is_accessible_and_fits() {
    run(async {
        let script = match axe::script().await {
            Ok(script) => script,
            Err(why) => return skip(&format!("axe-core cannot be had: {why}")),
        };
        let begun = Instant::now();
        let house = House::lived_in().await;
        let made = begun.elapsed().as_millis();
        let browser = Browser::start().await;
        let cookie = house.cookie("admin").await;
        let found = crawl::crawl(house.http(), house.url(), cookie.as_deref(), crawl::UNLINKED).await;
        let pages = found.kinds();
        let _ = std::fs::remove_dir_all(folder());
        std::fs::create_dir_all(folder()).expect("a folder can be made");
        let mut looked = Looked::default();
        let anonymous = vec!["/sign-in".to_owned(), "/no/such/page".to_owned()];
        for (role, pages) in [("anonymous", &anonymous), ("admin", &pages)] {
            house.sign_in(&browser, role).await;
            for path in pages {
                looked.at(&browser, house.url(), path, &script).await;
            }
        }
        index(&looked.pictures);
        let Looked { pictures, wrong, spent } = looked;
        e2e::evidence(
            "portal-looks",
            &json!({
                "pages": pages.len() + anonymous.len(), "pictures": pictures.len(), "faults": wrong.len(),
                "millis": { "house": made, "open": spent[0], "axe": spent[1], "pictures": spent[2], "all": begun.elapsed().as_millis() },
            }),
        );
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
