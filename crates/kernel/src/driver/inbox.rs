//! What a reconciler has to look at, and when. Nothing of it is remembered over a restart, and
//! nothing has to be: a new life begins with a look at everything.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base::{Result, ServiceName};
use ports::Clock;
use store::{Read, Wake};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use crate::Scope;

/// Services looked at in one run, so that whoever is woken meanwhile does not wait for long.
const AT_ONCE: usize = 100;
/// Subjects of one part of a look at everything.
const SLICE: u32 = 150;
/// More than so many are not told one by one.
const DUE_MAX: usize = 5_000;
/// After each part of a look at everything comes a pause so many times as long as it took: a seventh of
/// a hundredth of one processor for each of the few that look so, however much there is to look at.
const PAUSE_PER_WORK: u32 = 700;
/// Behind every subject of a service in the order of subjects.
const BEHIND: char = '\u{10FFFF}';

/// What one reconciler was woken for since it last looked.
pub(super) struct Inbox {
    wakes: broadcast::Receiver<Wake>,
    kinds: &'static [&'static str],
    due: BTreeSet<ServiceName>,
    /// When to look again by itself, by the clock's [`Clock::elapsed`].
    timers: BTreeMap<ServiceName, Duration>,
    /// Not there for who looks at everything each time.
    sweep: Option<Sweep>,
    /// Whether it was woken at all.
    is_woken: bool,
}

/// A look at everything, a part at a time.
struct Sweep {
    /// The last subject of the part before.
    after: String,
    /// Something may have been missed: the parts follow one another without a pause.
    is_hasty: bool,
    /// When the next part is due; never where there is no more.
    next: Duration,
    /// Whether the run under way has a part.
    is_taken: bool,
}

impl Sweep {
    fn hasty() -> Self {
        Self { after: String::new(), is_hasty: true, next: Duration::ZERO, is_taken: false }
    }
}

