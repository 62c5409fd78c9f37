//! Every page as each role: what it may see, nothing that fails, no link that leads nowhere.

use std::collections::BTreeSet;

use crate::House;
use crate::browser::{Browser, Reply};

/// What nobody, `vera` (viewer of pay), `dave` (developer), `olga` (owner), `ivan` (owner of rival) and the
/// admin get from each page about `shop` of `pay`. Written by hand.
const PAGES: &[(&str, [u16; 6])] = &[
    ("/", [303, 200, 200, 200, 200, 200]),
    ("/services", [303, 200, 200, 200, 200, 200]),
    ("/services?q=sh&team=pay&health=down&kind=web&sort=change", [303, 200, 200, 200, 200, 200]),
    ("/services/shop", [303, 200, 200, 200, 404, 200]),
    ("/services/shop/releases", [303, 200, 200, 200, 404, 200]),
    ("/services/shop/logs", [303, 200, 200, 200, 404, 200]),
    ("/services/shop/settings", [303, 200, 200, 200, 404, 200]),
    ("/services/shop/access", [303, 200, 200, 200, 404, 200]),
    ("/services/shop/activity", [303, 200, 200, 200, 404, 200]),
    ("/services/shop/do/remove", [303, 200, 200, 200, 404, 200]),
    ("/services/shop/do/nonsense", [303, 404, 404, 404, 404, 404]),
    ("/services/ghost", [303, 404, 404, 404, 404, 404]),
    ("/services/NOT-A-NAME", [303, 404, 404, 404, 404, 404]),
    ("/teams", [303, 200, 200, 200, 200, 200]),
    ("/teams/pay", [303, 200, 200, 200, 404, 200]),
    ("/people", [303, 403, 403, 403, 403, 200]),
    ("/people/vera/remove", [303, 403, 403, 403, 403, 200]),
    ("/tokens", [303, 200, 200, 200, 200, 200]),
    ("/audit", [303, 403, 403, 403, 403, 200]),
    ("/audit?verify=yes", [303, 403, 403, 403, 403, 200]),
    ("/style", [303, 200, 200, 200, 200, 200]),
    ("/no/such/page", [404, 404, 404, 404, 404, 404]),
];

/// What holds for every page, whatever it says.
fn sound(path: &str, reply: &Reply) {
    let csp = reply.header("content-security-policy");
    assert!(csp.starts_with("default-src 'none'; script-src 'self'; style-src 'self'"), "{path}: {csp}");
    assert!(csp.contains("frame-ancestors 'none'") && !csp.contains("unsafe"), "{path}: {csp}");
    assert_eq!(reply.header("x-frame-options"), "DENY", "{path}");
    assert_eq!(reply.header("x-content-type-options"), "nosniff", "{path}");
    assert_eq!(reply.header("cache-control"), "no-store", "{path}");
    let text = &reply.text;
    for part in text.split('<').skip(1) {
        let tag = part.split('>').next().unwrap_or_default();
        assert!(!tag.contains(" style=") && !tag.starts_with("style"), "{path} has inline style: {tag}");
        assert!(!tag.starts_with("script") || tag.contains(" src=\"/assets/"), "{path} has an inline script: {tag}");
        assert!(!tag.contains("javascript:"), "{path}: {tag}");
        let handler = tag.split_whitespace().skip(1).find(|attribute| {
            attribute
                .strip_prefix("on")
                .is_some_and(|rest| rest.split('=').next().is_some_and(|n| n.len() > 2 && attribute.contains('=')))
        });
        assert!(handler.is_none(), "{path} has a handler in its markup: {tag}");
        if tag.starts_with("form ") && tag.contains("method=\"post\"") {
            let fields = text.split(tag).nth(1).unwrap_or_default();
            assert!(
                fields.starts_with("><input type=\"hidden\" name=\"form-token\""),
                "{path} has a form of its own: {tag}"
            );
        }
    }
}

#[tokio::test]
async fn every_page_as_each_role() {
    let house = House::new().await;
    let people = [
        house.anonymous(),
        house.person("vera").await,
        house.person("dave").await,
        house.person("olga").await,
        house.person("ivan").await,
        house.by_token(&house.token(&["read", "deploy", "operate", "configure", "manage", "admin"]).await).await,
    ];
    let mut wrong = Vec::new();
    for (path, expect) in PAGES {
        for (who, browser) in people.iter().enumerate() {
            let reply = browser.get(path).await;
            if reply.status != expect[who] {
                wrong.push(format!("{path} for {who}: want {}, got {}", expect[who], reply.status));
            }
            if reply.status == 303 {
                assert!(reply.header("location").starts_with("/sign-in"), "{path}");
            } else {
                sound(path, &reply);
            }
            assert_eq!(reply.text.contains(">People</a>"), who == 5, "the menu of {who} on {path}");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Follows every link of the portal from the home page, as each role.
#[tokio::test]
async fn no_link_leads_nowhere() {
    let house = House::new().await;
    for name in ["vera", "dave", "olga", "ivan", "admin"] {
        let browser = if name == "admin" {
            house.by_token(&house.token(&["read", "deploy", "operate", "configure", "manage", "admin"]).await).await
        } else {
            house.person(name).await
        };
        let seen = crawl(&browser).await;
        assert!(seen.len() > 10, "{name} found {seen:?}");
    }
}

async fn crawl(browser: &Browser) -> BTreeSet<String> {
    let mut seen = BTreeSet::from(["/".to_owned()]);
    let mut ahead = vec!["/".to_owned()];
    while let Some(path) = ahead.pop() {
        let reply = browser.get(&path).await;
        assert!(reply.status < 400 || reply.status == 409, "{path}: {} {}", reply.status, reply.text);
        for link in reply.text.split("href=\"/").skip(1).filter_map(|rest| rest.split('"').next()) {
            let link = format!("/{}", link.replace("&amp;", "&").replace("&#38;", "&"));
            let link = link.split('#').next().unwrap_or_default().to_owned();
            // Pages that this test cannot fill with life, and what is no page.
            if link.starts_with("/assets/") || link.starts_with("/help/errors/") || link == "/palette" {
                continue;
            }
            if seen.len() < 400 && seen.insert(link.clone()) {
                ahead.push(link);
            }
        }
    }
    seen
}

/// What is offered is allowed, and what is not allowed is not offered and says why.
#[tokio::test]
async fn nothing_is_offered_that_would_be_refused() {
    let house = House::new().await;
    let (vera, olga) = (house.person("vera").await, house.person("olga").await);
    let page = vera.get("/services/shop").await.text;
    assert!(!page.contains("href=\"/services/shop/do/remove\""));
    assert!(page.contains("You have the role viewer in pay, which does not allow to manage"), "{page}");
    assert!(olga.get("/services/shop").await.text.contains("href=\"/services/shop/do/remove\""));
    let preview = vera.get("/services/shop/do/remove").await.text;
    assert!(!preview.contains("action=\"/services/shop/do/remove\"") && preview.contains("You cannot do this"));
    let refused = vera.send("/services/shop", "/services/shop/do/remove", &[]).await;
    assert_eq!(refused.status, 403, "{}", refused.text);
    let gone = olga.sent("/services/shop/do/remove", "/services/shop/do/remove", &[]).await;
    assert!(gone.text.contains("shop is out of use.") && gone.text.contains("Bring back"), "{}", gone.text);
    let back = olga.sent("/services/shop/do/restore", "/services/shop/do/restore", &[]).await;
    assert!(back.text.contains("shop is in use again."), "{}", back.text);
}
