use base::{Hasher, Problem, Result};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::request::Parts;
use kernel::{ByteStream, RawReply, RequestDigest, Stored};

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

/// The digest of a request, and its stream, which completes the digest as it passes by. Nobody asks
/// for the digest of a request without a key: its stream goes through as it is.
pub(crate) fn digested(
    head: &Parts,
    json: &[u8],
    stream: Option<ByteStream>,
    has_key: bool,
) -> (RequestDigest, Option<ByteStream>) {
    let mut hasher = Hasher::default();
    hasher.update(format!("{} {}\n", head.method, head.uri).as_bytes());
    hasher.update(json);
    match stream {
        None => (hasher.finish().into(), None),
        Some(stream) if has_key => {
            let digest = RequestDigest::default();
            (digest.clone(), Some(passing(stream, hasher, digest)))
        }
        stream => (RequestDigest::default(), stream),
    }
}

/// A stream that settles its digest when it ends, and leaves it open when it breaks off.
fn passing(stream: ByteStream, hasher: Hasher, digest: RequestDigest) -> ByteStream {
    Box::pin(stream::unfold(Some((stream, hasher, digest)), |state| async move {
        let (mut stream, mut hasher, digest) = state?;
        match stream.next().await {
            Some(Ok(piece)) => {
                hasher.update(&piece);
                Some((Ok(piece), Some((stream, hasher, digest))))
            }
            Some(Err(problem)) => Some((Err(problem), None)),
            None => {
                digest.settle(hasher.finish());
                None
            }
        }
    }))
}

/// The answer of an earlier call, if this one asks for the same: whether it does is known when all
/// of it has come.
pub(crate) async fn again(earlier: Stored, stream: Option<ByteStream>, digest: &RequestDigest) -> Result<RawReply> {
    if let Some(mut stream) = stream {
        while stream.try_next().await?.is_some() {}
    }
    if earlier.request_digest != digest.get()?.to_string() {
        return Err(Problem::unprocessable(
            "idempotency-key-reused",
            "this `Idempotency-Key` belongs to another request",
        )
        .hint("use a fresh key for each new intent"));
    }
    if earlier.body.is_empty() {
        return Err(Problem::conflict("already-done", "this was done before, and its answer was shown once only")
            .hint("list what there is; make a new one under a fresh key if you need to"));
    }
    let value = serde_json::from_str(&earlier.body).map_err(|e| Problem::internal("reply-unreadable", e))?;
    Ok(RawReply::Json(value, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(pieces: &[&'static str], ends: bool) -> ByteStream {
        let good = pieces.iter().map(|piece| Ok(bytes::Bytes::from_static(piece.as_bytes()))).collect::<Vec<_>>();
        let bad = (!ends).then(|| Err(Problem::invalid("body-broken-off", "it broke off")));
        Box::pin(stream::iter(good.into_iter().chain(bad)))
    }

    fn head() -> Parts {
        http::Request::post("/v1/x?y=z").body(()).unwrap().into_parts().0
    }

    fn digest_of(json: &str, body: Option<ByteStream>) -> (RequestDigest, Option<ByteStream>) {
        digested(&head(), json.as_bytes(), body, true)
    }

    #[tokio::test]
    async fn the_digest_is_of_all_that_came_and_of_nothing_less() {
        let read = async |body: ByteStream| {
            let (digest, stream) = digest_of("", Some(body));
            assert!(digest.get().is_err(), "before it was read");
            let all: Vec<_> = stream.unwrap().collect().await;
            (digest.get().map_err(|p| p.code), all.len())
        };
        let whole = read(pieces(&["ab", "c"], true)).await;
        assert_eq!(read(pieces(&["a", "bc"], true)).await, whole, "the pieces do not matter");
        assert_ne!(read(pieces(&["abd"], true)).await.0, whole.0);
        assert_ne!(read(pieces(&[], true)).await.0, whole.0);
        assert_eq!(whole.0, digest_of("abc", None).0.get().map_err(|p| p.code), "as if it had come at once");
        assert_eq!(read(pieces(&["ab"], false)).await, (Err("body-unread".into()), 2));
    }

    #[tokio::test]
    async fn an_answer_is_given_again_to_the_same_request_alone() {
        let (same, _) = digest_of("abc", None);
        let earlier = |body: &str| Stored {
            request_digest: same.get().unwrap().to_string(),
            status: 200,
            body: body.to_owned(),
            at: base::Time::from_micros(1),
        };
        let ask = async |body: &str, sent: ByteStream| {
            let (digest, stream) = digest_of("", Some(sent));
            match again(earlier(body), stream, &digest).await {
                Ok(RawReply::Json(value, _)) => value.to_string(),
                Ok(_) => panic!("another kind of answer"),
                Err(problem) => problem.code.into_owned(),
            }
        };
        assert_eq!(ask("1", pieces(&["ab", "c"], true)).await, "1");
        assert_eq!(ask("", pieces(&["abc"], true)).await, "already-done");
        assert_eq!(ask("1", pieces(&["abx"], true)).await, "idempotency-key-reused");
        assert_eq!(ask("1", pieces(&["abc"], false)).await, "body-broken-off");
    }

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
