use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{HeaderValue, Response};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::send::Link;
use super::{Body, Exchange};
use crate::upstream::Reply;

/// How long the client's side may take to let go of HTTP.
const SWITCH_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes on the way, each direction.
const BUFFER_BYTES: usize = 16 << 10;

/// Answers 101 and carries bytes both ways until both sides are done, one breaks or there is
/// silence for too long. The request counts as under way at its instance all the while.
pub(super) fn start(
    mut exchange: Box<Exchange>,
    response: Response<Reply>,
    link: Link,
    on_client: OnUpgrade,
    protocol: Option<HeaderValue>,
) -> Response<Body> {
    let (parts, reply) = response.into_parts();
    exchange.answered(parts.status.as_u16());
    let core = std::sync::Arc::clone(&exchange.client.worker.core);
    let silence = core.limits.tunnel_timeout;
    core.tasks.spawn(async move {
        let (up, down) = (AtomicU64::new(0), AtomicU64::new(0));
        match (tokio::time::timeout(SWITCH_TIMEOUT, on_client).await, reply.into_tunnel()) {
            (Ok(Ok(client)), Some(instance)) => {
                let (client_in, client_out) = tokio::io::split(TokioIo::new(client));
                let (instance_in, instance_out) = tokio::io::split(instance);
                let carry = async {
                    let _ = tokio::join!(pump(client_in, instance_out, &up), pump(instance_in, client_out, &down));
                };
                tokio::select! {
                    () = carry => {}
                    () = silent(silence, [&up, &down]) => exchange.cut("tunnel-silent"),
                }
            }
            _ => exchange.cut("tunnel-failed"),
        }
        tracing::debug!(?protocol, "tunnel ended");
        exchange.tunnelled(up.into_inner(), down.into_inner());
        drop(link);
    });
    Response::from_parts(parts, Body::page(bytes::Bytes::new(), None))
}

/// Copies until the end of `from` and then ends `to`.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    count: &AtomicU64,
) -> std::io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let read = from.read(&mut buffer).await?;
        let Some(bytes) = buffer.get(..read).filter(|b| !b.is_empty()) else { break };
        to.write_all(bytes).await?;
        to.flush().await?;
        count.fetch_add(read as u64, Ordering::Relaxed);
    }
    to.shutdown().await
}

/// Ends when nothing moved for the whole span.
async fn silent(span: Duration, counts: [&AtomicU64; 2]) {
    let sum = || counts.iter().fold(0u64, |n, c| n.wrapping_add(c.load(Ordering::Relaxed)));
    let mut last = sum();
    loop {
        tokio::time::sleep(span).await;
        let now = sum();
        if now == last {
            return;
        }
        last = now;
    }
}
