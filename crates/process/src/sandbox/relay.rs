//! Carries bytes between connections of the instance and those that were made outside for it. It
//! runs in init, so that what it costs is the instance's own: its processor time and its memory.
//!
//! Nothing is stored here: bytes are looked at where the kernel has them (`MSG_PEEK`), sent on, and
//! only what was taken is taken away (`MSG_TRUNC`, tcp(7)). So memory does not grow with the number
//! of connections, and a receiver that is slow slows its sender and nobody else.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown};

/// Most connections at once; two descriptors each.
const PAIRS_MAX: usize = 8192;
/// Bytes that are moved at once.
const BUFFER_BYTES: usize = 64 << 10;
/// Bytes of one direction before others have their turn.
const TURN_BYTES: usize = 512 << 10;
/// Events taken at once.
const EVENTS: usize = 128;

pub(super) struct Relay {
    epoll: OwnedFd,
    pairs: Vec<Option<Pair>>,
    free: Vec<usize>,
    /// Pairs whose turn was over before they were dry.
    again: VecDeque<usize>,
    buffer: Vec<u8>,
    events: Vec<epoll::Event>,
}

struct Pair {
    ends: [OwnedFd; 2],
    /// Whether the direction that begins at this end has ended.
    done: [bool; 2],
}

impl Relay {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            pairs: Vec::new(),
            free: Vec::new(),
            again: VecDeque::new(),
            buffer: Vec::new(),
            events: Vec::new(),
        })
    }

    /// Readable when there is something to carry.
    pub(super) fn readiness(&self) -> &OwnedFd {
        &self.epoll
    }

    /// Whether something is left over from the last turn.
    pub(super) fn has_more(&self) -> bool {
        !self.again.is_empty()
    }

    /// From here on bytes go both ways. Beyond the bound both ends are reset.
    pub(super) fn add(&mut self, ends: [OwnedFd; 2]) {
        let pair = Pair { ends, done: [false; 2] };
        let at = match self.free.pop() {
            Some(at) => at,
            None if self.pairs.len() < PAIRS_MAX => {
                self.pairs.push(None);
                self.pairs.len().saturating_sub(1)
            }
            None => return pair.reset(),
        };
        let flags = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
        let watch = |end| epoll::add(&self.epoll, end, epoll::EventData::new_u64(at as u64), flags);
        if pair.ends.iter().try_for_each(watch).is_err() {
            self.free.push(at);
            return pair.reset();
        }
        if let Some(place) = self.pairs.get_mut(at) {
            *place = Some(pair);
        }
        self.buffer.resize(BUFFER_BYTES, 0);
        self.carry(at);
    }

    /// Carries what can be carried now.
    pub(super) fn turn(&mut self) {
        for _ in 0..self.again.len() {
            if let Some(at) = self.again.pop_front() {
                self.carry(at);
            }
        }
        let mut events = std::mem::take(&mut self.events);
        events.clear();
        events.reserve(EVENTS);
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        if epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&now)).is_ok() {
            for event in &events {
                self.carry(usize::try_from(event.data.u64()).unwrap_or(usize::MAX));
            }
        }
        self.events = events;
    }

    fn carry(&mut self, at: usize) {
        let Some(Some(pair)) = self.pairs.get_mut(at) else { return };
        let mut broken = false;
        for from in [0, 1] {
            if pair.done[from] {
                continue;
            }
            match pump(&pair.ends[from], &pair.ends[1 - from], &mut self.buffer) {
                Moved::Dry => {}
                Moved::More if self.again.contains(&at) => {}
                Moved::More => self.again.push_back(at),
                Moved::End => pair.done[from] = true,
                Moved::Broken => broken = true,
            }
        }
        if broken || pair.done == [true; 2] {
            let pair = self.pairs.get_mut(at).and_then(Option::take);
            self.free.push(at);
            self.again.retain(|other| *other != at);
            if let Some(pair) = pair.filter(|_| broken) {
                pair.reset();
            }
        }
    }
}

impl Pair {
    /// Closes both as if the other had broken off, not as if it had ended well.
    fn reset(self) {
        for end in &self.ends {
            reset(end);
        }
    }
}

/// Lets the close of this connection be a reset (SO_LINGER, socket(7)).
pub(crate) fn reset(end: &OwnedFd) {
    let _ = rustix::net::sockopt::set_socket_linger(end, Some(std::time::Duration::ZERO));
}

enum Moved {
    /// All that there was, or all that fitted.
    Dry,
    /// There may be more.
    More,
    /// The sender has ended, and the receiver was told.
    End,
    Broken,
}

fn pump(from: &OwnedFd, to: &OwnedFd, buffer: &mut [u8]) -> Moved {
    let mut moved = 0usize;
    while moved < TURN_BYTES {
        let there = match rustix::net::recv(from, &mut *buffer, RecvFlags::PEEK | RecvFlags::DONTWAIT) {
            Ok((_, 0)) => {
                let _ = rustix::net::shutdown(to, Shutdown::Write);
                return Moved::End;
            }
            Ok((_, there)) => there,
            Err(Errno::AGAIN) => return Moved::Dry,
            Err(Errno::INTR) => continue,
            Err(_) => return Moved::Broken,
        };
        let bytes = buffer.get(..there).unwrap_or_default();
        let sent = match rustix::net::send(to, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
            Ok(sent) => sent,
            Err(Errno::AGAIN) => return Moved::Dry,
            Err(Errno::INTR) => continue,
            Err(_) => return Moved::Broken,
        };
        let taken = buffer.get_mut(..sent).unwrap_or_default();
        if rustix::net::recv(from, taken, RecvFlags::TRUNC | RecvFlags::DONTWAIT).is_err() {
            return Moved::Broken;
        }
        moved = moved.saturating_add(sent);
    }
    Moved::More
}
