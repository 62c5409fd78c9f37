use std::borrow::Cow;
use std::time::Duration;

use base::{EnvironmentName, ServiceName};
use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};

use super::{Body, Exchange, forward};
use crate::gate::Refusal;

/// Whose fault it is that no instance's answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    Client,
    NoneRunning,
    Instance,
    Gateway,
}

impl Whose {
    const fn word(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::NoneRunning => "none-running",
            Self::Instance => "instance",
            Self::Gateway => "gateway",
        }
    }

    /// For people who see the page.
    const fn says(self) -> &'static str {
        match self {
            Self::Client => "The request itself is at fault.",
            Self::NoneRunning => "The address is right, but nothing runs behind it.",
            Self::Instance => "The service is at fault; the gateway in front of it works.",
            Self::Gateway => "The gateway is at fault, not the service behind it.",
        }
    }
}

/// An answer of the gateway itself, because no instance's answer can be given.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    whose: Whose,
    title: &'static str,
    detail: Cow<'static, str>,
    hint: &'static str,
    /// The connection is of no more use.
    closes: bool,
}

impl Fault {
    const fn new(
        status: StatusCode,
        code: &'static str,
        whose: Whose,
        title: &'static str,
        detail: Cow<'static, str>,
        hint: &'static str,
    ) -> Self {
        Self { status, code, whose, title, detail, hint, closes: false }
    }

    const fn instance(status: StatusCode, code: &'static str, title: &'static str, detail: &'static str) -> Self {
        let hint = "Look at the service's log around this time; the request id is in the response.";
        Self::new(status, code, Whose::Instance, title, Cow::Borrowed(detail), hint)
    }

    const fn client(status: StatusCode, code: &'static str, title: &'static str, detail: &'static str) -> Self {
        Self::new(status, code, Whose::Client, title, Cow::Borrowed(detail), "Correct the request and send it again.")
    }

    /// Whether it counts as a fault of the gateway or of the way to the instance.
    pub(super) fn is_gateways(&self) -> bool {
        matches!(self.whose, Whose::Instance | Whose::Gateway)
    }

    pub(super) fn unknown_host(host: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "unknown-host",
            Whose::Client,
            "No service here",
            Cow::Owned(format!("No service answers at {host}.")),
            "Check the address. A service gets its address with its first successful rollout.",
        )
    }

    pub(super) fn nothing_runs(service: &ServiceName, environment: &EnvironmentName) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "nothing-runs",
            Whose::NoneRunning,
            "Nothing runs here",
            Cow::Owned(format!("The service {service} has no running instance in {environment}.")),
            "Look at the service's rollouts: the last one says why nothing runs.",
        )
    }

    /// An instance may ask for what its service declares and nothing else.
    pub(super) fn not_declared(host: &str, service: &ServiceName, environment: &EnvironmentName) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "host-not-declared",
            Whose::Client,
            "Not declared",
            Cow::Owned(format!("The service {service} in {environment} does not name {host} among its needs.")),
            "Name the service under `needs` in orlop.yaml and use the address that it gives.",
        )
    }

    pub(super) const fn busy() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "gateway-busy",
            Whose::Gateway,
            "Too much at once",
            Cow::Borrowed("The gateway has as many requests under way as it takes."),
            "Try again in a few seconds.",
        )
    }

    pub(super) const fn unreachable() -> Self {
        let detail = "The instance that should answer does not accept connections.";
        Self::instance(StatusCode::BAD_GATEWAY, "instance-unreachable", "The service cannot be reached", detail)
    }

    pub(super) const fn hung_up() -> Self {
        let detail = "The instance closed the connection without an answer.";
        Self::instance(StatusCode::BAD_GATEWAY, "instance-hung-up", "The service gave no answer", detail)
    }

    pub(super) const fn bad_answer() -> Self {
        let detail = "The instance's answer is not valid HTTP.";
        Self::instance(StatusCode::BAD_GATEWAY, "instance-bad-answer", "The service's answer is broken", detail)
    }

    pub(super) fn too_slow(after: Duration) -> Self {
        let mut fault = Self::instance(StatusCode::GATEWAY_TIMEOUT, "instance-too-slow", "The service is too slow", "");
        fault.detail = Cow::Owned(format!("The instance gave no answer within {} ms.", after.as_millis()));
        fault
    }

    pub(super) const fn upload_timeout() -> Self {
        let detail = "The request's body stopped coming.";
        Self::client(StatusCode::REQUEST_TIMEOUT, "body-timeout", "The request is too slow", detail)
    }

    pub(super) const fn upload_cut() -> Self {
        let detail = "The request's body did not come to its end.";
        Self::client(StatusCode::BAD_REQUEST, "body-cut", "The request is not whole", detail)
    }

    pub(super) const fn bad_host() -> Self {
        Self::client(StatusCode::BAD_REQUEST, "bad-host", "The request has no host", "The host cannot be read.")
    }

    pub(super) fn refused(refusal: &Refusal) -> Self {
        let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
        let mut fault = Self::client(status, refusal.code, "The request was refused", "");
        fault.detail = Cow::Owned(format!("{} ({})", refusal.detail, refusal.rule));
        fault.closes = true;
        fault
    }

    /// A refusal of the gate that left no reason behind.
    pub(super) const fn lost_refusal() -> Self {
        Self::client(StatusCode::BAD_REQUEST, "refused", "The request was refused", "The request is not valid HTTP.")
    }
}

