//! What of a page is the same for every sort of it: links, kinds of pages.

use std::collections::BTreeSet;

/// The addresses that a page leads to, as they stand in it.
pub fn links(html: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for part in html.split("href=\"").skip(1) {
        let Some((raw, _)) = part.split_once('"') else { continue };
        let address = raw.replace("&amp;", "&").replace("&#38;", "&").replace("&quot;", "\"").replace("&#39;", "'");
        found.insert(address);
    }
    found
}

/// A path on the page's own server, without what comes behind `#`; nothing for other places.
pub fn own(address: &str, url: &str) -> Option<String> {
    let path = address.strip_prefix(url).unwrap_or(address);
    let path = path.split('#').next().unwrap_or_default();
    (path.starts_with('/') && !path.starts_with("//")).then(|| path.to_owned())
}

/// Where every name makes a page of the same sort.
const LISTED: &[&str] = &["/help/errors/"];

/// Pages of one sort: ids and numbers are as good as each other, and so are the values of a query.
pub fn kind(path: &str) -> String {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    if let Some(list) = LISTED.iter().find(|list| path.len() > list.len() && path.starts_with(**list)) {
        return format!("{list}*?");
    }
    let part = |part: &str| {
        let is_id = part.split_once('_').is_some_and(|(prefix, id)| prefix.len() <= 4 && id.len() == 26);
        if is_id || (!part.is_empty() && part.bytes().all(|b| b.is_ascii_digit())) {
            "*".to_owned()
        } else {
            part.to_owned()
        }
    };
    let path: Vec<String> = path.split('/').map(part).collect();
    let keys: Vec<&str> =
        query.split('&').filter_map(|pair| pair.split('=').next()).filter(|key| !key.is_empty()).collect();
    format!("{}?{}", path.join("/"), keys.join("&"))
}

/// A kind of page as the name of a file.
pub fn file_name(path: &str) -> String {
    let kind = kind(path);
    let kind = kind.replace('*', "one");
    let name: String =
        kind.trim_matches(['/', '?']).chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let name = name.trim_matches('-').replace("--", "-");
    if name.is_empty() { "home".to_owned() } else { name }
}

#[test]
fn links_are_read_and_sorted_into_kinds() {
    let html = r##"<a href="/services?q=a&amp;x=1">a</a><a class="b" href="#top">b</a><link href="/assets/x.css"><a href="http://other/">"##;
    let found = links(html);
    assert_eq!(found.len(), 4);
    let own: Vec<_> = found.iter().filter_map(|link| own(link, "http://127.0.0.1:1")).collect();
    assert_eq!(own, ["/assets/x.css", "/services?q=a&x=1"]);
    assert_eq!(kind("/services/shop/rollouts/ro_01kb0000000000000000000000"), "/services/shop/rollouts/*?");
    assert_eq!(kind("/services/shop/releases/42?tab=a&b"), "/services/shop/releases/*?tab&b");
    assert_eq!(kind("/help/errors/bad-code"), "/help/errors/*?");
    assert_eq!((file_name("/"), file_name("/services/shop?x=1")), ("home".into(), "services-shop-x".into()));
    assert_eq!(file_name("/services/shop/rollouts/ro_01kb0000000000000000000000"), "services-shop-rollouts-one");
}
