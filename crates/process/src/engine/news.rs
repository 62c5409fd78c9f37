//! Which instances have news. Keepers tell of theirs; a keeper that was killed tells nothing, so a
//! few instances are looked at each second, in turn. How many does not grow with their number.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use base::{InstanceId, Time};
use ports::InstanceState;
use tokio::sync::Notify;

/// News that are kept; who asks for older ones is told that any instance may have some.
const KEPT: usize = 4096;
/// Instances looked at in one second.
pub(super) const LOOK_AT_ONCE: usize = 100;

/// What is said of an instance's state.
pub(super) type Saying = (InstanceState, Time);

#[derive(Default)]
pub(super) struct News {
    inner: Mutex<Inner>,
    come: Notify,
}

#[derive(Default)]
struct Inner {
    /// How many there were so far.
    count: u64,
    /// The last of them; `None` is about no one instance.
    last: VecDeque<Option<InstanceId>>,
    /// Instances that may run, with what was last read of them.
    watched: BTreeMap<InstanceId, Option<Saying>>,
    /// Where the last look ended.
    turn: Option<InstanceId>,
}

impl News {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something is new of an instance, or of an unnamed one.
    pub(super) fn tell(&self, about: Option<InstanceId>) {
        {
            let mut inner = self.lock();
            inner.count += 1;
            inner.last.push_back(about);
            if inner.last.len() > KEPT {
                inner.last.pop_front();
            }
        }
        self.come.notify_one();
    }

    /// Waits until there is something new.
    pub(super) async fn come(&self) {
        self.come.notified().await;
    }

    /// The instances told of after a mark, and the next mark; `None`: any may have been.
    pub(super) fn since(&self, mark: u64) -> (u64, Option<BTreeSet<InstanceId>>) {
        let inner = self.lock();
        let new = usize::try_from(inner.count.saturating_sub(mark)).unwrap_or(usize::MAX);
        // A mark of the future is of another engine.
        let ids = if mark > inner.count || new > inner.last.len() {
            None
        } else {
            inner.last.iter().rev().take(new).copied().collect()
        };
        (inner.count, ids)
    }

    /// From now on an instance is looked at in its turn.
    pub(super) fn watch(&self, id: InstanceId) {
        self.lock().watched.insert(id, None);
    }

    /// The next ones to look at.
    pub(super) fn next(&self) -> Vec<InstanceId> {
        use std::ops::Bound::{Excluded, Unbounded};
        let mut inner = self.lock();
        let from = inner.turn.map_or(Unbounded, Excluded);
        let ids: Vec<InstanceId> =
            inner.watched.range((from, Unbounded)).take(LOOK_AT_ONCE).map(|(id, _)| *id).collect();
        inner.turn = if ids.len() < LOOK_AT_ONCE { None } else { ids.last().copied() };
        ids
    }

    /// Takes in what a look showed; `None`: it is gone. Returns whether that is news.
    pub(super) fn saw(&self, id: InstanceId, saying: Option<Saying>) -> bool {
        let mut inner = self.lock();
        let Some(known) = inner.watched.get(&id).cloned() else { return false };
        match &saying {
            Some((state, _)) if state.is_running() => drop(inner.watched.insert(id, saying.clone())),
            _ => drop(inner.watched.remove(&id)),
        }
        known.is_some() && known != saying
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u16) -> InstanceId {
        InstanceId::new(Time::from_micros(i64::from(n) * 1000), [7; 10])
    }

    #[test]
    fn who_asks_gets_what_came_since() {
        let news = News::default();
        assert_eq!(news.since(0), (0, Some(BTreeSet::new())));
        news.tell(Some(id(1)));
        news.tell(Some(id(2)));
        news.tell(Some(id(1)));
        assert_eq!(news.since(0), (3, Some(BTreeSet::from([id(1), id(2)]))));
        assert_eq!(news.since(2), (3, Some(BTreeSet::from([id(1)]))));
        assert_eq!(news.since(3), (3, Some(BTreeSet::new())));
        assert_eq!(news.since(9), (3, None));
        news.tell(None);
        assert_eq!(news.since(3), (4, None));
        for _ in 0..KEPT {
            news.tell(Some(id(3)));
        }
        assert_eq!(news.since(4).1, Some(BTreeSet::from([id(3)])));
        assert_eq!(news.since(3).1, None);
    }

    #[test]
    fn all_have_their_turn_and_the_ended_have_none() {
        let news = News::default();
        let count = u16::try_from(LOOK_AT_ONCE).unwrap() * 2 + 50;
        (0..count).for_each(|n| news.watch(id(n)));
        let looks: Vec<usize> = (0..4).map(|_| news.next().len()).collect();
        assert_eq!(looks, [LOOK_AT_ONCE, LOOK_AT_ONCE, 50, LOOK_AT_ONCE]);
        let ready = (InstanceState::Ready, Time::from_micros(1));
        assert!(!news.saw(id(0), Some(ready.clone())), "the first look is no news");
        assert!(!news.saw(id(0), Some(ready.clone())));
        assert!(news.saw(id(0), Some((InstanceState::Unready, Time::from_micros(2)))));
        let ended = InstanceState::Exited { kind: ports::ExitKind::Lost };
        assert!(news.saw(id(0), Some((ended, Time::from_micros(3)))));
        assert!(!news.saw(id(0), Some(ready)), "it is not watched any more");
        assert!(!news.saw(id(1), None));
        let left: BTreeSet<InstanceId> = (0..5).flat_map(|_| news.next()).collect();
        assert_eq!(left.len(), usize::from(count) - 2);
    }
}