/// The answer: a small page where the client prefers HTML, RFC 9457 JSON otherwise.
pub(super) fn response(exchange: Box<Exchange>, fault: &Fault, accept: Option<&HeaderValue>) -> Response<Body> {
    let html = accept.is_some_and(prefers_html);
    let id = exchange.id.to_str().unwrap_or("");
    let (text, kind) = if html {
        (page(fault, id), "text/html; charset=utf-8")
    } else {
        (problem(fault, id), "application/problem+json")
    };
    let is_http1 = exchange.version != http::Version::HTTP_2;
    let is_head = exchange.method == Method::HEAD;
    let mut response = Response::new(());
    *response.status_mut() = fault.status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(text.len()));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if fault.closes && is_http1 {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if html {
        let policy = "default-src 'none'; style-src 'unsafe-inline'";
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    }
    if matches!(fault.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
    forward::attribute(headers, &exchange);
    let text = if is_head { Bytes::new() } else { Bytes::from(text) };
    response.map(|()| Body::page(text, Some(exchange)))
}

/// Whether `text/html` is named before any JSON (browsers name it first).
fn prefers_html(accept: &HeaderValue) -> bool {
    let accept = accept.to_str().unwrap_or("").to_ascii_lowercase();
    let html = accept.find("text/html");
    let json = accept.find("json");
    html.is_some_and(|h| json.is_none_or(|j| h < j))
}

fn problem(fault: &Fault, id: &str) -> String {
    let mut body = serde_json::json!({
        "type": format!("urn:orlop:problem:{}", fault.code),
        "title": fault.title,
        "status": fault.status.as_u16(),
        "detail": fault.detail,
        "code": fault.code,
        "hint": fault.hint,
        "fault": fault.whose.word(),
        "requestId": id,
    })
    .to_string();
    body.push('\n');
    body
}

fn page(fault: &Fault, id: &str) -> String {
    let status = fault.status.as_u16();
    let (title, says, hint) = (fault.title, fault.whose.says(), fault.hint);
    let detail = escape(&fault.detail);
    let (code, word) = (fault.code, fault.whose.word());
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{status} {title}</title>\n\
         <style>\n:root{{color-scheme:light dark}}\n\
         body{{font:16px/1.5 system-ui,sans-serif;max-width:36rem;margin:15vh auto 0;padding:0 1.5rem}}\n\
         h1{{font-size:1.5rem;margin:0 0 .5rem}}p{{margin:.25rem 0}}\n\
         footer{{margin-top:2rem;font:13px ui-monospace,monospace;opacity:.7}}\n</style>\n\
         <main>\n<h1>{title}</h1>\n<p>{detail}</p>\n<p>{says}</p>\n<p>{hint}</p>\n</main>\n\
         <footer>{status} {code} &middot; fault: {word} &middot; request {id}</footer>\n</html>\n"
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_get_html_and_programs_json() {
        for (accept, html) in [
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", true),
            ("TEXT/HTML", true),
            ("*/*", false),
            ("application/json", false),
            ("application/json, text/html", false),
        ] {
            assert_eq!(prefers_html(&HeaderValue::from_static(accept)), html, "{accept}");
        }
    }

    #[test]
    fn pages_do_not_carry_markup_from_outside() {
        let page = page(&Fault::unknown_host("<script>alert(1)</script>"), "id");
        assert!(!page.contains("<script>") && page.contains("&lt;script&gt;"));
    }
}
