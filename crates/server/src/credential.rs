use base::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::request::Parts;
use kernel::Credential;

/// The credential of a request: `Bearer TOKEN` (RFC 6750 §2.1), or `Basic` with the token as the
/// password (RFC 7617), as git sends it; or the one that the portal, in this process, attached to
/// the request, which nothing that comes over the network can be. Anything else is none.
pub(crate) fn credential(head: &Parts) -> Credential {
    if let Some(attached) = head.extensions.get::<Credential>() {
        return attached.clone();
    }
    let mut values = head.headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Credential::None };
    let Some((scheme, rest)) = value.to_str().ok().and_then(|v| v.split_once(' ')) else { return Credential::None };
    let token = match scheme.to_ascii_lowercase().as_str() {
        "bearer" => Some(rest.trim().to_owned()),
        "basic" => password(rest.trim()),
        _ => None,
    };
    token.filter(|t| !t.is_empty()).map_or(Credential::None, |t| Credential::Token(Secret::new(t)))
}

fn password(encoded: &str) -> Option<String> {
    let text = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    text.split_once(':').map(|(_, password)| password.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(values: &[&str], expect: Option<&str>) {
        let mut request = http::Request::new(());
        for value in values {
            request.headers_mut().append(AUTHORIZATION, value.parse().unwrap());
        }
        let found = match credential(&request.into_parts().0) {
            Credential::Token(token) => Some(token.expose().clone()),
            Credential::None | Credential::Session { .. } => None,
        };
        assert_eq!(found.as_deref(), expect, "{values:?}");
    }

    #[test]
    fn bearer_and_basic_and_nothing_else() {
        check(&["Bearer abc"], Some("abc"));
        check(&["bearer abc"], Some("abc"));
        check(&["Basic Z2l0OmFiYzpk"], Some("abc:d"));
        for values in [
            &["Basic !!"][..],
            &["Basic YWJj"],
            &["Digest x"],
            &["Bearer"],
            &["Bearer "],
            &["Bearer a", "Bearer b"],
            &[],
        ] {
            check(values, None);
        }
    }
}
