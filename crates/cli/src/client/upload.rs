use std::time::Duration;

use api::{Endpoint, Nothing};
use base::Result;
use bytes::Bytes;
use futures_util::stream;
use reqwest::Body;
use tokio::sync::mpsc;

use super::{Client, reply};

/// Longest time that an upload may take.
const UPLOAD_DEADLINE: Duration = Duration::from_secs(3600);

/// Pieces of a body; an error among them ends the request.
pub type Chunks = mpsc::Receiver<std::io::Result<Bytes>>;

/// Makes the body, once for each attempt.
pub type BodyMaker<'a> = dyn Fn() -> Chunks + 'a;

impl Client {
    /// Streams a body to an endpoint. The body is made anew when the call has to be repeated.
    pub async fn upload<E: Endpoint<Body = Nothing>>(
        &self,
        path: &E::Path,
        query: &E::Query,
        make: &BodyMaker<'_>,
    ) -> Result<E::Reply> {
        let key = self.key();
        let response = self
            .patiently(|| {
                let pieces = stream::unfold(make(), |mut pieces| async { Some((pieces.recv().await?, pieces)) });
                Ok(self
                    .request::<E>(path, query, &key)?
                    .header("content-type", "application/gzip")
                    .timeout(UPLOAD_DEADLINE)
                    .body(Body::wrap_stream(pieces)))
            })
            .await?;
        reply(response).await
    }
}
