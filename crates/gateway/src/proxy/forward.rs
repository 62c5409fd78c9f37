use std::fmt::Write as _;
use std::net::IpAddr;

use http::header::{self, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{HeaderMap, Request, Response, Uri, Version};

use super::{Exchange, UpBody, trace};

const FORWARDED: HeaderName = header::FORWARDED;
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
const RELEASE: HeaderName = HeaderName::from_static("orlop-release");
/// `service/environment` of the instance that asks; nobody outside can say it.
const CALLER: HeaderName = HeaderName::from_static("orlop-caller");

const TRAILERS: HeaderValue = HeaderValue::from_static("trailers");
const VIA: HeaderValue = HeaderValue::from_static("1.1 orlop");

/// Makes a client's request the one that the instance gets: origin-form target, one Host, no
/// hop-by-hop headers (RFC 9110 §7.6.1), the client told as RFC 7239 says, `Via`, trace and id.
pub(super) fn prepare(request: &mut Request<UpBody>, exchange: &Exchange, upgrade: Option<HeaderValue>) {
    let from_http2 = request.version() == Version::HTTP_2;
    let host = exchange.host.clone().unwrap_or_else(|| HeaderValue::from_static(""));
    if request.uri().authority().is_some() {
        let path = request.uri().path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        *request.uri_mut() = Uri::from(path);
    }
    *request.version_mut() = Version::HTTP_11;
    let headers = request.headers_mut();
    let takes_trailers = headers
        .get_all(header::TE)
        .iter()
        .any(|te| te.as_bytes().split(|b| *b == b',').any(|t| t.trim_ascii().eq_ignore_ascii_case(b"trailers")));
    strip_hop_by_hop(headers);
    headers.remove(header::EXPECT);
    if from_http2 {
        join_cookies(headers);
        headers.insert(header::HOST, host.clone());
    }
    say_who_asks(headers, exchange, &host);
    if !trace::goes_on(headers, &exchange.traceparent) {
        headers.remove(trace::TRACESTATE);
    }
    headers.insert(trace::TRACEPARENT, exchange.traceparent.clone());
    headers.insert(trace::REQUEST_ID, exchange.id.clone());
    headers.append(header::VIA, if from_http2 { HeaderValue::from_static("2 orlop") } else { VIA });
    if let Some(protocol) = upgrade {
        headers.insert(header::UPGRADE, protocol);
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    } else if takes_trailers {
        headers.insert(header::TE, TRAILERS);
        headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
    }
}

/// Makes an instance's answer the one that the client gets.
pub(super) fn finish_answer<B>(response: &mut Response<B>, exchange: &Exchange) {
    let is_upgrade = response.status() == http::StatusCode::SWITCHING_PROTOCOLS;
    *response.version_mut() = Version::HTTP_11;
    let headers = response.headers_mut();
    let upgrade = headers.get(header::UPGRADE).filter(|_| is_upgrade).cloned();
    strip_hop_by_hop(headers);
    if let Some(protocol) = upgrade {
        headers.insert(header::UPGRADE, protocol);
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    }
    attribute(headers, exchange);
}

/// Says which release answered and by which id the request is known.
pub(super) fn attribute(headers: &mut HeaderMap, exchange: &Exchange) {
    match &exchange.backend {
        Some(backend) => headers.insert(RELEASE, backend.release_header.clone()),
        None => headers.remove(RELEASE),
    };
    headers.insert(trace::REQUEST_ID, exchange.id.clone());
}

/// What the gate takes for a request to upgrade: it waits for what becomes of it.
pub(super) fn asks_upgrade<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    let has_body = headers.contains_key(header::TRANSFER_ENCODING)
        || headers.get(header::CONTENT_LENGTH).is_some_and(|length| length.as_bytes().iter().any(|b| *b != b'0'));
    request.version() == Version::HTTP_11
        && !has_body
        && headers.contains_key(header::UPGRADE)
        && headers
            .get_all(header::CONNECTION)
            .iter()
            .any(|c| c.as_bytes().split(|b| *b == b',').any(|o| o.trim_ascii().eq_ignore_ascii_case(b"upgrade")))
}

/// The protocol of an upgrade that is carried. Upgrades to other versions of HTTP and to TLS are
/// not: behind them requests would pass that nobody looks at.
pub(super) fn upgrade_of<B>(request: &Request<B>) -> Option<HeaderValue> {
    if !asks_upgrade(request) {
        return None;
    }
    let mut given = request.headers().get_all(header::UPGRADE).iter();
    let protocol = given.next()?;
    let is_one = given.next().is_none();
    let is_carried = protocol.as_bytes().split(|b| *b == b',').all(|token| {
        let name = token.trim_ascii().split(|b| *b == b'/').next().unwrap_or(b"");
        ![&b"h2c"[..], b"h2", b"http", b"tls", b""].iter().any(|other| name.eq_ignore_ascii_case(other))
    });
    (is_one && is_carried).then(|| protocol.clone())
}

/// Fields that may come in a trailer section (RFC 9110 §6.5.1): none that frames, routes,
/// authenticates or says how to read the content.
pub(super) fn may_trail(name: &HeaderName) -> bool {
    let refused = [
        header::TRANSFER_ENCODING,
        header::CONTENT_LENGTH,
        header::HOST,
        header::CONNECTION,
        header::UPGRADE,
        header::TE,
        header::TRAILER,
        header::EXPECT,
        header::AUTHORIZATION,
        header::COOKIE,
        header::SET_COOKIE,
        header::CONTENT_TYPE,
        header::CONTENT_ENCODING,
        header::CONTENT_RANGE,
        header::CACHE_CONTROL,
        header::LOCATION,
        FORWARDED,
        KEEP_ALIVE,
        RELEASE,
        CALLER,
        trace::REQUEST_ID,
    ];
    !refused.contains(name) && !name.as_str().starts_with("x-forwarded-")
}

fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(header::CONNECTION) {
        let named: Vec<HeaderName> = headers
            .get_all(header::CONNECTION)
            .iter()
            .flat_map(|value| value.as_bytes().split(|b| *b == b','))
            .filter_map(|option| HeaderName::from_bytes(option.trim_ascii()).ok())
            .filter(|name| !matches!(name.as_str(), "close" | "host" | "content-length"))
            .collect();
        for name in named {
            headers.remove(name);
        }
        headers.remove(header::CONNECTION);
    }
    for name in [header::TE, header::TRANSFER_ENCODING, header::UPGRADE, KEEP_ALIVE, PROXY_CONNECTION, HTTP2_SETTINGS] {
        headers.remove(name);
    }
}

/// HTTP/2 clients may split `Cookie`; HTTP/1.1 wants one (RFC 9113 §8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(header::COOKIE).iter().count() < 2 {
        return;
    }
    let parts: Vec<&[u8]> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&parts.join(&b"; "[..])) {
        headers.insert(header::COOKIE, joined);
    }
}

fn say_who_asks(headers: &mut HeaderMap, exchange: &Exchange, host: &HeaderValue) {
    let client = &exchange.client;
    match &client.caller {
        Some(caller) => headers.insert(CALLER, caller.place.clone()),
        None => headers.remove(CALLER),
    };
    if client.is_trusted {
        append(headers, &FORWARDED_FOR, client.address.clone());
        let element = element(client.peer.ip(), host, "http");
        append(headers, &FORWARDED, element);
        headers.entry(FORWARDED_PROTO).or_insert_with(|| HeaderValue::from_static("http"));
        headers.entry(FORWARDED_HOST).or_insert_with(|| host.clone());
        return;
    }
    let claimed: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().starts_with("x-forwarded-")).cloned().collect();
    for name in claimed {
        headers.remove(name);
    }
    headers.remove(REAL_IP);
    let mut known = client.forwarded.lock();
    let element = match &*known {
        Some((of, element)) if of == host => element.clone(),
        _ => {
            let element = element(client.peer.ip(), host, "http");
            *known = Some((host.clone(), element.clone()));
            element
        }
    };
    drop(known);
    headers.insert(FORWARDED, element);
    headers.insert(FORWARDED_FOR, client.address.clone());
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static("http"));
    headers.insert(FORWARDED_HOST, host.clone());
}

/// Adds an element to a list header.
fn append(headers: &mut HeaderMap, name: &HeaderName, value: HeaderValue) {
    let mut all: Vec<&[u8]> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    all.push(value.as_bytes());
    let joined = HeaderValue::from_bytes(&all.join(&b", "[..])).unwrap_or(value);
    headers.insert(name.clone(), joined);
}

/// `for=…;host=…;proto=…` (RFC 7239 §4); IPv6 addresses and hosts with a port are quoted.
fn element(ip: IpAddr, host: &HeaderValue, proto: &str) -> HeaderValue {
    let mut text = String::with_capacity(64);
    let _ = match ip.to_canonical() {
        IpAddr::V4(v4) => write!(text, "for={v4}"),
        IpAddr::V6(v6) => write!(text, "for=\"[{v6}]\""),
    };
    let host = host.to_str().unwrap_or("");
    if crate::gate::is_token(host.as_bytes()) {
        let _ = write!(text, ";host={host}");
    } else if !host.contains(['"', '\\']) {
        let _ = write!(text, ";host=\"{host}\"");
    }
    let _ = write!(text, ";proto={proto}");
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("for=unknown"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements() {
        let check = |ip: &str, host: &'static str, expect: &str| {
            assert_eq!(element(ip.parse().unwrap(), &HeaderValue::from_static(host), "http"), expect);
        };
        check("127.0.0.1", "a.b", "for=127.0.0.1;host=a.b;proto=http");
        check("::ffff:127.0.0.1", "a.b:80", "for=127.0.0.1;host=\"a.b:80\";proto=http");
        check("::1", "[::1]:80", "for=\"[::1]\";host=\"[::1]:80\";proto=http");
    }

    #[test]
    fn upgrades() {
        let check = |connection: &str, upgrade: &str, expect: bool| {
            let request = Request::builder().header("connection", connection).header("upgrade", upgrade);
            let request = request.body(()).unwrap();
            assert_eq!(upgrade_of(&request).is_some(), expect, "{connection} {upgrade}");
        };
        check("Upgrade", "websocket", true);
        check("keep-alive, Upgrade", "custom/1", true);
        check("keep-alive", "websocket", false);
        for other in ["h2c", "H2C", "HTTP/2.0", "TLS/1.2", "websocket, h2c", "h2c, websocket", "", "websocket,"] {
            check("upgrade", other, false);
        }
    }

    #[test]
    fn what_connection_names_goes() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-One"),
            ("connection", "x-two,,host"),
            ("x-one", "1"),
            ("x-two", "2"),
            ("x-three", "3"),
            ("te", "trailers"),
            ("keep-alive", "timeout=5"),
            ("host", "a"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        strip_hop_by_hop(&mut headers);
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["host", "x-three"]);
    }
}
