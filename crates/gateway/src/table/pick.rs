use std::sync::Arc;

use base::{InstanceId, RolloutId};

use super::{Backend, Instance, Route};
use crate::chance;

impl Route {
    /// The backend for the next request: by weight among those that have instances.
    pub(crate) fn backend(&self) -> Option<&Arc<Backend>> {
        let total = self.shares.last()?.0;
        let ticket = if self.shares.len() == 1 { 0 } else { chance::below(total) };
        let (_, at) = self.shares.iter().find(|(up_to, _)| ticket < *up_to)?;
        self.backends.get(*at)
    }

    /// The backend of a rollout, whatever its weight.
    pub(crate) fn backend_of(&self, rollout: RolloutId) -> Option<&Arc<Backend>> {
        self.backends.iter().find(|b| b.rollout == rollout)
    }
}

impl Backend {
    /// The less busy of two random instances, avoiding those that fail and the one just tried.
    pub(crate) fn instance(&self, now_ms: impl FnOnce() -> u64, avoid: Option<InstanceId>) -> Option<&Arc<Instance>> {
        if let [only] = self.instances.as_slice() {
            return Some(only);
        }
        let now_ms = now_ms();
        let worth = |i: &Instance| (i.is_ejected(now_ms), avoid == Some(i.id), i.in_flight());
        let count = u32::try_from(self.instances.len()).ok()?;
        if self.instances.iter().any(|i| i.is_ejected(now_ms)) || avoid.is_some() {
            // Rare: look at all, beginning anywhere so that equals share the load.
            let start = usize::try_from(chance::below(count)).ok()?;
            let (tail, head) = self.instances.split_at_checked(start)?;
            return head.iter().chain(tail).min_by_key(|i| worth(i));
        }
        let first = chance::below(count);
        let step = chance::below(count.saturating_sub(1)).saturating_add(1);
        let second = first.checked_add(step)?.checked_rem(count)?;
        let one = self.instances.get(usize::try_from(first).ok()?)?;
        let two = self.instances.get(usize::try_from(second).ok()?)?;
        Some(if two.in_flight() < one.in_flight() { two } else { one })
    }
}
