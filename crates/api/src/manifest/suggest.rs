//! What a person may have meant.

/// Foreign text for an error: short and without control characters.
pub(super) fn shown(text: &str) -> String {
    let mut out: String = text.chars().take(80).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(80).is_some() {
        out.push('…');
    }
    out
}

/// The one of `known` that is nearest to `text`, if it is near enough to have been meant.
pub(super) fn nearest<'k>(text: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    // Distances of long texts cost the product of their lengths; nothing known is that long.
    if text.len() > 100 {
        return None;
    }
    let text = text.to_ascii_lowercase();
    let near = |candidate: &'k str| {
        let lower = candidate.to_ascii_lowercase();
        let distance = strsim::osa_distance(&text, &lower);
        let prefix = text.len() >= 3 && (lower.starts_with(&text) || text.starts_with(&lower) && lower.len() >= 3);
        let allowed = (lower.chars().count() / 3).max(1);
        (distance <= allowed || prefix).then_some((distance, candidate))
    };
    known.into_iter().filter_map(near).min().map(|(_, candidate)| candidate)
}

/// `` `a`, `b` or `c` ``.
pub(super) fn one_of<'k>(known: impl IntoIterator<Item = &'k str>) -> String {
    let quoted: Vec<String> = known.into_iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => "nothing".to_owned(),
    }
}

/// A name in the grammar of services that is like `text`: `My_App` → `my-app`.
pub(super) fn as_label(text: &str) -> Option<String> {
    let words: Vec<String> = text
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    let label: String = words.join("-").chars().skip_while(|c| !c.is_ascii_lowercase()).take(40).collect();
    Some(label.trim_end_matches('-').to_owned()).filter(|label| !label.is_empty())
}

/// A name in the grammar of settings that is like `text`: `log-level` → `LOG_LEVEL`.
pub(super) fn as_setting(text: &str) -> Option<String> {
    let name: String = text
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
        .skip_while(|c| !c.is_ascii_uppercase())
        .take(128)
        .collect();
    Some(name).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, known: &[&str], expect: Option<&str>) {
        assert_eq!(nearest(text, known.iter().copied()), expect, "{text}");
    }

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let keys = ["service", "team", "kind", "build", "run", "size", "settings", "routes"];
        check("servcie", &keys, Some("service"));
        check("setting", &keys, Some("settings"));
        check("Kind", &keys, Some("kind"));
        check("rnu", &keys, Some("run"));
        check("deployment", &keys, None);
        check("", &keys, None);
        check(&"s".repeat(100_000), &keys, None);
        check("é", &keys, None);
    }

    #[test]
    fn lists_read_well() {
        assert_eq!(one_of(["a"]), "`a`");
        assert_eq!(one_of(["a", "b", "c"]), "`a`, `b` or `c`");
    }

    #[test]
    fn names_are_made_to_fit() {
        assert_eq!(as_label("My_App 2").as_deref(), Some("my-app-2"));
        assert_eq!(as_label("42"), None);
        assert_eq!(as_label("2-go").as_deref(), Some("go"));
        assert_eq!(as_setting("log-level").as_deref(), Some("LOG_LEVEL"));
        assert_eq!(as_setting("__"), None);
    }
}
