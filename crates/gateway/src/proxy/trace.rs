use http::{HeaderMap, HeaderName, HeaderValue};

use crate::chance;

pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(super) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A new request id: 32 hex digits.
pub(super) fn request_id() -> HeaderValue {
    let mut text = [0; 32];
    let (high, low) = (chance::hex16(chance::next()), chance::hex16(chance::next()));
    for (to, from) in text.iter_mut().zip(high.iter().chain(&low)) {
        *to = *from;
    }
    HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static("none"))
}

/// The trace context for the instance: the client's where it is valid, a new one otherwise (W3C
/// Trace Context §3.2.2: an invalid one is as good as none).
pub(super) fn traceparent(headers: &HeaderMap) -> HeaderValue {
    let mut given = headers.get_all(TRACEPARENT).iter();
    match (given.next(), given.next()) {
        (Some(value), None) if is_valid(value.as_bytes()) => value.clone(),
        _ => new(),
    }
}

/// Whether the context in these headers is one to go on with.
pub(super) fn goes_on(headers: &HeaderMap, chosen: &HeaderValue) -> bool {
    headers.get(TRACEPARENT) == Some(chosen)
}

/// A trace that begins here, sampled.
fn new() -> HeaderValue {
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-01";
    // Ids of zeros only are invalid.
    let numbers = [chance::next() | 1, chance::next(), chance::next() | 1];
    for (start, number) in [3usize, 19, 36].into_iter().zip(numbers) {
        for (to, from) in text.iter_mut().skip(start).zip(chance::hex16(number)) {
            *to = from;
        }
    }
    HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static("none"))
}

/// `version "-" trace-id "-" parent-id "-" flags`, all lower-case hex (W3C Trace Context §3.2.2).
fn is_valid(value: &[u8]) -> bool {
    let field = |from: usize, len: usize| value.get(from..from.saturating_add(len)).unwrap_or(b"");
    let hex = |text: &[u8]| !text.is_empty() && text.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let zero = |text: &[u8]| text.iter().all(|b| *b == b'0');
    let dashes = [2, 35, 52].iter().all(|at| value.get(*at) == Some(&b'-'));
    let version = field(0, 2);
    let length = match value.len() {
        55 => true,
        // Versions to come may add fields after another dash.
        56.. => version != b"00" && value.get(55) == Some(&b'-') && value.len() <= 256,
        _ => false,
    };
    length
        && dashes
        && hex(version)
        && version != b"ff"
        && hex(field(3, 32))
        && !zero(field(3, 32))
        && hex(field(36, 16))
        && !zero(field(36, 16))
        && hex(field(53, 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts() {
        let (trace, span) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
        let valid = |text: String| is_valid(text.as_bytes());
        assert!(valid(format!("00-{trace}-{span}-01")));
        assert!(valid(format!("01-{trace}-{span}-01")));
        assert!(valid(format!("cc-{trace}-{span}-01-more")));
        for bad in [
            String::new(),
            format!("00-{trace}-{span}-01-more"),
            format!("cc-{trace}-{span}-01.more"),
            format!("ff-{trace}-{span}-01"),
            format!("00-{}-{span}-01", "0".repeat(32)),
            format!("00-{trace}-{}-01", "0".repeat(16)),
            format!("00-{}-{span}-01", trace.to_uppercase()),
            format!("00-{trace}-{span}-0"),
            format!("00-{trace}-{span}-0x"),
            format!("00_{trace}-{span}-01"),
            format!(" 00-{trace}-{span}-01"),
        ] {
            assert!(!valid(bad.clone()), "{bad}");
        }
        for _ in 0..100 {
            assert!(is_valid(new().as_bytes()));
        }
    }

    #[test]
    fn two_contexts_are_none() {
        let mut headers = HeaderMap::new();
        let value = HeaderValue::from_static("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        headers.append(TRACEPARENT, value.clone());
        assert_eq!(traceparent(&headers), value);
        headers.append(TRACEPARENT, value.clone());
        assert_ne!(traceparent(&headers), value);
    }
}
