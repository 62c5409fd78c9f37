//! Bodies that the client compressed (`Content-Encoding: gzip`; git does so with long lists of
//! refs).

use std::io::Write as _;

use base::{Problem, Result};
use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use futures_util::{StreamExt as _, stream};
use ports::ByteStream;

/// Compressed bytes that are taken at once; deflate makes at most 1,032 times as much of them.
const STEP_BYTES: usize = 4 << 10;

/// Decompresses a body. It ends with an error where it is not gzip, is cut short, or would become
/// larger than `bytes_max` bytes. Memory is bounded by a few megabytes.
pub fn gunzip(body: ByteStream, bytes_max: u64) -> ByteStream {
    let state =
        State { body, pending: Bytes::new(), decoder: Some(MultiGzDecoder::new(Vec::new())), made: 0, bytes_max };
    stream::unfold(state, |mut state| async move {
        let next = state.next().await.transpose()?;
        if next.is_err() {
            state.decoder = None;
        }
        Some((next, state))
    })
    .boxed()
}

struct State {
    body: ByteStream,
    pending: Bytes,
    /// `None` once the stream has ended or failed.
    decoder: Option<MultiGzDecoder<Vec<u8>>>,
    made: u64,
    bytes_max: u64,
}

impl State {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            let Some(decoder) = &mut self.decoder else { return Ok(None) };
            if self.pending.is_empty() {
                match self.body.next().await {
                    Some(chunk) => self.pending = chunk?,
                    None => {
                        decoder.try_finish().map_err(bad)?;
                        let rest = std::mem::take(decoder.get_mut());
                        self.decoder = None;
                        return self.count(rest);
                    }
                }
            }
            let piece = self.pending.split_to(self.pending.len().min(STEP_BYTES));
            let Some(decoder) = &mut self.decoder else { return Ok(None) };
            decoder.write_all(&piece).map_err(bad)?;
            let made = std::mem::take(decoder.get_mut());
            if !made.is_empty() {
                return self.count(made);
            }
        }
    }

    fn count(&mut self, bytes: Vec<u8>) -> Result<Option<Bytes>> {
        self.made = self.made.saturating_add(bytes.len() as u64);
        if self.made > self.bytes_max {
            let most = base::Bytes(self.bytes_max);
            return Err(Problem::too_large("push-too-large", format!("the body is larger than {most} when unpacked")));
        }
        Ok((!bytes.is_empty()).then(|| bytes.into()))
    }
}

fn bad(error: std::io::Error) -> Problem {
    Problem::invalid("bad-gzip", format!("the body is not valid gzip: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    fn zip(content: &[u8]) -> Vec<u8> {
        let mut z = GzEncoder::new(Vec::new(), Compression::best());
        z.write_all(content).unwrap();
        z.finish().unwrap()
    }

    async fn check(bytes: &[u8], step: usize, bytes_max: u64) -> Result<Vec<u8>> {
        let chunks: Vec<_> = bytes.chunks(step).map(|c| Ok(Bytes::copy_from_slice(c))).collect();
        let mut out = Vec::new();
        let mut stream = gunzip(stream::iter(chunks).boxed(), bytes_max);
        while let Some(chunk) = stream.next().await {
            out.extend_from_slice(&chunk?);
        }
        Ok(out)
    }

    #[tokio::test]
    async fn bodies_come_back() {
        for content in [&b""[..], b"0000", &vec![9u8; 3_000_000]] {
            for step in [1, 10, 100_000] {
                assert_eq!(check(&zip(content), step, 4 << 20).await.unwrap(), content);
            }
        }
    }

    #[tokio::test]
    async fn bombs_cuts_and_nonsense_are_refused() {
        assert_eq!(check(&zip(&vec![0u8; 8 << 20]), 1000, 4 << 20).await.unwrap_err().code, "push-too-large");
        let whole = zip(b"hello hello hello");
        assert!(check(&whole[..whole.len() - 1], 5, 100).await.is_err());
        assert!(check(b"0000", 4, 100).await.is_err());
    }
}
