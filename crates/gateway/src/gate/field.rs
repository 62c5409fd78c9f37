use super::Refusal;

/// Splits a field line into name and trimmed value (RFC 9112 §5), checking every character.
pub(crate) fn split(line: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(Refusal::bad(
            "obs-fold",
            "A header line begins with white space (line folding is obsolete).",
            "RFC 9112 §5.2",
        ));
    }
    let bad_name = || {
        Refusal::bad(
            "bad-header-name",
            "A header line has no colon, or its name is empty, has a space or another character that is not allowed.",
            "RFC 9112 §5.1",
        )
    };
    let colon = memchr::memchr(b':', line).ok_or_else(bad_name)?;
    let (name, rest) = line.split_at_checked(colon).ok_or_else(bad_name)?;
    if !is_token(name) {
        return Err(bad_name());
    }
    let value = trim(rest.get(1..).unwrap_or(b""));
    if value.iter().any(|b| (*b < 0x20 && *b != b'\t') || *b == 0x7f) {
        return Err(Refusal::bad(
            "bad-header-value",
            "A header value has a control character (NUL, bare CR or the like).",
            "RFC 9110 §5.5",
        ));
    }
    Ok((name, value))
}

/// Optional white space around a value: spaces and tabs only.
pub(super) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Whether these bytes are a token (RFC 9110 §5.6.2): at least one `tchar`.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|b| TCHAR.get(usize::from(*b)).copied().unwrap_or(false))
}

/// Names that an application server which maps `-` and `_` alike would take for one that frames,
/// routes or vouches (`X_Forwarded_For`).
pub(crate) fn is_disguised(name: &[u8]) -> bool {
    if memchr::memchr(b'_', name).is_none() {
        return false;
    }
    let plain: Vec<u8> = name.iter().map(|b| if *b == b'_' { b'-' } else { b.to_ascii_lowercase() }).collect();
    plain.starts_with(b"x-forwarded-")
        || [&b"content-length"[..], b"transfer-encoding", b"x-real-ip", b"x-request-id", b"orlop-release"]
            .contains(&&*plain)
}

#[expect(clippy::indexing_slicing, reason = "computed by the compiler, which would refuse a bad index")]
const TCHAR: [bool; 256] = {
    let mut map = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        map[byte] = matches!(
            byte as u8,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        ) || (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    map
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        assert_eq!(split(b"A: b").unwrap(), (&b"A"[..], &b"b"[..]));
        assert_eq!(split(b"a:\t b c \t").unwrap(), (&b"a"[..], &b"b c"[..]));
        assert_eq!(split(b"a:").unwrap(), (&b"a"[..], &b""[..]));
        for bad in [&b"a"[..], b" a: b", b"a : b", b": b", b"a\0: b", b"a: b\0", b"a: b\rc", b"a: \x7f", b"\xc3\xa4: b"]
        {
            assert!(split(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn disguises() {
        assert!(is_disguised(b"X_Forwarded-For") && is_disguised(b"Content_Length"));
        assert!(!is_disguised(b"api_key") && !is_disguised(b"X-Forwarded-For"));
    }
}
