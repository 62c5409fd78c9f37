use std::collections::{BTreeMap, BTreeSet};

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

/// Shorter values are not looked for: they would hide innocent text, and guessing them is no work.
const VALUE_BYTES_MIN: usize = 6;
/// A longer value is looked for in pieces of this length.
const PIECE_BYTES: usize = 512;
/// Most that is looked for, all forms of all values together; what is beyond it is left out, the longest first.
const FORMS_BYTES_MAX: usize = 512 << 10;

/// Keeps the values of secrets out of what an instance says, in the forms in which programs say
/// them by accident: as they are, in base64 (RFC 4648 §4 and §5, wherever in the encoded text they
/// begin), in hexadecimal, percent-encoded (RFC 3986 §2.1), escaped as in JSON (RFC 8259 §7), and
/// backwards. Whoever wants to let a secret out finds a form that is not here; that is no wall.
#[derive(Default)]
pub(crate) struct Redactor {
    found: Option<AhoCorasick>,
    /// What stands in the place of each form.
    labels: Vec<String>,
    longest: usize,
    /// Values that were left out.
    pub(crate) left_out: usize,
}

impl Redactor {
    /// Looks for these values; by name.
    pub(crate) fn of(values: &BTreeMap<String, String>) -> Self {
        let mut by_length: Vec<_> = values.iter().collect();
        by_length.sort_by_key(|(_, value)| value.len());
        let (mut forms, mut labels, mut left_out, mut total) = (Vec::new(), Vec::new(), 0, 0usize);
        for (name, value) in by_length {
            let own: BTreeSet<Vec<u8>> = pieces(value).into_iter().flat_map(forms_of).collect();
            let bytes: usize = own.iter().map(Vec::len).sum();
            if total.saturating_add(bytes) > FORMS_BYTES_MAX {
                left_out += 1;
                continue;
            }
            total += bytes;
            labels.extend(own.iter().map(|_| format!("[secret {name}]")));
            forms.extend(own);
        }
        if forms.is_empty() {
            return Self { left_out, ..Self::default() };
        }
        let longest = forms.iter().map(Vec::len).max().unwrap_or(0);
        let found = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(&forms);
        match found {
            Ok(found) => Self { found: Some(found), labels, longest, left_out },
            // Too many states for its numbers: cannot be with so few bytes.
            Err(_) => Self { left_out: values.len(), ..Self::default() },
        }
    }

    /// The same with the name of a secret in the place of its value.
    pub(crate) fn bytes(&self, text: &[u8]) -> Vec<u8> {
        match &self.found {
            Some(found) if found.is_match(text) => found.replace_all_bytes(text, &self.labels),
            _ => text.to_vec(),
        }
    }

    /// The same with the name of a secret in the place of its value.
    pub(crate) fn text(&self, text: &str) -> String {
        match &self.found {
            Some(found) => found.replace_all(text, &self.labels),
            None => text.to_owned(),
        }
    }

    /// So many bytes at the end of a text may be the beginning of a value.
    pub(crate) fn reach(&self) -> usize {
        self.longest.saturating_sub(1)
    }
}

/// A value as it may come: whole, or line by line.
fn pieces(value: &str) -> Vec<&[u8]> {
    let whole = std::iter::once(value.trim_end_matches(['\n', '\r']));
    whole
        .chain(value.lines())
        .flat_map(|part| part.as_bytes().chunks(PIECE_BYTES))
        .filter(|piece| piece.len() >= VALUE_BYTES_MIN)
        .collect()
}

/// All forms of a piece.
fn forms_of(piece: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = vec![piece.to_vec(), piece.iter().rev().copied().collect()];
    for upper in [false, true] {
        let digits = |byte: &u8| if upper { format!("{byte:02X}") } else { format!("{byte:02x}") };
        forms.push(piece.iter().map(digits).collect::<String>().into_bytes());
        forms.push(percent(piece, upper, "%20"));
        forms.push(percent(piece, upper, "+"));
    }
    for shift in 0..3usize {
        let shifted: Vec<u8> = std::iter::repeat_n(0, shift).chain(piece.iter().copied()).collect();
        // Only the letters that these bytes alone decide.
        let (from, to) = ((shift * 8).div_ceil(6), shifted.len() * 8 / 6);
        for encoded in [STANDARD.encode(&shifted), URL_SAFE.encode(&shifted)] {
            forms.extend(encoded.as_bytes().get(from..to).map(<[u8]>::to_vec));
        }
    }
    if let Ok(text) = std::str::from_utf8(piece) {
        let escaped = serde_json::to_string(text).unwrap_or_default();
        let escaped = escaped.trim_start_matches('"');
        let escaped = escaped.strip_suffix('"').unwrap_or(escaped);
        forms.extend([escaped.to_owned(), escaped.replace('/', "\\/"), ascii(escaped)].map(String::into_bytes));
        forms.push(text.chars().rev().collect::<String>().into_bytes());
    }
    forms
}

