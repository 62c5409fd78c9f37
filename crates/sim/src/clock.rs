//! Time that passes only when told.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::Time;
use parking_lot::Mutex;
use ports::{Clock, SteadyTime};
use tokio::sync::oneshot;

/// A sleep up to this long is a pause of something that works step by step: it passes at once and
/// takes the clock with it. Longer ones are deadlines and leases: they end when the world moves
/// the clock so far.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// The clock of a world: what the machine's monotonic clock and its wall clock show. As a `Clock`
/// it is the time that passes in the world, whatever is done to the wall clock.
pub struct VirtualClock {
    state: Mutex<State>,
}

struct State {
    began: Time,
    now: Time,
    /// What the wall clock shows more than that, microseconds.
    wrong: i64,
    sleepers: Vec<(Time, oneshot::Sender<()>)>,
}

impl VirtualClock {
    /// A clock that shows this.
    pub const fn at(now: Time) -> Self {
        Self { state: Mutex::new(State { began: now, now, wrong: 0, sleepers: Vec::new() }) }
    }

    /// Somebody sets the machine's wall clock.
    pub fn set_wall(&self, to: Time) {
        let mut state = self.state.lock();
        state.wrong = to.micros().saturating_sub(state.now.micros());
    }

    /// What the machine's wall clock shows.
    pub fn wall(&self) -> Time {
        let state = self.state.lock();
        Time::from_micros(state.now.micros().saturating_add(state.wrong))
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

/// The clock as one life of the control plane has it.
pub struct LifeClock {
    world: Arc<VirtualClock>,
    steady: SteadyTime,
}

impl LifeClock {
    /// Begins with what the machine's clocks show.
    pub fn begin(world: Arc<VirtualClock>) -> Self {
        let steady = SteadyTime::begin(world.wall(), world.elapsed());
        Self { world, steady }
    }

    /// What is recorded lies in the past.
    pub fn not_before(&self, recorded: Time) {
        self.steady.not_before(recorded);
    }
}

#[async_trait]
impl Clock for LifeClock {
    fn now(&self) -> Time {
        self.steady.at(self.world.wall(), self.world.elapsed())
    }

    fn elapsed(&self) -> Duration {
        self.world.elapsed()
    }

    async fn sleep(&self, span: Duration) {
        self.world.sleep(span).await;
    }
}

#[cfg(test)]
mod tests {
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
