use serde::Serialize;

use super::keys::{KEYS, Key, Support, Takes};

/// What a key of the service file means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// Where it stands: `needs.*.service`.
    pub key: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// What may stand there, in words.
    pub takes: String,
    /// What is so without it; `None` where that makes no sense.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<&'static str>,
    /// How it is written; `None` where the platform cannot do it yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub example: Option<&'static str>,
    /// What to do instead, where the platform cannot do it yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_yet: Option<&'static str>,
    /// Words that are known here and not supported yet.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub words_not_yet: &'static [&'static str],
    /// The keys that stand in it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub within: Vec<&'static str>,
}

/// Explains a key: by its path (`run.command`), with a name of one's own in it
/// (`needs.inventory.service`, `settings.LOG_LEVEL`), or by its last word where only one key ends so
/// (`recipe`).
pub fn explain(key: &str) -> Option<Explanation> {
    let path = key.trim().trim_matches('.');
    let by_word = || {
        let mut same = KEYS.iter().filter(|key| key.name() == path);
        same.next().filter(|_| same.next().is_none())
    };
    KEYS.iter().find(|key| is_at(key, path)).or_else(by_word).map(Explanation::of)
}

/// Every key, in the order of the file.
pub fn explanations() -> Vec<Explanation> {
    KEYS.iter().map(Explanation::of).collect()
}

impl Explanation {
    fn of(key: &Key) -> Self {
        let some = |text: &'static str| Some(text).filter(|text| !text.is_empty());
        let prefix = |other: &Key| {
            other.path.strip_prefix(key.path).is_some_and(|rest| rest.starts_with('.') || rest.starts_with("[]."))
        };
        Self {
            key: key.path,
            meaning: key.meaning,
            takes: key.takes.words(),
            default: some(key.default),
            example: some(key.example),
            not_yet: match key.support {
                Support::Now => None,
                Support::NotYet(instead) => Some(instead),
            },
            words_not_yet: match key.takes {
                Takes::Words(_, later) => later,
                _ => &[],
            },
            within: KEYS.iter().filter(|other| prefix(other)).map(|other| other.path).collect(),
        }
    }
}

/// Whether a path that a person typed is the key's: `*` takes any name, `[]` any index or none.
fn is_at(key: &Key, path: &str) -> bool {
    let mut typed = path.split('.').map(|part| part.split('[').next().unwrap_or(part));
    let known = key.path.split('.').map(|part| part.trim_end_matches("[]"));
    let fits = |known: &str, typed: &str| known == typed || known == "*" && !typed.is_empty();
    known.into_iter().all(|known| typed.next().is_some_and(|typed| fits(known, typed))) && typed.next().is_none()
}
