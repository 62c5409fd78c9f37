//! Host names as they come in a request.

/// Longest host name, bytes (RFC 1035 §2.3.4 in text form).
const HOST_BYTES_MAX: usize = 253;

/// A valid `host[:port]`, the host in lower case and without its trailing dot.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Authority {
    host: [u8; HOST_BYTES_MAX],
    len: usize,
    /// 80 where none was given.
    port: u16,
}

impl Authority {
    /// Reads a `Host` value (RFC 9110 §7.2) without leniency: no user information, no percent
    /// encoding, no empty host.
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        let (host, port) = split_port(text)?;
        let port = match port {
            None | Some(b"") => 80,
            Some(digits) if digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit) => {
                std::str::from_utf8(digits).ok()?.parse().ok()?
            }
            Some(_) => return None,
        };
        let host = if host.starts_with(b"[") { host } else { host.strip_suffix(b".").unwrap_or(host) };
        let literal = host.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]"));
        let valid = match literal {
            Some(address) => std::str::from_utf8(address).ok()?.parse::<std::net::Ipv6Addr>().is_ok(),
            None => host.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_')),
        };
        if !valid || host.is_empty() || host.len() > HOST_BYTES_MAX {
            return None;
        }
        let mut lower = [0; HOST_BYTES_MAX];
        for (to, from) in lower.iter_mut().zip(host) {
            *to = from.to_ascii_lowercase();
        }
        Some(Self { host: lower, len: host.len(), port })
    }

    /// The host by which routes are looked up.
    pub(crate) fn host(&self) -> &str {
        self.host.get(..self.len).and_then(|h| std::str::from_utf8(h).ok()).unwrap_or("")
    }

    /// Whether both mean the same place.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.host() == other.host() && self.port == other.port
    }
}

fn split_port(text: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let after_literal = if text.starts_with(b"[") { text.iter().position(|b| *b == b']')?.checked_add(1)? } else { 0 };
    let (head, tail) = text.split_at_checked(after_literal)?;
    match tail.iter().position(|b| *b == b':') {
        None if head.is_empty() || tail.is_empty() => Some((text, None)),
        Some(at) if head.is_empty() || at == 0 => {
            let at = after_literal.checked_add(at)?;
            Some((text.get(..at)?, Some(text.get(at.checked_add(1)?..)?)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let read = |text: &str| Authority::read(text.as_bytes()).map(|a| (a.host().to_owned(), a.port));
        for (text, host, port) in [
            ("a", "a", 80),
            ("A.Example:8080", "a.example", 8080),
            ("a.example.", "a.example", 80),
            ("a.example.:81", "a.example", 81),
            ("a:", "a", 80),
            ("127.0.0.1:1", "127.0.0.1", 1),
            ("[::1]", "[::1]", 80),
            ("[::1]:443", "[::1]", 443),
            ("a_b", "a_b", 80),
        ] {
            assert_eq!(read(text), Some((host.to_owned(), port)), "{text}");
        }
        let long = "a".repeat(254);
        for bad in [
            "", ".", ":80", "a b", "a/b", "u@a", "a:b", "a:99999", "a:1:2", "[::1", "[::1]x", "[zz]", "a%41", "ä",
            "a,b", &long,
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
