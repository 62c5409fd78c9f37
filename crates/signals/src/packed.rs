use std::collections::VecDeque;

/// Most bytes of a number with seven bits in each.
const VARINT_BYTES_MAX: usize = 10;

/// Rows of `N` numbers, each in a step of its own, oldest first. Most numbers of most rows are zero
/// and most rows are missing: a row is the distance to the one before, a mask of the numbers that are
/// not zero, and those, each in as many bytes as it needs.
#[derive(Debug, Default)]
pub(crate) struct Packed {
    bytes: VecDeque<u8>,
    /// The step from which the distance of the first row counts.
    before: u64,
    /// The step of the last row.
    last: u64,
}

impl Packed {
    /// Adds the row of a later step than all before; one that is not later is refused.
    pub(crate) fn push<const N: usize>(&mut self, step: u64, row: &[u64; N]) -> bool {
        if self.bytes.is_empty() {
            self.before = step;
            self.last = step;
        } else if step <= self.last {
            return false;
        }
        self.put(step.saturating_sub(self.last));
        let mask = row.iter().enumerate().filter(|(_, n)| **n != 0).fold(0u64, |mask, (at, _)| mask | bit(at));
        self.put(mask);
        for n in row.iter().filter(|n| **n != 0) {
            self.put(*n);
        }
        self.last = step;
        true
    }

    /// All rows from a step on, oldest first.
    pub(crate) fn rows<const N: usize>(&self, from: u64) -> impl Iterator<Item = (u64, [u64; N])> + '_ {
        let mut bytes = self.bytes.iter().copied();
        let mut step = self.before;
        std::iter::from_fn(move || {
            let (distance, row) = take::<N>(&mut bytes)?;
            step = step.saturating_add(distance);
            Some((step, row))
        })
        .filter(move |(step, _)| *step >= from)
    }

    /// Forgets the rows before a step.
    pub(crate) fn trim<const N: usize>(&mut self, from: u64) {
        loop {
            let mut bytes = self.bytes.iter().copied();
            let Some((distance, _)) = take::<N>(&mut bytes) else { break };
            let step = self.before.saturating_add(distance);
            if step >= from {
                break;
            }
            let left = bytes.len();
            let gone = self.bytes.len().saturating_sub(left);
            self.bytes.drain(..gone);
            self.before = step;
        }
        if self.bytes.capacity() > self.bytes.len().saturating_mul(2).saturating_add(64) {
            self.bytes.shrink_to(self.bytes.len().saturating_mul(3) / 2);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Bytes of memory beyond the value itself.
    pub(crate) fn memory(&self) -> usize {
        self.bytes.capacity()
    }

    fn put(&mut self, mut n: u64) {
        while n >= 0x80 {
            self.bytes.push_back((n & 0x7f) as u8 | 0x80);
            n >>= 7;
        }
        self.bytes.push_back(n as u8);
    }
}

fn bit(at: usize) -> u64 {
    1u64.checked_shl(u32::try_from(at).unwrap_or(u32::MAX)).unwrap_or(0)
}

fn take<const N: usize>(bytes: &mut impl Iterator<Item = u8>) -> Option<(u64, [u64; N])> {
    let distance = number(bytes)?;
    let mask = number(bytes)?;
    let mut row = [0; N];
    for (at, n) in row.iter_mut().enumerate() {
        if mask & bit(at) != 0 {
            *n = number(bytes)?;
        }
    }
    Some((distance, row))
}

fn number(bytes: &mut impl Iterator<Item = u8>) -> Option<u64> {
    let mut n = 0u64;
    for at in 0..VARINT_BYTES_MAX {
        let byte = bytes.next()?;
        let part = u64::from(byte & 0x7f);
        n |= part.checked_shl(u32::try_from(at.saturating_mul(7)).unwrap_or(u32::MAX)).unwrap_or(0);
        if byte & 0x80 == 0 {
            return Some(n);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_quiet_row_is_small_and_the_front_falls_off() {
        let mut packed = Packed::default();
        for step in 100..200u64 {
            assert!(packed.push(step, &[5u64, 0, 0, 900]));
        }
        assert!(!packed.push(199, &[1u64, 0, 0, 0]), "not later");
        assert_eq!(packed.bytes.len(), 100 * 5, "distance, mask, one byte and two");
        packed.trim::<4>(150);
        assert_eq!(packed.rows::<4>(0).next(), Some((150, [5, 0, 0, 900])));
        assert_eq!(packed.rows::<4>(190).count(), 10);
        packed.trim::<4>(500);
        assert!(packed.is_empty() && packed.memory() < 200);
        assert!(packed.push(7, &[u64::MAX, 0, 0, 0]));
        assert_eq!(packed.rows::<4>(0).collect::<Vec<_>>(), [(7, [u64::MAX, 0, 0, 0])]);
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(
            rows in prop::collection::vec((1u64..50, prop::array::uniform3(prop_oneof![Just(0u64), any::<u64>(), 0u64..200])), 0..60),
            cut in 0u64..2000,
        ) {
            let mut packed = Packed::default();
            let mut step = 0;
            let mut model = Vec::new();
            for (distance, row) in rows {
                step += distance;
                prop_assert!(packed.push(step, &row));
                model.push((step, row));
            }
            prop_assert_eq!(packed.rows::<3>(0).collect::<Vec<_>>(), model.clone());
            packed.trim::<3>(cut);
            model.retain(|(step, _)| *step >= cut);
            prop_assert_eq!(packed.rows::<3>(0).collect::<Vec<_>>(), model);
        }
    }
}
