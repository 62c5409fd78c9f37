//! Values of others on every page that shows them: they are seen, and do nothing.

use crate::House;

/// The description of every service of these tests.
pub const DESCRIPTION: &str =
    "<script>alert('x')</script> \"><img src=x onerror=alert(1)> {{7*7}} \u{202e}gnp.exe & more";

/// None of it may stand in a page as it is.
const RAW: [&str; 4] = ["<script>alert", "<img src=x", "\u{202e}", "\"><"];

fn harmless(path: &str, text: &str) {
    let body = text.split("<main").nth(1).unwrap_or_default();
    for raw in RAW.iter().filter(|raw| **raw != "\"><") {
        assert!(!body.contains(raw), "{path} holds {raw:?} as it is:\n{body}");
    }
}

#[tokio::test]
async fn values_of_others_are_text_on_every_page() {
    let house = House::new().await;
    let olga = house.person("olga").await;
    let value = format!("{DESCRIPTION}\u{1b}[31mred\n{}", "long ".repeat(2_000));
    for secret in ["", "yes"] {
        let name = if secret.is_empty() { "PLAIN" } else { "HIDDEN" };
        let mut fields = vec![("name", name), ("environment", ""), ("value", value.as_str())];
        if !secret.is_empty() {
            fields.push(("secret", secret));
        }
        olga.sent("/services/shop/settings", "/services/shop/settings", &fields).await;
    }
    olga.sent("/tokens", "/tokens", &[("name", "<script>alert(1)</script>"), ("scope", "read")]).await;
    let pages = [
        "/",
        "/services",
        "/services?q=<script>alert(1)</script>&team=%22%3E%3Cx",
        "/services/shop",
        "/services/shop/settings",
        "/services/shop/settings/PLAIN",
        "/services/shop/settings/HIDDEN",
        "/services/shop/activity",
        "/services/shop/do/remove",
        "/services/shop/logs?q=%3Cscript%3Ealert(1)&at=x&environment=%22",
        "/teams/pay",
        "/tokens",
        "/sign-in?code=%22%3E%3Cscript%3Ealert(1)%3C/script%3E&to=//x",
    ];
    for path in pages {
        let path = path.replace('<', "%3C").replace('>', "%3E");
        let reply = olga.get(&path).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text);
        harmless(&path, &reply.text);
    }
    let shown = olga.get("/services/shop/settings/PLAIN").await.text;
    assert!(
        shown.contains("&lt;script&gt;") && shown.contains("⟨202E⟩") && shown.contains("⟨001B⟩[31mred"),
        "it is seen"
    );
}

/// A secret is in no page, no list and no history; an earlier version comes back without being shown.
#[tokio::test]
async fn secrets_are_never_shown_and_can_be_brought_back() {
    let house = House::new().await;
    let olga = house.person("olga").await;
    for value in ["first-needle", "second-needle"] {
        let fields = [("name", "KEY"), ("environment", ""), ("value", value), ("secret", "yes")];
        olga.sent("/services/shop/settings", "/services/shop/settings", &fields).await;
    }
    let fields = [("environment", ""), ("version", "2"), ("wanted", "1")];
    let back = olga.sent("/services/shop/settings/KEY", "/services/shop/settings/KEY/restore", &fields).await;
    assert!(back.text.contains("Version 1 of KEY is back, as version 3."), "{}", back.text);
    for path in ["/services/shop/settings", "/services/shop/settings/KEY", "/services/shop/activity"] {
        let text = olga.get(path).await.text;
        assert!(!text.contains("-needle"), "{path} shows a secret");
    }
    let vera = house.person("vera").await;
    let refused = vera.send("/services/shop", "/services/shop/settings/KEY/restore", &fields).await;
    assert_eq!(refused.status, 403, "{}", refused.text);
}
