//! What holds for every page: who may send it something, and what a browser may do with it.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use base::Problem;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, ORIGIN, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue};

use crate::fault::Fault;
use crate::site::Site;

/// Nothing from elsewhere, nothing inline, in nobody's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// What every page carries.
pub(crate) async fn harden(request: Request, next: Next) -> Response {
    hardened(next.run(request).await)
}

pub(crate) fn hardened(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // `no-referrer` would take the `Origin` from the forms, by which they are known to be ours.
        (REFERRER_POLICY, "same-origin"),
        (http::HeaderName::from_static("x-frame-options"), "DENY"),
        (http::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (http::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Refuses what changes something and was not sent by a page of this very address (Fetch metadata,
/// W3C; `Origin`, RFC 6454 §7). Forms carry a token of the session besides.
pub(crate) async fn same_origin(request: Request, next: Next) -> Response {
    if request.method().is_safe() || is_ours(request.headers()) {
        return next.run(request).await;
    }
    Fault(
        Problem::forbidden("cross-site-request", "this was not sent by a page of the portal")
            .hint("open the page yourself and do it there; programs use the API: /openapi.json"),
    )
    .into_response()
}

fn is_ours(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|v| v.to_str().unwrap_or("unreadable"));
    if let Some(site) = text("sec-fetch-site")
        && !["same-origin", "none"].contains(&site)
    {
        return false;
    }
    match (text(ORIGIN.as_str()), text(HOST.as_str())) {
        (Some(origin), Some(host)) => origin.split_once("://").is_some_and(|(_, from)| from == host),
        // A browser that tells where a request comes from told it above.
        (None, _) => text("sec-fetch-site").is_some(),
        (Some(_), None) => false,
    }
}

/// Refuses names that are not the platform's: another site could let its own name lead here (DNS rebinding).
pub(crate) async fn known_host(State(site): State<Site>, request: Request, next: Next) -> Response {
    let host = request.headers().get(HOST).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if is_known(host, site.hosts()) {
        return next.run(request).await;
    }
    let name: String = name_of(host).chars().filter(|c| c.is_ascii_graphic() && *c != '"').take(253).collect();
    let problem = Problem::forbidden("unknown-host", format!("the portal does not answer under the name `{name}`"))
        .hint(format!("open it by its address, or allow the name in orlop.toml: hosts = [\"{name}\"]"));
    Fault(problem).into_response()
}

fn name_of(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    }
}

fn is_known(host: &str, hosts: &[String]) -> bool {
    let name = name_of(host);
    name.parse::<std::net::IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || hosts.iter().any(|known| known.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pairs: &[(&'static str, &str)], expect: bool) {
        let headers = pairs.iter().map(|(n, v)| (http::HeaderName::from_static(n), v.parse().unwrap())).collect();
        assert_eq!(is_ours(&headers), expect, "{pairs:?}");
    }

    #[test]
    fn only_our_own_pages_may_change_something() {
        let host = ("host", "127.0.0.1:7400");
        check(&[host, ("origin", "http://127.0.0.1:7400")], true);
        check(&[host, ("sec-fetch-site", "same-origin")], true);
        check(&[host, ("sec-fetch-site", "same-origin"), ("origin", "http://127.0.0.1:7400")], true);
        check(&[host], false);
        check(&[host, ("origin", "null")], false);
        check(&[host, ("origin", "http://127.0.0.1:7401")], false);
        check(&[host, ("origin", "http://127.0.0.1:7400.evil.test")], false);
        check(&[host, ("sec-fetch-site", "same-site"), ("origin", "http://127.0.0.1:7400")], false);
        check(&[host, ("sec-fetch-site", "cross-site")], false);
        check(&[host, ("sec-fetch-site", "same-origin"), ("origin", "http://evil.test")], false);
        check(&[("origin", "http://127.0.0.1:7400")], false);
    }

    #[test]
    fn foreign_names_are_refused() {
        let known = ["orlop.example.com".to_owned()];
        for host in ["127.0.0.1:7400", "[::1]:7400", "localhost:7400", "orlop.example.com", "Orlop.Example.com:443"] {
            assert!(is_known(host, &known), "{host}");
        }
        for host in ["", "evil.test", "evil.test:7400", "127.0.0.1.evil.test", "example.com", "orlop.example.com.evil"]
        {
            assert!(!is_known(host, &known), "{host}");
        }
    }
}
