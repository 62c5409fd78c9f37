use base::limits::MANIFEST_BYTES_MAX;
use proptest::prelude::*;

use super::FULL;
use crate::manifest::{FILE, parse, parse_bytes};

/// Whatever comes in: an answer, and a refusal is short, clean, placed and says what to do.
fn check(bytes: &[u8]) -> Option<base::Problem> {
    let problem = parse_bytes(bytes, FILE).err()?;
    let text = problem.to_string();
    assert!(text.len() < 2000 && !text.contains(char::is_control), "{text}");
    assert!(problem.hint.is_some(), "no hint: {problem:?}");
    assert!(problem.place.as_ref().is_some_and(|place| place.starts_with(FILE)), "{problem:?}");
    Some(problem)
}

fn refused(bytes: &[u8], code: &str) {
    let problem = check(bytes).unwrap_or_else(|| panic!("taken: {} bytes", bytes.len()));
    assert_eq!(problem.code, code, "{problem}");
}

#[test]
fn nesting() {
    for open in ["[", "{", "{a: ", "[{", "- ", "? ", "a: [", "&a [", "!!seq ["] {
        refused(open.repeat(100_000 / open.len()).as_bytes(), "bad-yaml");
    }
    let deep: String = (0..500).map(|n| format!("{}a:\n", " ".repeat(n))).collect();
    refused(deep.as_bytes(), "bad-yaml");
    let balanced = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    refused(balanced.as_bytes(), "bad-yaml");
}

#[test]
fn alias_bombs() {
    let mut laughs = "settings:\n  A: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for n in 1..10 {
        let uses = vec![format!("*a{}", n - 1); 9].join(", ");
        laughs.push_str(&format!("  A{n}: &a{n} [{uses}]\n"));
    }
    refused(laughs.as_bytes(), "manifest-too-large");
    let long = format!(
        "settings:\n  A: &a {}\n{}",
        "x".repeat(60_000),
        (0..400).map(|n| format!("  B{n}: *a\n")).collect::<String>()
    );
    refused(long.as_bytes(), "manifest-too-large");
    let many = format!("a: &a x\nb: [{}]", "*a,".repeat(80_000));
    refused(many.as_bytes(), "manifest-too-large");
    let keys: String = (0..9_000).map(|n| format!("&k{n} \"{n}\": x\n")).collect();
    check(keys.as_bytes());
}

#[test]
fn size() {
    refused(format!("team: {}", "x".repeat(10 << 20)).as_bytes(), "manifest-too-large");
    refused(&vec![0xff; MANIFEST_BYTES_MAX + 1], "manifest-too-large");
    let comment = format!("#{}", "x".repeat(MANIFEST_BYTES_MAX - 1));
    assert!(parse(&comment, FILE).is_ok());
    let most = "x".repeat(MANIFEST_BYTES_MAX - 10);
    for begin in
        ["team: ", "team: \"", "team: '", "team: |\n ", "\"", "? ", "&", "*", "!", "%", "- ", "settings: {A: ", "${"]
    {
        check(format!("{begin}{most}").as_bytes());
    }
    let items = "-\n".repeat(100_000);
    refused(items.as_bytes(), "manifest-too-large");
    let settings: String = (0..600).map(|n| format!("  A{n}: x\n")).collect();
    refused(format!("settings:\n{settings}").as_bytes(), "bad-value");
    let dollars = "$".repeat(60_000);
    assert!(parse(&format!("settings: {{ A: '{dollars}' }}"), FILE).is_ok());
    refused(format!("settings: {{ A: '{}' }}", "${".repeat(20_000)).as_bytes(), "bad-reference");
    let chain: String = (0..499).map(|n| format!("  A{n}: \"${{settings.A{}}}\"\n", n + 1)).collect();
    check(format!("settings:\n{chain}").as_bytes());
}

#[test]
fn strange_characters() {
    for text in [
        "\u{feff}\u{feff}kind: web",
        "kind: web\u{feff}",
        "\0",
        "kind: web\0",
        "\u{85}kind: web",
        "kind:\u{2028}web",
        "\u{202e}kind: web",
        "\r",
        "\r\r\n",
        "\t",
        "\tkind: web",
        "kind:\tweb",
        "%YAML 9.9\n---\n",
        "%YAML 1.1\n---\nkind: web",
        "%TAG ! x\n---\n!y z",
        "%FOO\n",
        "--- ---\n",
        "...",
        "... x",
        "!",
        "&",
        "*",
        "? ",
        ": ",
        "- - - -",
        "{,}",
        "[,]",
        "{a}",
        "{a, b}",
        "[a: b]",
        "|",
        ">",
        "|9",
        "\"\\",
        "\"\\u",
        "\"\\UFFFFFFFF\"",
        "'",
        "@",
        "`",
        "kind: @x",
        "<<: *a",
        "&a *a",
        "&a &b c",
        "kind: !!float web",
        "!!map {}",
        "!!null",
        "a: b: c",
        "kind: web # x",
        "#",
        "kind : web",
    ] {
        check(text.as_bytes());
    }
    for bytes in [&b"\xff\xfek\0i\0n\0d\0"[..], b"\xfe\xff\0k", b"\x80", b"kind: \xf0\x9f", b"\xed\xa0\x80"] {
        refused(bytes, "bad-yaml");
    }
}

/// Every file that is one cut, doubling or exchange away from a good one.
#[test]
fn mutations_of_a_good_file() {
    let bytes = FULL.as_bytes();
    let strange = [
        b'\0', b'\t', b'\n', b' ', b'\'', b'"', b'{', b'}', b'[', b']', b':', b'-', b'&', b'*', b'!', b'#', b'$', b'%',
        0xff, b'x', b'0',
    ];
    for at in 0..bytes.len() {
        check(&bytes[..at]);
        check(&[&bytes[..at], &bytes[at + 1..]].concat());
        check(&[&bytes[..=at], &bytes[at..]].concat());
        let byte = strange[at % strange.len()];
        check(&[&bytes[..at], &[byte], &bytes[at + 1..]].concat());
        check(&[&bytes[..at], &[byte], &bytes[at..]].concat());
    }
    let lines: Vec<&str> = FULL.lines().collect();
    for from in 0..lines.len() {
        for to in 0..lines.len() {
            let mut swapped = lines.clone();
            swapped.swap(from, to);
            check(swapped.join("\n").as_bytes());
        }
    }
}

proptest! {
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        check(&bytes);
    }

    #[test]
    fn any_text_of_its_own_characters(text in "[a-z:{}\\[\\],&*!|>'\"%@#?$.\\-\\n\\r\\t ]{0,120}") {
        check(text.as_bytes());
    }

    #[test]
    fn any_value_behind_any_key(index in 0..crate::manifest::KEYS.len(), value in "\\PC{0,40}") {
        let path = crate::manifest::KEYS[index].path.replace('*', "a").replace("[]", "");
        let nested = path.split('.').enumerate().map(|(depth, key)| format!("{}{key}:", "\n".repeat(usize::from(depth > 0)) + &" ".repeat(depth))).collect::<String>();
        check(format!("{nested} {value}").as_bytes());
        check(format!("{nested} {value:?}").as_bytes());
    }

    #[test]
    fn references_never_break(text in "[a-zA-Z${}.]{0,60}") {
        let expanded = crate::manifest::expand(&text, |_| Some("v".to_owned()));
        prop_assert_eq!(expanded.is_ok(), crate::manifest::references(&text).is_ok());
    }
}
