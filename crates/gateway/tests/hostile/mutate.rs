//! Mutations of JSON and of text, by a printed seed.

use serde_json::{Value, json};

/// A small generator (xorshift64*), so that a seed is all that a run needs.
pub struct Chance(u64);

impl Chance {
    pub const fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    pub fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.next()).unwrap() % count.max(1)
    }

    fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }
}

/// Every place of a document, as a pointer (RFC 6901).
fn places(value: &Value, at: &str, out: &mut Vec<String>) {
    out.push(at.to_owned());
    match value {
        Value::Object(map) => map.iter().for_each(|(key, one)| places(one, &format!("{at}/{key}"), out)),
        Value::Array(list) => list.iter().enumerate().for_each(|(n, one)| places(one, &format!("{at}/{n}"), out)),
        _ => {}
    }
}

/// Changes a document in one place, whatever its fields are.
pub fn document(value: &mut Value, chance: &mut Chance) {
    let mut all = Vec::new();
    places(value, "", &mut all);
    let (at, from) = (chance.pick(&all).clone(), chance.pick(&all).clone());
    let other = value.pointer(&from).cloned().unwrap_or_default();
    match chance.below(6) {
        // Missing, or there twice.
        0 => {
            let (parent, name) = at.rsplit_once('/').unwrap_or(("", ""));
            match value.pointer_mut(parent) {
                Some(Value::Object(map)) => drop(map.remove(name)),
                Some(Value::Array(list)) if !list.is_empty() => {
                    drop(list.remove(name.parse().unwrap_or(0) % list.len()))
                }
                _ => {}
            }
        }
        1 => {
            if let Some(Value::Array(list)) = value.pointer_mut(&at)
                && let Some(one) = list.first().cloned()
            {
                let count = *chance.pick(&[1, 1, 1, 40, 2000]);
                list.extend(std::iter::repeat_n(one, count));
            }
        }
        // Something from elsewhere, a field that nobody knows, or another value.
        2 => replace(value, &at, other),
        3 => {
            if let Some(Value::Object(map)) = value.pointer_mut(&at) {
                map.insert((*chance.pick(&["more", "", "\0", "format", "generation"])).to_owned(), other);
            }
        }
        4 => {
            let new = odd(chance);
            replace(value, &at, new);
        }
        _ => {
            let now = value.pointer(&at).cloned().unwrap_or_default();
            replace(value, &at, close_to(&now, chance));
        }
    }
}

fn replace(value: &mut Value, at: &str, new: Value) {
    if let Some(place) = value.pointer_mut(at) {
        *place = new;
    }
}

/// A value of another kind or beyond all measure.
fn odd(chance: &mut Chance) -> Value {
    let mut deep = json!([]);
    for _ in 0..*chance.pick(&[3, 100, 126]) {
        deep = json!([deep]);
    }
    let all = [
        Value::Null,
        json!(true),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(1e300),
        json!(i64::MAX),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(""),
        json!("\0"),
        json!("../../etc/passwd"),
        json!("a".repeat(100_000)),
        json!("ä☃\u{1f980}"),
        json!([]),
        json!({}),
        json!([[], {}, null]),
        deep,
    ];
    chance.pick(&all).clone()
}

/// A value of the same kind, a little off.
fn close_to(value: &Value, chance: &mut Chance) -> Value {
    match value {
        Value::Number(number) => {
            let n = number.as_i64().unwrap_or(0);
            json!(*chance.pick(&[n.wrapping_add(1), n.wrapping_sub(1), n.wrapping_neg(), 0, 99, 10_001, 1 << 53]))
        }
        Value::String(text) => {
            let cut: String = text.chars().take(chance.below(text.len())).collect();
            let all = [
                cut,
                format!("{text}{text}"),
                format!("{text} "),
                text.to_uppercase(),
                format!("{text}\0"),
                format!("-{text}"),
            ];
            json!(chance.pick(&all))
        }
        Value::Array(list) => Value::Array(list.iter().rev().cloned().collect()),
        other => other.clone(),
    }
}

/// Changes a text in one place.
pub fn text(bytes: &mut Vec<u8>, chance: &mut Chance) {
    let at = chance.below(bytes.len());
    match chance.below(12) {
        0 => bytes.truncate(at),
        1 => bytes.clear(),
        2 if at < bytes.len() => bytes[at] ^= 1 << chance.below(8),
        3 => bytes.insert(at.min(bytes.len()), 0xff),
        4 => bytes.insert(at.min(bytes.len()), 0),
        5 => bytes.extend(bytes.clone()),
        6 => *bytes = [b"\xef\xbb\xbf", bytes.as_slice()].concat(),
        7 => *bytes = b"[".repeat(*chance.pick(&[100, 100_000])),
        8 => *bytes = b"{\"routes\":".repeat(10_000),
        9 => drop(bytes.drain(..at)),
        10 if bytes.starts_with(b"{") => *bytes = [b"{\"format\":1,\"generation\":1,", &bytes[1..]].concat(),
        _ => *bytes = vec![b' '; at],
    }
}
