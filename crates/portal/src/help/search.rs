//! Finds a word in the help: documents by their sections, keys of the service file, codes of errors, endpoints.

use std::sync::LazyLock;

use api::errors::error_codes;
use api::manifest::explanations;

use super::topics;

/// Most that one search finds.
const FOUND_MAX: usize = 40;
/// Letters beside a hit that are shown.
const AROUND: usize = 90;

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// `document`, `key`, `error`, `endpoint`.
    pub kind: &'static str,
    pub title: String,
    pub path: String,
    /// The words around the first hit.
    pub around: String,
    score: usize,
}

/// What can be found.
struct Entry {
    kind: &'static str,
    title: String,
    path: String,
    text: String,
    /// For comparing: title and text in small letters.
    low_title: String,
    low_text: String,
}

fn entry(kind: &'static str, title: String, path: String, text: String) -> Entry {
    Entry { kind, low_title: title.to_lowercase(), low_text: text.to_lowercase(), title, path, text }
}

static ENTRIES: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    let sections = topics().iter().flat_map(|topic| {
        topic.sections.iter().map(|section| {
            let title = match section.heading.as_str() {
                "" => topic.title.to_owned(),
                heading => format!("{}: {heading}", topic.title),
            };
            let anchor = if section.anchor.is_empty() { String::new() } else { format!("#{}", section.anchor) };
            entry("document", title, format!("/help/{}{anchor}", topic.topic), section.text.clone())
        })
    });
    let keys = explanations().into_iter().map(|key| {
        let text = format!("{} {} {}", key.meaning, key.takes, key.example.unwrap_or_default());
        entry("key", key.key.to_owned(), format!("/help/service-file#{}", key.key), text)
    });
    let errors = error_codes().iter().map(|code| {
        entry(
            "error",
            code.code.to_owned(),
            format!("/help/errors/{}", code.code),
            format!("{} {}", code.means, code.advice),
        )
    });
    let endpoints = api::TABLE.iter().map(|row| {
        let title = format!("{} {}", row.method.word(), row.path);
        entry("endpoint", title, format!("/help/api#{}", row.id), format!("{} {}", row.id, row.summary.trim()))
    });
    sections.chain(keys).chain(errors).chain(endpoints).collect()
});

/// Everything that holds all of these words, the most fitting first.
pub(crate) fn search(query: &str) -> Vec<Found> {
    let words: Vec<String> = query.to_lowercase().split_whitespace().take(8).map(str::to_owned).collect();
    if words.is_empty() {
        return Vec::new();
    }
    let mut found: Vec<Found> = ENTRIES.iter().filter_map(|entry| fits(entry, &words)).collect();
    found.sort_by(|a, b| b.score.cmp(&a.score).then_with(|| a.title.cmp(&b.title)));
    found.truncate(FOUND_MAX);
    found
}

fn fits(entry: &Entry, words: &[String]) -> Option<Found> {
    let mut score = 0_usize;
    for word in words {
        let in_title = match entry.low_title.as_str() {
            title if title == word => 100,
            title if title.starts_with(word.as_str()) => 40,
            title if title.contains(word.as_str()) => 20,
            _ => 0,
        };
        let in_text = entry.low_text.matches(word.as_str()).count().min(5);
        if in_title == 0 && in_text == 0 {
            return None;
        }
        score = score.saturating_add(in_title).saturating_add(in_text);
    }
    let around = around(&entry.text, &entry.low_text, words.first()?);
    Some(Found { kind: entry.kind, title: entry.title.clone(), path: entry.path.clone(), around, score })
}

/// The words around the first hit, or the first ones.
fn around(text: &str, low: &str, word: &str) -> String {
    let hit = low.find(word).map_or(0, |at| low.get(..at).map_or(0, |before| before.chars().count()));
    let from = hit.saturating_sub(AROUND / 3);
    let part: String = text.chars().skip(from).take(AROUND.saturating_mul(2)).collect();
    let (before, behind) = (
        if from > 0 { "…" } else { "" },
        if text.chars().count() > from.saturating_add(AROUND.saturating_mul(2)) { "…" } else { "" },
    );
    format!("{before}{}{behind}", part.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(query: &str) -> (&'static str, String) {
        let found = search(query);
        let first = found.first().unwrap_or_else(|| panic!("nothing for {query}"));
        (first.kind, first.path.clone())
    }

    #[test]
    fn what_is_asked_for_comes_first() {
        assert_eq!(first("stale-version"), ("error", "/help/errors/stale-version".to_owned()));
        assert_eq!(first("run.health"), ("key", "/help/service-file#run.health".to_owned()));
        assert_eq!(first("startRollout").0, "endpoint");
        assert_eq!(first("invariants").0, "document");
        assert!(search("ZZqq-nothing").is_empty() && search("  ").is_empty());
        assert!(search("rollout").len() <= FOUND_MAX);
    }

    #[test]
    fn all_words_have_to_be_there() {
        assert!(search("rollout cancel").iter().all(|found| {
            let all = format!("{} {}", found.title, found.path).to_lowercase();
            all.contains("rollout") || !found.around.is_empty()
        }));
        assert!(search("rollout zzqq").is_empty());
    }
}
