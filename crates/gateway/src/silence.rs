use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// Limits waiting for a peer. Only waiting counts, not the time in which nobody asked the peer for
/// anything; and it counts on until the peer has moved a least number of bytes, so that a byte now
/// and then wins no time. The timer exists only once there was some silence.
#[derive(Debug)]
pub(crate) struct Silence {
    span: Duration,
    least: usize,
    waited: Duration,
    since: Option<Instant>,
    bytes: usize,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Silence {
    /// Ends after waiting `span` for `least` bytes.
    pub(crate) const fn new(span: Duration, least: usize) -> Self {
        Self { span, least, waited: Duration::ZERO, since: None, bytes: 0, timer: None }
    }

    /// The peer moved so many bytes.
    pub(crate) fn heard(&mut self, bytes: usize) {
        if let Some(since) = self.since.take() {
            self.waited = self.waited.saturating_add(since.elapsed());
        }
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes >= self.least {
            self.bytes = 0;
            self.waited = Duration::ZERO;
        }
    }

    /// Ends after a shorter wait than was said, from now on. Saying it again changes nothing.
    pub(crate) fn shorten(&mut self, span: Duration) {
        if span < self.span {
            (self.span, self.waited, self.since) = (span, Duration::ZERO, None);
        }
    }

    /// There is nothing from the peer: ready once it was waited for too long.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let since = *self.since.get_or_insert_with(Instant::now);
        let Some(end) = since.checked_add(self.span.saturating_sub(self.waited)) else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(end)));
        if timer.deadline() != end {
            timer.as_mut().reset(end);
        }
        timer.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);
    const SHORT: Duration = Duration::from_millis(5);

    async fn waits(silence: &mut Silence) -> bool {
        tokio::time::timeout(SHORT, poll_fn(|cx| silence.poll(cx))).await.is_err()
    }

    #[tokio::test]
    async fn a_byte_now_and_then_wins_no_time() {
        let mut silence = Silence::new(Duration::from_millis(50), 1024);
        while waits(&mut silence).await {
            silence.heard(1);
        }
        let mut silence = Silence::new(LONG, 1024);
        for (bytes, is_enough) in [(0, false), (1000, false), (23, false), (1, true), (5000, true), (1023, false)] {
            assert!(waits(&mut silence).await);
            silence.heard(bytes);
            assert_eq!(silence.waited.is_zero(), is_enough, "{bytes}");
        }
    }

    #[tokio::test]
    async fn a_shorter_wait_begins_when_it_is_said() {
        let mut silence = Silence::new(LONG, 1);
        assert!(waits(&mut silence).await);
        silence.shorten(LONG / 2);
        assert!(waits(&mut silence).await);
        assert_eq!(silence.waited, Duration::ZERO);
        let since = silence.since;
        silence.shorten(LONG / 2);
        silence.shorten(LONG);
        assert!(silence.since == since && silence.span == LONG / 2);
        silence.shorten(Duration::from_millis(1));
        poll_fn(|cx| silence.poll(cx)).await;
    }

    #[tokio::test]
    async fn only_waiting_counts() {
        let mut silence = Silence::new(LONG, 1024);
        assert!(waits(&mut silence).await);
        silence.heard(1);
        let waited = silence.waited;
        assert!(waited >= SHORT, "{waited:?}");
        tokio::time::sleep(SHORT).await;
        silence.heard(1);
        assert_eq!(silence.waited, waited);
    }
}
