//! Inputs made from seeds, the same for the same seed on every machine.

/// Longest input, bytes.
const BYTES_MAX: usize = 1 << 16;

/// xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled", 2016).
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`; 0 where there is none.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { usize::try_from(self.next() >> 16).unwrap_or(0) % end }
    }
}

/// Numbers at which counters and lengths turn over.
const EDGES: [u8; 9] = [0, 1, 0x0a, 0x0d, 0x20, 0x7f, 0x80, 0xfe, 0xff];
const NUMBERS: [&str; 9] =
    ["0", "-1", "1", "ffffffff", "4294967296", "9223372036854775807", "18446744073709551616", "1e999", "00000000000"];

/// A few changes to one of the seeds.
pub(crate) fn mutated(chance: &mut Chance, seeds: &[(String, Vec<u8>)], words: &[&str]) -> Vec<u8> {
    let pick =
        |chance: &mut Chance| seeds.get(chance.below(seeds.len())).map_or(&[][..], |(_, bytes)| bytes.as_slice());
    let mut bytes = pick(chance).to_vec();
    for _ in 0..=chance.below(6) {
        let at = chance.below(bytes.len() + 1);
        let end = (at + 1 + chance.below(16)).min(bytes.len());
        match chance.below(10) {
            0 | 1 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << chance.below(8);
                }
            }
            2 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = EDGES[chance.below(EDGES.len())];
                }
            }
            3 => drop(bytes.drain(at..end.max(at))),
            4 => bytes.truncate(at),
            5 => {
                let piece = bytes[at..end.max(at)].to_vec();
                let to = chance.below(bytes.len() + 1);
                for _ in 0..=chance.below(4) {
                    insert(&mut bytes, to, &piece);
                }
            }
            6 => {
                let number = NUMBERS[chance.below(NUMBERS.len())];
                insert(&mut bytes, at, number.as_bytes());
            }
            7 if !words.is_empty() => insert(&mut bytes, at, words[chance.below(words.len())].as_bytes()),
            8 => {
                let other = pick(chance);
                let from = chance.below(other.len() + 1);
                let piece = other[from..(from + chance.below(64)).min(other.len())].to_vec();
                insert(&mut bytes, at, &piece);
            }
            _ => {
                let random: Vec<u8> =
                    (0..=chance.below(4)).map(|_| u8::try_from(chance.below(256)).unwrap_or(0)).collect();
                insert(&mut bytes, at, &random);
            }
        }
    }
    bytes.truncate(BYTES_MAX);
    bytes
}

fn insert(bytes: &mut Vec<u8>, at: usize, piece: &[u8]) {
    let at = at.min(bytes.len());
    bytes.splice(at..at, piece.iter().copied());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_inputs_and_they_differ() {
        let seeds = [("a".to_owned(), b"GET / HTTP/1.1".to_vec()), ("b".to_owned(), vec![])];
        let all = |seed| {
            let mut chance = Chance::new(seed);
            (0..500).map(|_| mutated(&mut chance, &seeds, &["Host"])).collect::<Vec<_>>()
        };
        assert_eq!(all(7), all(7));
        assert_ne!(all(7), all(9));
        assert!(all(7).iter().collect::<std::collections::BTreeSet<_>>().len() > 300);
    }
}
