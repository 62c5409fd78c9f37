use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::Waker;

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

use super::Refusal;

/// What became of a request to upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Upgrade {
    /// Not decided: bytes behind the request's head are held.
    Open,
    /// The instance switched: all that follows is opaque.
    Accepted,
    /// Answered as plain HTTP: what follows is the next request.
    Declined,
}

/// What the gate of a connection and the service behind it tell each other.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    refusal: Mutex<Option<Refusal>>,
    upgrade: AtomicU8,
    waker: AtomicWaker,
    begun: AtomicU64,
    finished: AtomicU64,
    /// The client does not take what is written.
    is_stalled: AtomicBool,
    /// The client has closed its side.
    is_ended: AtomicBool,
    /// Woken by the end of a request and by what the client takes, once that is so.
    end_waker: AtomicWaker,
}

impl Shared {
    pub(super) fn refuse(&self, refusal: Refusal) {
        *self.refusal.lock() = Some(refusal);
    }

    /// Why the gate stopped reading this connection, if it did.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        *self.refusal.lock()
    }

    pub(super) fn open_upgrade(&self) {
        self.upgrade.store(0, Ordering::Release);
    }

    /// Tells the gate what became of the upgrade it waits for.
    pub(crate) fn decide(&self, upgrade: Upgrade) {
        let value = match upgrade {
            Upgrade::Open => 0,
            Upgrade::Accepted => 1,
            Upgrade::Declined => 2,
        };
        self.upgrade.store(value, Ordering::Release);
        self.waker.wake();
    }

    pub(super) fn upgrade(&self, waker: &Waker) -> Upgrade {
        self.waker.register(waker);
        match self.upgrade.load(Ordering::Acquire) {
            0 => Upgrade::Open,
            1 => Upgrade::Accepted,
            _ => Upgrade::Declined,
        }
    }

    /// One more request of this connection has begun.
    pub(crate) fn begin_one(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn end(&self) {
        self.is_ended.store(true, Ordering::Release);
    }

    /// Whether the client has said that nothing more comes: it may wait for the rest of its answer, or be gone.
    pub(crate) fn is_ended(&self) -> bool {
        self.is_ended.load(Ordering::Acquire)
    }

    /// Whether fewer requests than these are over, or what was answered is not written yet; if so, any news wakes.
    pub(super) fn is_under_way(&self, heads: u64, waker: &Waker) -> bool {
        self.end_waker.register(waker);
        self.finished() < heads || self.is_stalled.load(Ordering::Relaxed)
    }

    pub(super) fn stalls(&self, is_stalled: bool) {
        self.is_stalled.store(is_stalled, Ordering::Relaxed);
        if !is_stalled && self.is_ended() {
            self.end_waker.wake();
        }
    }

    /// How many requests there were, if none is under way and all answers are written.
    pub(crate) fn at_rest(&self) -> Option<u64> {
        let begun = self.begun.load(Ordering::Relaxed);
        (begun == self.finished() && !self.is_stalled.load(Ordering::Relaxed)).then_some(begun)
    }

    /// One more request of this connection is over.
    pub(crate) fn finish_one(&self) {
        self.finished.fetch_add(1, Ordering::AcqRel);
        if self.is_ended() {
            self.end_waker.wake();
        }
    }

    /// How many are over.
    pub(crate) fn finished(&self) -> u64 {
        self.finished.load(Ordering::Acquire)
    }
}
