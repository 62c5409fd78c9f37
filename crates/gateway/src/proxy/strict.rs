use http::{Request, header};

use crate::Limits;
use crate::gate::{Refusal, check_method, check_target};
use crate::host::Authority;

/// The gate for HTTP/2, where framing is h2's work and the head comes as fields (RFC 9113 §8.3).
pub(super) fn check<B>(request: &Request<B>, limits: &Limits) -> Result<(), Refusal> {
    check_method(request.method().as_str().as_bytes())?;
    let target = request.uri().path_and_query().map_or("", |p| p.as_str());
    if target.len() > limits.target_bytes {
        let detail = "The request target is longer than this gateway reads.";
        return Err(Refusal::new(414, "target-too-long", detail, "RFC 9110 §15.5.15"));
    }
    check_target(target.as_bytes(), request.method() == http::Method::OPTIONS)?;
    let headers = request.headers();
    if headers.len() > limits.fields {
        return Err(Refusal::new(431, "too-many-headers", "The request has too many headers.", "RFC 6585 §5"));
    }
    check_host(request)?;
    if headers.get_all(header::CONTENT_LENGTH).iter().count() > 1 {
        return Err(Refusal::bad("bad-length", "The request has Content-Length twice.", "RFC 9112 §6.3"));
    }
    if headers.get_all(header::TE).iter().any(|te| !te.as_bytes().eq_ignore_ascii_case(b"trailers")) {
        return Err(Refusal::bad("bad-te", "TE has a value other than `trailers`.", "RFC 9113 §8.2.2"));
    }
    if headers.get(header::EXPECT).is_some_and(|e| !e.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        let detail = "The request expects something other than `100-continue`.";
        return Err(Refusal::new(417, "expectation", detail, "RFC 9110 §10.1.1"));
    }
    if headers.keys().any(|name| crate::gate::is_disguised(name.as_str().as_bytes())) {
        let detail = "A header name has an underscore where the real one has a hyphen.";
        return Err(Refusal::bad("disguised-header", detail, "RFC 9110 §17.10"));
    }
    Ok(())
}

/// Exactly one host: `:authority`, or `Host`, or both the same (RFC 9113 §8.3.1).
fn check_host<B>(request: &Request<B>) -> Result<(), Refusal> {
    let bad = |detail| Refusal::bad("bad-host", detail, "RFC 9113 §8.3.1");
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (first, second) = (hosts.next(), hosts.next());
    if second.is_some() {
        return Err(bad("The request has more than one Host."));
    }
    let read = |text: &[u8]| Authority::read(text).ok_or_else(|| bad("The host is not a host name and port."));
    let named = first.map(|host| read(host.as_bytes())).transpose()?;
    let target = request.uri().authority().map(|a| read(a.as_str().as_bytes())).transpose()?;
    match (named, target) {
        (None, None) => Err(bad("The request has no host.")),
        (Some(named), Some(target)) if !named.is_same(&target) => {
            Err(bad("The request's `:authority` and Host name different hosts."))
        }
        _ => Ok(()),
    }
}
