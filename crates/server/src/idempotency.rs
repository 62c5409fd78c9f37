use base::{Digest, Problem, Result};
use kernel::{Permit, Platform, RawReply, idempotency_find};

/// Longest key, bytes.
const KEY_BYTES_MAX: usize = 255;

/// Reads the header: a structured-field string (in quotes) or, as many clients send it, plain text.
pub(crate) fn key(header: Option<&http::HeaderValue>) -> Result<Option<String>> {
    let Some(value) = header else { return Ok(None) };
    let bad = || {
        Problem::invalid(
            "bad-idempotency-key",
            "the `Idempotency-Key` is empty, longer than 255 characters or not printable ASCII",
        )
        .hint("send a fresh random text for each new intent, and the same one when you repeat it")
    };
    let text = value.to_str().map_err(|_| bad())?;
    let text = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text);
    if text.is_empty() || text.len() > KEY_BYTES_MAX || !text.bytes().all(|b| (0x20..0x7f).contains(&b)) {
        return Err(bad());
    }
    Ok(Some(text.to_owned()))
}

/// The answer of an earlier call under this key, if there was one.
pub(crate) async fn earlier(
    platform: &Platform,
    permit: &Permit,
    endpoint: &str,
    key: &str,
    digest: &Digest,
) -> Result<Option<RawReply>> {
    let mut read = platform.store().read().await?;
    let actor = permit.identity().actor.to_string();
    let Some(stored) = idempotency_find(&mut read, &actor, endpoint, key).await? else { return Ok(None) };
    if stored.request_digest != digest.to_string() {
        return Err(Problem::unprocessable(
            "idempotency-key-reused",
            "this `Idempotency-Key` belongs to another request",
        )
        .hint("use a fresh key for each new intent"));
    }
    if stored.body.is_empty() {
        return Err(Problem::conflict("already-done", "this was done before, and its answer was shown once only")
            .hint("list what there is; make a new one under a fresh key if you need to"));
    }
    let value = serde_json::from_str(&stored.body).map_err(|e| Problem::internal("reply-unreadable", e))?;
    Ok(Some(RawReply::Json(value, None)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_with_and_without_quotes() {
        let read = |text: &str| key(Some(&text.parse().unwrap()));
        assert_eq!(read("\"a b\"").unwrap().as_deref(), Some("a b"));
        assert_eq!(read("abc").unwrap().as_deref(), Some("abc"));
        assert_eq!(key(None).unwrap(), None);
        for bad in ["", "\"\"", &"x".repeat(256), "a\tb"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
