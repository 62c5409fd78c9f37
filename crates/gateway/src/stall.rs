//! Over HTTP/2 a client that opens no window takes nothing of its answers, while its connection
//! looks alive: nothing waits to be written, and pings are answered.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;

/// The answers of one connection that are on their way.
#[derive(Debug)]
pub(crate) struct Stalls {
    boot: Instant,
    /// Milliseconds since `boot` at which each began to wait for its client; 0 while it does not.
    /// As many as there are streams, which are bounded.
    all: Mutex<Vec<Weak<AtomicU64>>>,
}

impl Stalls {
    pub(crate) fn new() -> Self {
        Self { boot: Instant::now(), all: Mutex::default() }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.boot.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
    }

    /// Watches an answer from now on.
    pub(crate) fn watch<B>(self: &Arc<Self>, body: B) -> Watched<B> {
        let since = Arc::new(AtomicU64::new(self.now_ms()));
        let mut all = self.all.lock();
        all.retain(|one| one.strong_count() > 0);
        all.push(Arc::downgrade(&since));
        drop(all);
        Watched { body, since, stalls: Arc::clone(self) }
    }

    /// Ends when an answer has waited for its client for this long.
    pub(crate) async fn too_long(&self, span: Duration) {
        let span_ms = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let pause = span.checked_div(4).unwrap_or(span).max(Duration::from_millis(10));
        loop {
            tokio::time::sleep(pause).await;
            let now = self.now_ms();
            let waits = |one: &Weak<AtomicU64>| {
                let since = one.upgrade().map_or(0, |since| since.load(Ordering::Relaxed));
                since > 0 && now.saturating_sub(since) >= span_ms
            };
            if self.all.lock().iter().any(waits) {
                return;
            }
        }
    }
}

/// An answer whose taking is watched: it is asked for more only when the client has room.
#[derive(Debug)]
pub(crate) struct Watched<B> {
    body: B,
    since: Arc<AtomicU64>,
    stalls: Arc<Stalls>,
}

impl<B: Body + Unpin> Body for Watched<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.get_mut();
        this.since.store(0, Ordering::Relaxed);
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        if polled.is_ready() {
            this.since.store(this.stalls.now_ms(), Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
