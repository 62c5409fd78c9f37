use api::deliver::{GitReceivePack, GitRefs, GitUploadPack};
use base::{Problem, Result, ServiceName};
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, EXPIRES, PRAGMA};
use http::request::Parts;
use http::{HeaderMap, Response};
use kernel::{Call, Ctx};
use ports::ByteStream;

use crate::work::{self, GitService};

/// What git says of the protocol version it speaks (gitprotocol-http, "Protocol version 2").
const GIT_PROTOCOL: &str = "git-protocol";

/// Advertises the refs.
pub(crate) async fn refs(
    ctx: Ctx,
    call: Call<GitRefs>,
    head: Parts,
    _body: ByteStream,
) -> Result<Response<ByteStream>> {
    let which = GitService::of(&call.query.service)?;
    let service = service_of(&call.path.repository)?;
    let body = work::advertise(&ctx, &service, which, protocol(&head.headers)).await?;
    reply(&format!("application/x-{}-advertisement", which.name()), body)
}

/// Receives a push.
pub(crate) async fn receive_pack(
    ctx: Ctx,
    call: Call<GitReceivePack>,
    head: Parts,
    body: ByteStream,
) -> Result<Response<ByteStream>> {
    let which = GitService::ReceivePack;
    let gzip = check(&head.headers, which)?;
    let service = service_of(&call.path.repository)?;
    reply(&result_type(which), work::receive(&ctx, &service, body, gzip).await?)
}

/// Serves a clone or fetch.
pub(crate) async fn upload_pack(
    ctx: Ctx,
    call: Call<GitUploadPack>,
    head: Parts,
    body: ByteStream,
) -> Result<Response<ByteStream>> {
    let which = GitService::UploadPack;
    let gzip = check(&head.headers, which)?;
    let service = service_of(&call.path.repository)?;
    let protocol = protocol(&head.headers);
    reply(&result_type(which), work::upload_pack(&ctx, &service, body, gzip, protocol).await?)
}

fn service_of(repository: &str) -> Result<ServiceName> {
    Ok(repository.strip_suffix(".git").unwrap_or(repository).parse()?)
}

fn protocol(headers: &HeaderMap) -> Option<&str> {
    headers.get(GIT_PROTOCOL)?.to_str().ok()
}

fn result_type(which: GitService) -> String {
    format!("application/x-{}-result", which.name())
}

/// Checks type and encoding of a body; says whether it is compressed.
fn check(headers: &HeaderMap, which: GitService) -> Result<bool> {
    let text = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok()).unwrap_or_default();
    let wanted = format!("application/x-{}-request", which.name());
    if text(CONTENT_TYPE) != wanted {
        return Err(Problem::invalid("bad-content-type", format!("the body has to be {wanted}")));
    }
    match text(CONTENT_ENCODING) {
        "" | "identity" => Ok(false),
        "gzip" | "x-gzip" => Ok(true),
        _ => Err(Problem::invalid("bad-content-encoding", "the body can be compressed with gzip only")),
    }
}

/// A reply that nobody on the way may keep (gitprotocol-http, "Smart Clients").
fn reply(content_type: &str, body: ByteStream) -> Result<Response<ByteStream>> {
    Response::builder()
        .header(CONTENT_TYPE, content_type)
        .header(CACHE_CONTROL, "no-cache, max-age=0, must-revalidate")
        .header(EXPIRES, "Fri, 01 Jan 1980 00:00:00 GMT")
        .header(PRAGMA, "no-cache")
        .body(body)
        .map_err(|e| Problem::internal("reply-not-made", e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_of_gits_type_and_plain_or_gzip() {
        let headers = |kind: &str, encoding: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, kind.parse().unwrap());
            headers.insert(CONTENT_ENCODING, encoding.parse().unwrap());
            headers
        };
        let kind = "application/x-git-receive-pack-request";
        assert!(!check(&headers(kind, "identity"), GitService::ReceivePack).unwrap());
        assert!(check(&headers(kind, "gzip"), GitService::ReceivePack).unwrap());
        assert!(check(&headers(kind, "br"), GitService::ReceivePack).is_err());
        assert!(check(&headers(kind, ""), GitService::UploadPack).is_err());
        assert!(GitService::of("").is_err() && GitService::of("git-upload-archive").is_err());
        assert_eq!(service_of("shop.git").unwrap(), service_of("shop").unwrap());
        assert!(service_of("../shop.git").is_err());
    }
}
