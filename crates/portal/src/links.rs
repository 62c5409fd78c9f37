//! The addresses of the portal's own pages.

/// A path of this server, or `/`: never another place, whatever somebody put into a link. A browser
/// reads `//x` and `/\x` as another host, and drops tabs and line feeds.
pub(crate) fn local(path: &str) -> &str {
    let rest = path.strip_prefix('/').unwrap_or("\\");
    let fine =
        !rest.starts_with(['/', '\\']) && !path.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\');
    if fine && path.is_ascii() { path } else { "/" }
}

/// Signing in, and back to where somebody wanted to go.
pub(crate) fn sign_in(to: &str) -> String {
    match local(to) {
        "/" => "/sign-in".to_owned(),
        to => format!("/sign-in?{}", serde_urlencoded::to_string([("to", to)]).unwrap_or_default()),
    }
}

/// A path with a query; parameters that are empty are left out.
pub(crate) fn query(path: &str, parameters: &[(&str, &str)]) -> String {
    let given: Vec<_> = parameters.iter().filter(|(_, value)| !value.is_empty()).collect();
    if given.is_empty() {
        return path.to_owned();
    }
    format!("{path}?{}", serde_urlencoded::to_string(given).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_stay_here() {
        for good in ["/", "/services", "/services/shop?tab=1&x=%2F", "/a//b", "/services/shop#x"] {
            assert_eq!(local(good), good);
        }
        for bad in [
            "",
            "//evil.test",
            "/\\evil.test",
            "\\\\evil.test",
            "https://evil.test",
            "evil.test",
            "/\t/evil.test",
            "/\n/evil.test",
            "javascript:alert(1)",
            " /x",
            "/x y",
            "/ü",
            "/x\\y",
        ] {
            assert_eq!(local(bad), "/", "{bad:?}");
        }
        assert_eq!(sign_in("/services?q=a"), "/sign-in?to=%2Fservices%3Fq%3Da");
        assert_eq!(sign_in("//evil"), "/sign-in");
    }
}
