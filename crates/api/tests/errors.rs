//! Every code that the sources give has its page, and every page a code.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Crates whose problems reach nobody but their own tests and figures.
const OTHERS: [&str; 5] = ["bench", "demo", "e2e", "fuzz", "sim"];

/// What makes a problem or a refusal: the code is the first text in its brackets.
const MAKERS: [&str; 5] = ["Problem::", "Refusal::", "Fault::", "problem", "failed"];
/// The same where the gateway makes its own answers.
const OWN_MAKERS: [&str; 3] = ["Self::instance", "Self::client", "Self::new"];
/// That place.
const OWN_ANSWERS: &str = "gateway/src/proxy/page.rs";

fn sources(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of sources").flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        let for_tests = ["tests", "testing", "fuzzing", "conformance"].contains(&name.as_str());
        if path.is_dir() && !for_tests {
            sources(&path, out);
        } else if name.ends_with(".rs") && !name.ends_with("_tests.rs") && name != "tests.rs" {
            out.push(path);
        }
    }
}

/// The codes in a source: the first text of a maker's brackets, where it is a word of small letters.
fn codes(text: &str, own: bool) -> Vec<String> {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let mut found = Vec::new();
    let own = OWN_MAKERS.iter().filter(|_| own);
    for maker in MAKERS.iter().chain(own) {
        for (at, _) in text.match_indices(*maker) {
            let rest = &text[at + maker.len()..];
            let Some(bracket) = rest.find('(') else { continue };
            let is_whole = !text[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
            if !is_whole || !rest[..bracket].chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                continue;
            }
            found.extend(first_text(&rest[bracket + 1..]).map(str::to_owned));
        }
    }
    let cut = text.match_indices(".cut(\"").filter_map(|(at, _)| text[at + 6..].split('"').next());
    found.extend(cut.map(str::to_owned));
    found
}

/// The first argument that is a text, at the first or second place.
fn first_text(arguments: &str) -> Option<&str> {
    let before = arguments.find('"')?;
    let skipped = arguments[..before].trim();
    let plain = skipped.is_empty()
        || (skipped.ends_with(',') && skipped.matches(',').count() == 1 && !skipped.contains(['{', ';', '|', '=']));
    let text = arguments[before + 1..].split('"').next()?;
    let code = text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    (plain && code).then_some(text)
}

fn given() -> BTreeMap<String, PathBuf> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    for entry in fs::read_dir(crates).expect("the crates").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let source = entry.path().join("src");
        if !OTHERS.contains(&name.as_str()) && source.is_dir() {
            sources(&source, &mut files);
        }
    }
    let mut out = BTreeMap::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("a source");
        out.extend(codes(&text, file.ends_with(OWN_ANSWERS)).into_iter().map(|code| (code, file.clone())));
    }
    out
}

#[test]
fn every_code_has_a_page_and_every_page_a_code() {
    let given = given();
    assert!(given.len() > 300, "only {} codes were found in the sources", given.len());
    let told: BTreeSet<&str> = api::errors::error_codes().iter().map(|code| code.code).collect();
    let missing: Vec<String> = given
        .iter()
        .filter(|(code, _)| !told.contains(code.as_str()))
        .map(|(code, file)| format!("{code} ({})", file.display()))
        .collect();
    assert!(missing.is_empty(), "docs/errors.md says nothing of: {missing:#?}");
    let stale: Vec<&&str> = told.iter().filter(|code| !given.contains_key(**code)).collect();
    assert!(stale.is_empty(), "docs/errors.md explains what nothing gives any more: {stale:?}");
}

#[test]
fn a_planted_code_is_found() {
    let planted = r#"
        return Err(Problem::not_found("thing-not-found", format!("no {x}")));
        Problem::new(
            base::Kind::Stale,
            "two-lines",
            "text",
        )
        Refusal::new(431, "too-much", "Too much.", "RFC");
        exchange.cut("cut-off");
        let text = "not-a-code"; Problem::internal(code, format!("also-not"));
    "#;
    assert_eq!(codes("Self::new(StatusCode::OK, \"own-answer\", 1)", true), ["own-answer"]);
    assert_eq!(codes(planted, false), ["thing-not-found", "two-lines", "too-much", "cut-off"]);
}