/// Everything but the unreserved characters of RFC 3986 §2.3.
fn percent(piece: &[u8], upper: bool, blank: &str) -> Vec<u8> {
    let mut out = String::new();
    for byte in piece {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(*byte)),
            b' ' => out.push_str(blank),
            byte if upper => out.push_str(&format!("%{byte:02X}")),
            byte => out.push_str(&format!("%{byte:02x}")),
        }
    }
    out.into_bytes()
}

/// As those escape JSON who keep to ASCII.
fn ascii(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            c if c.is_ascii() => out.push(c),
            c => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}"))),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: &str = "pa$$ wörd/\"quoted\"+=&?#\\end";

    fn redactor(values: &[(&str, &str)]) -> Redactor {
        Redactor::of(&values.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    fn check(text: &str) {
        let said = format!("before {text} after");
        let shown = redactor(&[("KEY", VALUE)]).text(&said);
        assert!(shown.contains("[secret KEY]"), "{said}");
        assert!(shown.starts_with("before ") && shown.ends_with(" after"), "{shown}");
        assert!(shown.len() < 60, "{shown}");
    }

    #[test]
    fn every_form_is_found() {
        check(VALUE);
        check(&VALUE.chars().rev().collect::<String>());
        check(&VALUE.bytes().map(|b| format!("{b:02x}")).collect::<String>());
        check(&VALUE.bytes().map(|b| format!("{b:02X}")).collect::<String>());
        check("pa%24%24%20w%C3%B6rd%2F%22quoted%22%2B%3D%26%3F%23%5Cend");
        check("pa%24%24+w%c3%b6rd%2f%22quoted%22%2b%3d%26%3f%23%5cend");
        check(r#"pa$$ wörd/\"quoted\"+=&?#\\end"#);
        check(r#"pa$$ wörd\/\"quoted\"+=&?#\\end"#);
        check(r#"pa$$ w\u00f6rd/\"quoted\"+=&?#\\end"#);
        for prefix in ["", "a", "ab", "abc", "user:"] {
            for encoded in [STANDARD.encode(format!("{prefix}{VALUE}xyz")), URL_SAFE.encode(format!("{prefix}{VALUE}"))]
            {
                let shown = redactor(&[("KEY", VALUE)]).text(&encoded);
                assert!(shown.contains("[secret KEY]") && shown.len() < 30, "{encoded}: {shown}");
            }
        }
    }

    #[test]
    fn values_of_many_lines_and_long_ones_are_found_in_pieces() {
        let pem = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nAQEFAASCBKcwggSjAgEAAoIBAQ\n-----END KEY-----\n";
        let shown = redactor(&[("PEM", pem)]).text("x MIIEvQIBADANBgkqhkiG9w0B y");
        assert_eq!(shown, "x [secret PEM] y");
        let long: String = (0..40_000u32).map(|n| char::from(b'a' + u8::try_from(n * n % 23 % 26).unwrap())).collect();
        let redactor = redactor(&[("LONG", &long)]);
        assert_eq!(redactor.left_out, 0);
        assert!(!redactor.text(&long).contains(&long[1000..1600]));
        assert!(redactor.reach() < base::limits::LOG_LINE_BYTES_MAX / 2);
    }

    #[test]
    fn short_values_and_innocent_text_stay() {
        let redactor = redactor(&[("A", "no"), ("B", ""), ("C", "\n\n")]);
        assert_eq!(redactor.text("no, nothing is hidden"), "no, nothing is hidden");
        assert_eq!(redactor.reach(), 0);
    }

    #[test]
    fn what_is_too_much_is_counted() {
        let values: BTreeMap<String, String> =
            (0..40).map(|n| (format!("K{n}"), format!("{n:05}").repeat(10_000))).collect();
        assert!(Redactor::of(&values).left_out > 0);
    }
}
