//! Chance that is the same for the same seed.

use parking_lot::Mutex;
use ports::Random;

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators").
pub struct Chance(Mutex<u64>);

impl Chance {
    /// A source from a seed.
    pub const fn seeded(seed: u64) -> Self {
        Self(Mutex::new(seed))
    }

    /// The inner state, to go on from later.
    pub fn state(&self) -> u64 {
        *self.0.lock()
    }

    /// The next number.
    pub fn number(&self) -> u64 {
        let mut state = self.0.lock();
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = *state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// A number below `most`; 0 where that is 0.
    pub fn below(&self, most: u64) -> u64 {
        self.number().checked_rem(most).unwrap_or(0)
    }

    /// Whether something that happens `parts` times in a thousand happens now.
    pub fn per_mille(&self, parts: u64) -> bool {
        parts > 0 && self.below(1000) < parts
    }

    /// One of several.
    pub fn pick<'a, T>(&self, of: &'a [T]) -> Option<&'a T> {
        let index = usize::try_from(self.below(of.len() as u64)).unwrap_or(0);
        of.get(index)
    }

    /// Another order (Fisher–Yates).
    pub fn shuffle<T>(&self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = usize::try_from(self.below(last as u64 + 1)).unwrap_or(0);
            items.swap(last, other);
        }
    }
}

impl Random for Chance {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            for (byte, source) in chunk.iter_mut().zip(self.number().to_le_bytes()) {
                *byte = source;
            }
        }
    }
}

/// The seeds to run: `SIM_SEED=7` that one, `SIM_SEEDS=500` so many, else the default.
pub fn seeds(default: u64) -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.trim().parse::<u64>().ok());
    match (number("SIM_SEED"), number("SIM_SEEDS")) {
        (Some(seed), _) => vec![seed],
        (None, many) => (1..=many.unwrap_or(default)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let (a, b, c) = (Chance::seeded(1), Chance::seeded(1), Chance::seeded(2));
        let of = |chance: &Chance| (0..8).map(|_| chance.below(1000)).collect::<Vec<_>>();
        assert_eq!(of(&a), of(&b));
        assert_ne!(of(&a), of(&c));
        assert_eq!(a.below(0), 0);
        let mut items = [1, 2, 3, 4, 5];
        a.shuffle(&mut items);
        items.sort_unstable();
        assert_eq!(items, [1, 2, 3, 4, 5]);
    }
}
