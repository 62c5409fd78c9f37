use super::refusal::REFUSED_METHOD;
use super::{Refusal, is_token};

/// Longest method, bytes; longer ones are ones that nobody implements.
const METHOD_BYTES_MAX: usize = 32;

/// What the request line says, as far as the framer needs it.
pub(super) struct RequestLine<'a> {
    pub(super) http10: bool,
    pub(super) head_method: bool,
    /// The authority of an absolute-form target.
    pub(super) authority: Option<&'a [u8]>,
}

/// Reads `method SP target SP version` (RFC 9112 §3) without any leniency.
pub(super) fn read(line: &[u8], target_bytes_max: usize) -> Result<RequestLine<'_>, Refusal> {
    let malformed = || {
        Refusal::bad(
            "bad-request-line",
            "The request line is not `method target HTTP/1.1` with exactly one space between its parts.",
            "RFC 9112 §3",
        )
    };
    let mut parts = line.split(|b| *b == b' ');
    let (Some(method), Some(target), Some(version), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(malformed());
    };
    if !is_token(method) || target.is_empty() {
        return Err(malformed());
    }
    let http10 = match version {
        b"HTTP/1.1" => false,
        b"HTTP/1.0" => true,
        _ if version.len() == 8 && version.starts_with(b"HTTP/") => {
            return Err(Refusal::new(
                505,
                "http-version",
                "The request names a version of HTTP other than 1.0 and 1.1.",
                "RFC 9110 §15.6.6",
            ));
        }
        _ => return Err(malformed()),
    };
    check_method(method)?;
    if target.len() > target_bytes_max {
        return Err(too_long());
    }
    let authority = check_target(target, method == b"OPTIONS")?;
    Ok(RequestLine { http10, head_method: method == b"HEAD", authority })
}

pub(super) const fn too_long() -> Refusal {
    Refusal::new(414, "target-too-long", "The request target is longer than this gateway reads.", "RFC 9110 §15.5.15")
}

/// Methods that the gateway does not carry: `CONNECT` (no tunnels to anywhere), `TRACE` (it would
/// show what was added on the way) and its own synthetic one.
pub(crate) fn check_method(method: &[u8]) -> Result<(), Refusal> {
    let refused = method.len() > METHOD_BYTES_MAX
        || [&b"CONNECT"[..], b"TRACE", REFUSED_METHOD.as_bytes()].contains(&method)
        || method == b"PRI";
    if refused {
        return Err(Refusal::new(
            501,
            "method-not-implemented",
            "This gateway does not carry requests with this method.",
            "RFC 9110 §9.1",
        ));
    }
    Ok(())
}

/// Checks a request target (RFC 9112 §3.2): origin-form, absolute-form with `http`, or `*` for
/// `OPTIONS`. Returns the authority of an absolute-form.
pub(crate) fn check_target(target: &[u8], options: bool) -> Result<Option<&[u8]>, Refusal> {
    let bad = |detail| Refusal::bad("bad-target", detail, "RFC 9112 §3.2");
    let (authority, rest) = match target {
        b"*" if options => return Ok(None),
        [b'/', ..] => (None, target),
        _ => {
            let scheme = target.get(..7).filter(|s| s.eq_ignore_ascii_case(b"http://"));
            let Some(after) = scheme.and_then(|_| target.get(7..)) else {
                return Err(bad("The request target is neither a path nor an `http` URI."));
            };
            let end = after.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(after.len());
            let (authority, rest) = after.split_at_checked(end).unwrap_or((after, b""));
            (Some(authority), rest)
        }
    };
    let query = rest.iter().position(|b| *b == b'?').unwrap_or(rest.len());
    let (path, query) = rest.split_at_checked(query).unwrap_or((rest, b""));
    if !path.iter().chain(query).all(|b| TARGET.get(usize::from(*b)).copied().unwrap_or(false)) {
        return Err(bad("The request target has a character that must be percent-encoded."));
    }
    if path.contains(&b'\\') || !percents_are_whole(path) {
        return Err(bad("The path has a backslash or a `%` without two hexadecimal digits."));
    }
    Ok(authority)
}

fn percents_are_whole(path: &[u8]) -> bool {
    let mut rest = path;
    while let Some(at) = memchr::memchr(b'%', rest) {
        let digits = rest.get(at.saturating_add(1)..at.saturating_add(3));
        if !digits.is_some_and(|d| d.iter().all(u8::is_ascii_hexdigit)) {
            return false;
        }
        rest = rest.get(at.saturating_add(3)..).unwrap_or(b"");
    }
    true
}

/// Printable ASCII without space, `"`, `#`, `<`, `>` and backtick. RFC 3986 would also refuse
/// `[ ] ^ { | }` and the backslash there; browsers send those raw in queries.
#[expect(clippy::indexing_slicing, reason = "computed by the compiler, which would refuse a bad index")]
const TARGET: [bool; 256] = {
    let mut map = [false; 256];
    let mut byte = 0x21;
    while byte < 0x7f {
        map[byte] = !matches!(byte as u8, b'"' | b'#' | b'<' | b'>' | b'`');
        byte += 1;
    }
    map
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        for good in ["/", "/a?b=%", "/a%20b", "/?{x}|[y]", "http://h", "http://h/p", "HTTP://h?q"] {
            assert!(check_target(good.as_bytes(), false).is_ok(), "{good}");
        }
        for bad in
            ["", "a", "*", "/a b", "/%zz", "/%2", "/a\\b", "/#f", "/\u{e4}", "/<", "https://h/", "ftp://h/", "h:80"]
        {
            assert!(check_target(bad.as_bytes(), false).is_err(), "{bad}");
        }
        assert!(check_target(b"*", true).is_ok());
    }

    #[test]
    fn every_target_taken_is_one_that_hyper_reads() {
        for byte in 0..=255u8 {
            let target = [b'/', byte, b'?', byte];
            if check_target(&target, false).is_ok() {
                assert!(http::Uri::try_from(&target[..]).is_ok(), "{byte:#x}");
            }
        }
    }
}
