//! Chance for load balancing and request ids: fast and well spread, not secret.

use std::cell::Cell;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};

thread_local! {
    static STATE: Cell<u64> = Cell::new(RandomState::new().build_hasher().finish());
}

/// The next 64 bits (SplitMix64; Steele, Lea, Flood 2014).
pub(crate) fn next() -> u64 {
    STATE.with(|state| {
        let next = state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        state.set(next);
        let mixed = (next ^ (next >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    })
}

/// A number from 0 up to, not including, `bound`; 0 where that is 0.
pub(crate) fn below(bound: u32) -> u32 {
    let wide = u64::from(bound).wrapping_mul(next() >> 32);
    u32::try_from(wide >> 32).unwrap_or(0)
}

/// Sixteen lower-case hex digits.
pub(crate) fn hex16(value: u64) -> [u8; 16] {
    let mut out = [b'0'; 16];
    let mut rest = value;
    for digit in out.iter_mut().rev() {
        *digit = b"0123456789abcdef".get(usize::try_from(rest & 15).unwrap_or(0)).copied().unwrap_or(b'0');
        rest >>= 4;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread() {
        let mut counts = [0u32; 10];
        (0..10_000).for_each(|_| counts[below(10) as usize] += 1);
        assert!(counts.iter().all(|c| (800..1200).contains(c)), "{counts:?}");
        assert_eq!(below(0), 0);
        assert_eq!(below(1), 0);
        assert_eq!(&hex16(0x0123_4567_89ab_cdef), b"0123456789abcdef");
    }
}
