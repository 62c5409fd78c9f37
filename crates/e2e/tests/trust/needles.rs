//! Secrets and the forms in which each of them is looked for. Written without a look at how the
//! platform hides them.

use std::collections::BTreeMap;

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// The six encodings.
pub const ENCODINGS: [&str; 6] = ["plain", "base64", "hexadecimal", "percent", "JSON", "reversed"];

/// One planted secret.
#[derive(Debug, Clone)]
pub struct Planted {
    /// The way it came in.
    pub way: String,
    pub value: String,
    /// Places, by the beginning of their names, where it is by right: what a person published
    /// themselves, or their own environment.
    pub by_right: &'static [&'static str],
}

/// What was found where it must not be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    pub way: String,
    pub encoding: &'static str,
    pub place: String,
}

/// Looks for all forms of all secrets at once.
pub struct Finder {
    planted: Vec<Planted>,
    found: AhoCorasick,
    /// Secret and encoding of each form.
    meaning: Vec<(usize, &'static str)>,
}

impl Finder {
    pub fn of(planted: &[Planted]) -> Self {
        let mut forms: BTreeMap<Vec<u8>, (usize, &'static str)> = BTreeMap::new();
        for (n, one) in planted.iter().enumerate() {
            for (encoding, form) in forms_of(&one.value) {
                forms.entry(form).or_insert((n, encoding));
            }
        }
        let found = AhoCorasick::new(forms.keys()).expect("few forms");
        Self { planted: planted.to_vec(), found, meaning: forms.into_values().collect() }
    }

    /// How many forms are looked for.
    pub fn forms(&self) -> usize {
        self.meaning.len()
    }

    /// All that is there, also what is there by right.
    pub fn all_in(&self, place: &str, bytes: &[u8]) -> Vec<(Found, bool)> {
        let mut all: Vec<_> = self
            .found
            .find_overlapping_iter(bytes)
            .map(|hit| {
                let (n, encoding) = self.meaning[hit.pattern().as_usize()];
                let one = &self.planted[n];
                let by_right = one.by_right.iter().any(|begin| place.starts_with(begin));
                (Found { way: one.way.clone(), encoding, place: place.to_owned() }, by_right)
            })
            .collect();
        all.sort();
        all.dedup();
        all
    }

    /// What is there and must not be.
    pub fn look(&self, place: &str, bytes: &[u8]) -> Vec<Found> {
        self.all_in(place, bytes).into_iter().filter(|(_, by_right)| !by_right).map(|(found, _)| found).collect()
    }
}

/// A value in each encoding; a value of many lines also by its longest line.
pub fn forms_of(value: &str) -> Vec<(&'static str, Vec<u8>)> {
    let longest = value.lines().max_by_key(|line| line.len()).unwrap_or_default();
    let mut forms = Vec::new();
    for text in [value, longest] {
        // Of a long one any part would do; its beginning is looked for.
        let text: String = text.chars().take(200).collect();
        let bytes = text.as_bytes();
        forms.push(("plain", bytes.to_vec()));
        forms.push(("reversed", text.chars().rev().collect::<String>().into_bytes()));
        forms.push(("hexadecimal", bytes.iter().map(|b| format!("{b:02x}")).collect::<String>().into_bytes()));
        forms.push(("hexadecimal", bytes.iter().map(|b| format!("{b:02X}")).collect::<String>().into_bytes()));
        for shift in 0..3 {
            let shifted = [&vec![0; shift][..], bytes].concat();
            let skip = [0, 2, 3][shift];
            let keep = shifted.len() * 8 / 6;
            for encoded in [STANDARD_NO_PAD.encode(&shifted), URL_SAFE_NO_PAD.encode(&shifted)] {
                forms.push(("base64", encoded.as_bytes()[skip..keep].to_vec()));
            }
        }
        let json = serde_json::to_string(&text).expect("a text is JSON");
        forms.push(("JSON", json.as_bytes()[1..json.len() - 1].to_vec()));
        for lower in [false, true] {
            let percent = |b: &u8| match b {
                b if b.is_ascii_alphanumeric() || b"-._~".contains(b) => char::from(*b).to_string(),
                b if lower => format!("%{b:02x}"),
                b => format!("%{b:02X}"),
            };
            forms.push(("percent", bytes.iter().map(percent).collect::<String>().into_bytes()));
        }
    }
    forms
}

#[test]
fn the_finder_finds_every_encoding() {
    let value = "pl4nted \"secret\"/ö+&%=x";
    let planted = Planted { way: "w".into(), value: value.into(), by_right: &["allowed"] };
    let finder = Finder::of(&[planted]);
    for (encoding, form) in forms_of(value) {
        let text = [&b"before "[..], &form, b" after"].concat();
        assert!(!finder.look("somewhere", &text).is_empty(), "{encoding}");
        assert!(finder.look("allowed/file", &text).is_empty());
    }
    for prefix in ["", "a", "ab", "user:"] {
        let text = STANDARD_NO_PAD.encode(format!("{prefix}{value}and more"));
        assert!(!finder.look("somewhere", text.as_bytes()).is_empty(), "{prefix}");
    }
    let encodings: std::collections::BTreeSet<_> = forms_of(value).into_iter().map(|(e, _)| e).collect();
    assert_eq!(encodings, ENCODINGS.into_iter().collect());
    assert!(finder.look("somewhere", b"nothing of it").is_empty());
}
