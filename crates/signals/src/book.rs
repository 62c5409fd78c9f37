use std::collections::{BTreeMap, HashMap};

use base::ServiceName;

use crate::memory::RESOLUTIONS;
use crate::packed::Packed;

/// One number for each resolution.
pub(crate) type Each<T> = [T; RESOLUTIONS.len()];

/// What stands in a step of a series: `N` numbers, and how two of them become one.
pub(crate) trait Cell<const N: usize>: Copy {
    /// As it is put away.
    fn row(&self) -> [u64; N];
    /// As it was put away.
    fn of_row(row: [u64; N]) -> Self;
    /// Both together.
    fn plus(&self, other: &Self) -> Self;
}

/// The step that is filled now, and those before it, in one resolution.
#[derive(Debug)]
struct Track<C> {
    open: Option<(u64, C)>,
    done: Packed,
}

/// One series in every resolution.
#[derive(Debug)]
pub(crate) struct Series<C, const N: usize> {
    tracks: Each<Track<C>>,
}

impl<C: Cell<N>, const N: usize> Default for Series<C, N> {
    fn default() -> Self {
        Self { tracks: RESOLUTIONS.map(|_| Track { open: None, done: Packed::default() }) }
    }
}

impl<C: Cell<N>, const N: usize> Series<C, N> {
    /// Adds to the step of this moment, in every resolution.
    pub(crate) fn add(&mut self, at_s: u64, cell: C) {
        for (track, (step_s, _)) in self.tracks.iter_mut().zip(RESOLUTIONS) {
            let step = at_s / step_s;
            track.close(step);
            track.open = Some(match track.open {
                Some((open, before)) => (open, before.plus(&cell)),
                None => (step, cell),
            });
        }
    }

    /// The steps that have something, in one resolution, from a step on.
    pub(crate) fn read(&self, resolution: usize, from: u64) -> impl Iterator<Item = (u64, C)> {
        self.tracks.get(resolution).into_iter().flat_map(move |track| {
            let done = track.done.rows::<N>(from).map(|(step, row)| (step, C::of_row(row)));
            done.chain(track.open.filter(|(step, _)| *step >= from))
        })
    }

    /// Forgets what is older than these steps and puts away steps that are over. Whether something is left.
    pub(crate) fn trim(&mut self, floors: Each<u64>, now_s: u64) -> bool {
        let mut is_left = false;
        for ((track, floor), (step_s, _)) in self.tracks.iter_mut().zip(floors).zip(RESOLUTIONS) {
            track.close(now_s / step_s);
            track.done.trim::<N>(floor);
            is_left |= track.open.is_some() || !track.done.is_empty();
        }
        is_left
    }

    /// Bytes of memory in each resolution.
    pub(crate) fn memory(&self) -> Each<usize> {
        let mut sum = [size_of::<Track<C>>(); RESOLUTIONS.len()];
        for (sum, track) in sum.iter_mut().zip(&self.tracks) {
            *sum = sum.saturating_add(track.done.memory());
        }
        sum
    }
}

impl<C> Track<C> {
    /// Puts the open step away if it is over.
    fn close<const N: usize>(&mut self, now: u64)
    where
        C: Cell<N>,
    {
        if let Some((step, cell)) = self.open.filter(|(step, _)| *step < now) {
            self.done.push(step, &cell.row());
            self.open = None;
        }
    }
}

/// The series of each service, by key. A series without anything is not in it.
#[derive(Debug)]
pub(crate) struct Book<K, C, const N: usize> {
    services: HashMap<ServiceName, BTreeMap<K, Series<C, N>>>,
}

impl<K, C, const N: usize> Default for Book<K, C, N> {
    fn default() -> Self {
        Self { services: HashMap::new() }
    }
}

impl<K: Ord, C: Cell<N>, const N: usize> Book<K, C, N> {
    /// Adds to the step of this moment.
    pub(crate) fn add(&mut self, service: &ServiceName, key: K, at_s: u64, cell: C) {
        if !self.services.contains_key(service) {
            self.services.insert(service.clone(), BTreeMap::new());
        }
        if let Some(series) = self.services.get_mut(service) {
            series.entry(key).or_default().add(at_s, cell);
        }
    }

    /// The series of a service, in the order of their keys.
    pub(crate) fn of(&self, service: &ServiceName) -> impl Iterator<Item = (&K, &Series<C, N>)> {
        self.services.get(service).into_iter().flatten()
    }

    /// As [`Series::trim`], for all.
    pub(crate) fn trim(&mut self, floors: Each<u64>, now_s: u64) {
        self.services.retain(|_, series| {
            series.retain(|_, series| series.trim(floors, now_s));
            !series.is_empty()
        });
    }

    pub(crate) fn len(&self) -> usize {
        self.services.values().map(BTreeMap::len).sum()
    }

    /// Bytes of memory in each resolution.
    pub(crate) fn memory(&self) -> Each<usize> {
        let fixed = size_of::<K>() / RESOLUTIONS.len();
        let mut sum = [0usize; RESOLUTIONS.len()];
        for series in self.services.values().flat_map(BTreeMap::values) {
            for (sum, more) in sum.iter_mut().zip(series.memory()) {
                *sum = sum.saturating_add(more).saturating_add(fixed);
            }
        }
        sum
    }
}
