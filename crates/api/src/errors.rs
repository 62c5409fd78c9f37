//! What every code of a problem means and what to do about it: the text of `docs/errors.md`.

use std::sync::LazyLock;

use serde::Serialize;

/// The document as it is read by people.
pub const DOCUMENT: &str = include_str!("../../../docs/errors.md");

/// What to do about a fault that has no advice of its own.
const INTERNAL: &str = "tell whoever runs the platform, and name the request's id: its log has the reason.";

/// A code of problems, explained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorCode {
    /// The code.
    pub code: &'static str,
    /// Under which heading it stands.
    pub group: &'static str,
    /// What it means.
    pub means: &'static str,
    /// What to do.
    pub advice: &'static str,
}

/// All codes, in the order of the document.
pub fn error_codes() -> &'static [ErrorCode] {
    static CODES: LazyLock<Vec<ErrorCode>> = LazyLock::new(|| read(DOCUMENT));
    &CODES
}

/// One code explained.
pub fn explain_error(code: &str) -> Option<ErrorCode> {
    error_codes().iter().find(|known| known.code == code).copied()
}

/// Reads the document: `## group`, `### code`, what it means, `Do:` what to do.
fn read(text: &'static str) -> Vec<ErrorCode> {
    let mut codes = Vec::new();
    let (mut group, mut lines) = ("", text.lines().peekable());
    while let Some(line) = lines.next() {
        if let Some(heading) = line.strip_prefix("## ") {
            group = heading;
        } else if let Some(code) = line.strip_prefix("### ") {
            let means = lines.next().unwrap_or_default();
            let advice = lines.next_if(|line| line.starts_with("Do: ")).and_then(|line| line.strip_prefix("Do: "));
            codes.push(ErrorCode { code, group, means, advice: advice.unwrap_or(INTERNAL) });
        }
    }
    codes
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_stands_once_and_says_something() {
        let codes = error_codes();
        assert!(codes.len() > 300, "only {} codes were read", codes.len());
        assert_eq!(codes.iter().map(|c| c.code).collect::<BTreeSet<_>>().len(), codes.len(), "a code stands twice");
        for code in codes {
            assert!(!code.means.is_empty() && !code.means.starts_with("Do:"), "{} says nothing", code.code);
            assert!(code.advice.ends_with(['.', '`']), "{}: {}", code.code, code.advice);
            assert!(!code.group.is_empty());
        }
        assert_eq!(codes.len(), DOCUMENT.matches("\n### ").count());
    }

    #[test]
    fn a_code_is_explained_and_what_is_none_is_not() {
        let found = explain_error("stale-version").unwrap();
        assert!(found.means.contains("Somebody else changed it") && found.advice.contains("read it again"));
        assert_eq!(explain_error("audit-ok"), None);
        assert_eq!(explain_error("fact-not-json").unwrap().advice, INTERNAL);
    }
}
