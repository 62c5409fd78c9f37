use std::collections::BTreeMap;

use base::EnvironmentName;

/// What an environment runs, as far as it can differ from another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    pub number: i64,
    pub commit: Option<String>,
    /// Settings by name: version, and whether the value belongs to this environment alone.
    pub settings: BTreeMap<String, (i64, bool)>,
}

/// What differs from the environment before, one line each.
pub(crate) fn differs(here: Option<&Standing>, before: Option<&Standing>, name: &EnvironmentName) -> Vec<String> {
    let (here, before) = match (here, before) {
        (None, None) => return Vec::new(),
        (None, Some(before)) => return vec![format!("nothing runs here; {name} runs release {}", before.number)],
        (Some(here), None) => return vec![format!("release {} runs here; {name} runs nothing", here.number)],
        (Some(here), Some(before)) => (here, before),
    };
    let mut lines = Vec::new();
    if here.number != before.number {
        lines.push(format!("release {} here, {} in {name}", here.number, before.number));
    }
    if here.commit != before.commit {
        lines.push(format!("commit {} here, {} in {name}", short(&here.commit), short(&before.commit)));
    }
    let names: std::collections::BTreeSet<&String> = here.settings.keys().chain(before.settings.keys()).collect();
    for setting in names {
        match (here.settings.get(setting), before.settings.get(setting)) {
            (Some(_), None) => lines.push(format!("setting {setting} is only here")),
            (None, Some(_)) => lines.push(format!("setting {setting} is only in {name}")),
            (Some((_, true)), Some(_)) => lines.push(format!("setting {setting} has a value of its own here")),
            (Some(_), Some((_, true))) => lines.push(format!("setting {setting} has a value of its own in {name}")),
            (Some((a, _)), Some((b, _))) if a != b => {
                lines.push(format!("setting {setting} is version {a} here, {b} in {name}"));
            }
            _ => {}
        }
    }
    lines
}

fn short(commit: &Option<String>) -> String {
    commit.as_ref().map_or_else(|| "unknown".to_owned(), |commit| commit.chars().take(9).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(number: i64, commit: &str, settings: &[(&str, i64, bool)]) -> Standing {
        let settings = settings.iter().map(|(name, version, own)| ((*name).to_owned(), (*version, *own))).collect();
        Standing { number, commit: Some(commit.to_owned()), settings }
    }

    fn check(here: Option<&Standing>, before: Option<&Standing>, expect: &[&str]) {
        assert_eq!(differs(here, before, &"dev".parse().unwrap()), expect);
    }

    #[test]
    fn every_difference_has_a_line() {
        let a = standing(3, "aaaaaaaaaaaa", &[("A", 1, false), ("B", 1, false), ("D", 1, true)]);
        let b = standing(4, "bbbbbbbbbbbb", &[("A", 2, false), ("C", 1, false), ("D", 1, false)]);
        check(None, None, &[]);
        check(Some(&a), Some(&a.clone()), &["setting D has a value of its own here"]);
        check(None, Some(&b), &["nothing runs here; dev runs release 4"]);
        check(Some(&a), None, &["release 3 runs here; dev runs nothing"]);
        check(
            Some(&a),
            Some(&b),
            &[
                "release 3 here, 4 in dev",
                "commit aaaaaaaaa here, bbbbbbbbb in dev",
                "setting A is version 1 here, 2 in dev",
                "setting B is only here",
                "setting C is only in dev",
                "setting D has a value of its own here",
            ],
        );
    }
}
