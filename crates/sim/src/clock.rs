//! Time that passes only when told.

use std::time::Duration;

use async_trait::async_trait;
use base::Time;
use parking_lot::Mutex;
use ports::Clock;
use tokio::sync::oneshot;

/// A sleep up to this long is a pause of something that works step by step: it passes at once and
/// takes the clock with it. Longer ones are deadlines and leases: they end when the world moves
/// the clock so far.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// The clock of a world.
pub struct VirtualClock {
    state: Mutex<State>,
}

struct State {
    began: Time,
    now: Time,
    sleepers: Vec<(Time, oneshot::Sender<()>)>,
}

impl VirtualClock {
    /// A clock that shows this.
    pub const fn at(now: Time) -> Self {
        Self { state: Mutex::new(State { began: now, now, sleepers: Vec::new() }) }
    }

    /// Moves on and wakes who waited for it.
    pub fn advance(&self, span: Duration) {
        let mut state = self.state.lock();
        state.now = state.now.plus(span);
        let now = state.now;
        let (due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut state.sleepers)
            .into_iter()
            .filter(|(_, sender)| !sender.is_closed())
            .partition(|(at, _)| *at <= now);
        state.sleepers = later;
        drop(state);
        for (_, sender) in due {
            // Who slept may be gone.
            let _ = sender.send(());
        }
    }
}

#[async_trait]
impl Clock for VirtualClock {
    fn now(&self) -> Time {
        self.state.lock().now
    }

    fn elapsed(&self) -> Duration {
        let state = self.state.lock();
        state.now.since(state.began)
    }

    async fn sleep(&self, span: Duration) {
        if span <= PAUSE_MAX {
            self.advance(span);
            tokio::task::yield_now().await;
            return;
        }
        let (sender, woken) = oneshot::channel();
        {
            let mut state = self.state.lock();
            let at = state.now.plus(span);
            state.sleepers.push((at, sender));
        }
        if woken.await.is_err() {
            // The clock is gone, and with it every later time.
            std::future::pending().await
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn long_sleeps_wait_for_the_world_and_pauses_carry_it_on() {
        let clock = Arc::new(VirtualClock::at(Time::from_micros(0)));
        clock.sleep(Duration::from_millis(300)).await;
        assert_eq!(clock.now(), Time::from_micros(300_000));
        let sleeper = {
            let clock = Arc::clone(&clock);
            tokio::spawn(async move { clock.sleep(Duration::from_secs(10)).await })
        };
        tokio::task::yield_now().await;
        clock.advance(Duration::from_secs(9));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.advance(Duration::from_secs(1));
        sleeper.await.expect("it ends");
        assert_eq!(clock.elapsed(), Duration::from_millis(10_300));
    }
}
