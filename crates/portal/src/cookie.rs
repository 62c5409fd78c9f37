//! The cookies of the portal. Their names carry the port, because browsers do not tell ports apart.

use base::Secret;
use http::header::{COOKIE, HOST};
use http::{HeaderMap, HeaderValue};

/// Longest cookie that is looked at, bytes.
const VALUE_BYTES_MAX: usize = 512;

/// One cookie of the portal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cookie {
    /// The secret of the session.
    Session,
    /// Light or dark, where the reader chose.
    Theme,
    /// What the page behind a redirect says first.
    Said,
}

impl Cookie {
    const fn word(self) -> &'static str {
        match self {
            Self::Session => "orlop-session",
            Self::Theme => "orlop-theme",
            Self::Said => "orlop-said",
        }
    }

    /// `__Host-` binds a cookie to this host and to https (RFC 6265bis §4.1.3.2).
    fn name(self, headers: &HeaderMap) -> String {
        let host = headers.get(HOST).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let port = host.rsplit_once(':').map_or("", |(_, port)| port);
        let port: String = port.chars().filter(char::is_ascii_digit).take(5).collect();
        let prefix = if is_https(headers) { "__Host-" } else { "" };
        if port.is_empty() { format!("{prefix}{}", self.word()) } else { format!("{prefix}{}-{port}", self.word()) }
    }

    /// Its value in a request.
    pub(crate) fn read(self, headers: &HeaderMap) -> Option<String> {
        let name = self.name(headers);
        let all = headers.get_all(COOKIE).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(';'));
        let mut values = all.filter_map(|one| one.trim().split_once('=')).filter(|(n, _)| *n == name).map(|(_, v)| v);
        let value = values.next().filter(|v| !v.is_empty() && v.len() <= VALUE_BYTES_MAX)?;
        // Of two that differ, one was put there by somebody else.
        values.all(|other| other == value).then(|| value.to_owned())
    }

    /// `Set-Cookie` for an answer to this request; `None` takes the cookie away.
    pub(crate) fn set(self, headers: &HeaderMap, value: Option<&str>, seconds: u64) -> Option<HeaderValue> {
        let secure = if is_https(headers) { "; Secure" } else { "" };
        let age = if value.is_some() { seconds } else { 0 };
        let text = format!(
            "{}={}; Path=/; HttpOnly; SameSite=Lax; Max-Age={age}{secure}",
            self.name(headers),
            value.unwrap_or_default()
        );
        HeaderValue::from_str(&text).ok()
    }
}

/// The secret of the session in a request.
pub(crate) fn session(headers: &HeaderMap) -> Option<Secret<String>> {
    Cookie::Session.read(headers).map(Secret::new)
}

/// Whether the browser speaks https, to whatever stands in front of this server. Whoever says so without
/// it being true only keeps their own browser from sending the cookie.
fn is_https(headers: &HeaderMap) -> bool {
    headers.get("x-forwarded-proto").is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"https"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (http::HeaderName::from_static(n), v.parse().unwrap())).collect()
    }

    fn check(cookie: &str, expect: Option<&str>) {
        let headers = headers(&[("host", "127.0.0.1:7400"), ("cookie", cookie)]);
        assert_eq!(Cookie::Session.read(&headers).as_deref(), expect, "{cookie}");
    }

    #[test]
    fn a_cookie_is_read_by_its_whole_name_and_must_not_be_doubtful() {
        check("orlop-session-7400=session_a", Some("session_a"));
        check("x=1; orlop-session-7400=session_a; y=2", Some("session_a"));
        check("orlop-session-7400=a; orlop-session-7400=a", Some("a"));
        check("orlop-session-7400=a; orlop-session-7400=b", None);
        check("orlop-session=a; orlop-session-7401=b; xorlop-session-7400=c", None);
        check("orlop-session-7400=", None);
        check(&format!("orlop-session-7400={}", "a".repeat(600)), None);
    }

    #[test]
    fn over_https_a_cookie_is_bound_to_it() {
        let plain = Cookie::Session.set(&headers(&[("host", "o.test")]), Some("v"), 9).unwrap();
        assert_eq!(plain, "orlop-session=v; Path=/; HttpOnly; SameSite=Lax; Max-Age=9");
        let tls = headers(&[("host", "o.test"), ("x-forwarded-proto", "https")]);
        let set = Cookie::Session.set(&tls, None, 9).unwrap();
        assert_eq!(set, "__Host-orlop-session=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0; Secure");
    }
}