impl Inbox {
    /// For a reconciler that is woken by these kinds and looks at everything each time, or at some
    /// services.
    pub(super) fn new(wakes: broadcast::Receiver<Wake>, kinds: &'static [&'static str], by_service: bool) -> Self {
        let sweep = by_service.then(Sweep::hasty);
        Self { wakes, kinds, due: BTreeSet::new(), timers: BTreeMap::new(), sweep, is_woken: false }
    }

    /// Waits until it is woken.
    pub(super) async fn woken(&mut self) {
        loop {
            match self.wakes.recv().await {
                Ok(wake) => {
                    if self.hear(&wake) {
                        return;
                    }
                }
                // Missed some: any of them may have been ours.
                Err(RecvError::Lagged(_)) => return self.add(Scope::Everything),
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    /// Takes wake-ups in for as long as it is polled.
    pub(super) async fn listen(&mut self) {
        loop {
            self.woken().await;
        }
    }

    /// Takes in what has come.
    pub(super) fn drain(&mut self) {
        loop {
            match self.wakes.try_recv() {
                Ok(wake) => drop(self.hear(&wake)),
                Err(TryRecvError::Lagged(_)) => self.add(Scope::Everything),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    fn hear(&mut self, wake: &Wake) -> bool {
        if &*wake.kind == store::ANYTHING {
            self.add(Scope::Everything);
            return true;
        }
        let is_ours = self.kinds.iter().any(|kind| **kind == *wake.kind);
        if is_ours {
            self.add(Scope::of_subject(&wake.subject));
        }
        is_ours
    }

    pub(super) fn add(&mut self, scope: Scope) {
        let Some(sweep) = &mut self.sweep else {
            self.is_woken = true;
            return;
        };
        match scope {
            Scope::Services(services) => self.due.extend(services),
            Scope::Everything => *sweep = Sweep::hasty(),
        }
        if self.due.len() > DUE_MAX {
            self.due.clear();
            *sweep = Sweep::hasty();
        }
    }

    /// Adds the next part of everything, if it is due.
    pub(super) async fn slice(&mut self, read: &mut impl Read, kind: &str, now: Duration) -> Result<()> {
        let Some(sweep) = self.sweep.as_mut().filter(|sweep| now >= sweep.next && self.due.len() < AT_ONCE) else {
            return Ok(());
        };
        let subjects = store::subjects_after(read, kind, &sweep.after, SLICE).await?;
        match subjects.last() {
            Some(last) if subjects.len() >= usize::try_from(SLICE).unwrap_or(usize::MAX) => {
                let (name, _) = last.split_once('/').unwrap_or((last, ""));
                sweep.after = format!("{name}/{BEHIND}");
            }
            _ => (sweep.after, sweep.is_hasty) = (String::new(), false),
        }
        sweep.is_taken = true;
        self.due.extend(subjects.iter().filter_map(|subject| service_of(subject)));
        Ok(())
    }

    /// What is due, not more than can be looked at in one run.
    pub(super) fn take(&mut self, now: Duration) -> BTreeSet<ServiceName> {
        let ripe = self.timers.iter().filter(|(_, at)| **at <= now).map(|(service, _)| service.clone());
        let ripe: Vec<ServiceName> = ripe.collect();
        self.due.extend(ripe);
        self.is_woken = false;
        let mut due = std::mem::take(&mut self.due);
        // A part of everything is as long as it is; what woke it beside that is bounded.
        if let Some(first_left) = due.iter().nth(AT_ONCE.saturating_mul(2)).cloned() {
            self.due = due.split_off(&first_left);
        }
        for service in &due {
            self.timers.remove(service);
        }
        due
    }

    /// A run has ended well; these are to be looked at again after a while.
    pub(super) fn done(&mut self, again: Vec<(ServiceName, Duration)>, now: Duration) {
        for (service, after) in again {
            let at = now.saturating_add(after);
            self.timers.entry(service).and_modify(|known| *known = at.min(*known)).or_insert(at);
        }
    }

    /// A run has failed: what it was about is due again.
    pub(super) fn failed(&mut self, due: BTreeSet<ServiceName>) {
        self.due.extend(due);
        self.sweep.iter_mut().for_each(|sweep| sweep.is_taken = false);
    }

    /// Paces the look at everything after a run.
    pub(super) fn rest(&mut self, clock: &dyn Clock, every: Duration, took: Duration) {
        let Some(sweep) = &mut self.sweep else { return };
        if std::mem::take(&mut sweep.is_taken) {
            let pause = match sweep.is_hasty {
                true => Duration::ZERO,
                false => every.max(took.saturating_mul(PAUSE_PER_WORK)),
            };
            sweep.next = clock.elapsed().saturating_add(pause);
        }
    }

    /// After a look at everything there is no other, unless something was missed.
    pub(super) fn rest_for_ever(&mut self) {
        let Some(sweep) = &mut self.sweep else { return };
        if std::mem::take(&mut sweep.is_taken) && !sweep.is_hasty {
            sweep.next = Duration::MAX;
        }
    }

    /// Whether there is more that is due now.
    pub(super) fn is_behind(&self) -> bool {
        self.is_woken || !self.due.is_empty() || self.sweep.as_ref().is_some_and(|sweep| sweep.is_hasty)
    }

    /// How long until something is due by the clock, at most `every`.
    pub(super) fn pause(&self, clock: &dyn Clock, every: Duration) -> Duration {
        if self.is_behind() {
            return Duration::ZERO;
        }
        let part = self.sweep.as_ref().map_or(Duration::MAX, |sweep| sweep.next);
        let next = self.timers.values().min().copied().unwrap_or(Duration::MAX).min(part);
        next.saturating_sub(clock.elapsed()).min(every)
    }
}

/// The service that a subject is about.
pub(super) fn service_of(subject: &str) -> Option<ServiceName> {
    subject.split('/').next()?.parse().ok()
}

/// Every service that has a fact of this kind.
pub(super) async fn all(read: &mut impl Read, kind: &str) -> Result<BTreeSet<ServiceName>> {
    let mut services = BTreeSet::new();
    let mut after = String::new();
    loop {
        let subjects = store::subjects_after(read, kind, &after, SLICE).await?;
        services.extend(subjects.iter().filter_map(|subject| service_of(subject)));
        match subjects.last() {
            Some(last) => after.clone_from(last),
            None => return Ok(services),
        }
    }
}

impl Scope {
    /// Nothing at all.
    pub fn nothing() -> Self {
        Self::Services(BTreeSet::new())
    }

    /// The service that a subject is about; everything, where it is about no service.
    pub fn of_subject(subject: &str) -> Self {
        service_of(subject).map_or(Self::Everything, |service| Self::Services(BTreeSet::from([service])))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn inbox() -> (broadcast::Sender<Wake>, Inbox) {
        let (to, wakes) = broadcast::channel(4);
        let mut inbox = Inbox::new(wakes, &["run.instances", "access.setting"], true);
        inbox.sweep = Some(Sweep { next: Duration::MAX, is_hasty: false, ..Sweep::hasty() });
        (to, inbox)
    }

    fn is_hasty(inbox: &Inbox) -> bool {
        inbox.sweep.as_ref().is_some_and(|sweep| sweep.is_hasty)
    }

    fn wake(kind: &str, subject: &str) -> Wake {
        Wake { kind: Arc::from(kind), subject: Arc::from(subject), seq: base::FactSeq(1) }
    }

    fn names(services: &BTreeSet<ServiceName>) -> Vec<&str> {
        services.iter().map(ServiceName::as_str).collect()
    }

    #[test]
    fn it_keeps_where_and_nothing_else() {
        let (to, mut inbox) = inbox();
        for (kind, subject) in [("run.instances", "shop/dev"), ("run.instances", "shop/prod"), ("run.other", "a/dev")] {
            to.send(wake(kind, subject)).unwrap();
        }
        inbox.drain();
        assert!(inbox.is_behind());
        assert_eq!(names(&inbox.take(Duration::ZERO)), ["shop"]);
        assert!(!inbox.is_behind() && inbox.take(Duration::ZERO).is_empty());
    }

    #[test]
    fn what_it_cannot_place_or_missed_leads_to_everything() {
        let (to, mut inbox) = inbox();
        to.send(wake("access.setting", "*/*/COLOUR")).unwrap();
        inbox.drain();
        assert!(is_hasty(&inbox) && inbox.due.is_empty());

        let (to, mut inbox) = self::inbox();
        for _ in 0..9 {
            to.send(wake("run.other", "shop/dev")).unwrap();
        }
        inbox.drain();
        assert!(is_hasty(&inbox), "it lagged behind");

        let (to, mut inbox) = self::inbox();
        to.send(wake(store::ANYTHING, "")).unwrap();
        inbox.drain();
        assert!(is_hasty(&inbox));
    }

    #[test]
    fn who_looks_at_everything_each_time_rests_until_it_is_woken() {
        let (to, wakes) = broadcast::channel(4);
        let mut inbox = Inbox::new(wakes, &["run.instances"], false);
        assert!(!inbox.is_behind());
        to.send(wake("run.instances", "shop/dev")).unwrap();
        inbox.drain();
        assert!(inbox.is_behind() && inbox.take(Duration::ZERO).is_empty());
        assert!(!inbox.is_behind());
    }

    #[test]
    fn what_failed_is_due_again_and_timers_ripen() {
        let (_to, mut inbox) = inbox();
        let shop: ServiceName = "shop".parse().unwrap();
        inbox.add(Scope::of_subject("shop/dev"));
        let due = inbox.take(Duration::ZERO);
        inbox.failed(due);
        assert_eq!(names(&inbox.take(Duration::ZERO)), ["shop"]);
        let at = Duration::from_secs;
        inbox.done(vec![(shop.clone(), at(3)), (shop.clone(), at(2))], at(10));
        assert!(inbox.take(at(11)).is_empty());
        assert_eq!(names(&inbox.take(at(12))), ["shop"]);
        assert!(inbox.take(at(60)).is_empty(), "once");
    }

    #[test]
    fn a_run_is_bounded_and_nothing_is_lost_by_that() {
        let (_to, mut inbox) = inbox();
        let all: BTreeSet<ServiceName> = (0..950).map(|n| format!("s{n}").parse().unwrap()).collect();
        inbox.add(Scope::Services(all.clone()));
        let mut seen = BTreeSet::new();
        while inbox.is_behind() {
            let due = inbox.take(Duration::ZERO);
            assert!(!due.is_empty() && due.len() <= 2 * AT_ONCE);
            seen.extend(due);
        }
        assert_eq!(seen, all);
        let many = (0..=DUE_MAX).map(|n| format!("s{n}").parse().unwrap()).collect();
        inbox.add(Scope::Services(many));
        assert!(is_hasty(&inbox) && inbox.due.is_empty(), "too many are everything");
    }
}
