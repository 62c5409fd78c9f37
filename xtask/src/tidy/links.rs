//! Links in Markdown lead to files and headings that are there.

use std::collections::BTreeSet;

use super::Finding;
use crate::rules::covers;
use crate::tree::Tree;

/// Follows every relative link of every page.
pub fn links(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    let left_alone = tree.rules.left_alone.get("links").map_or(&[][..], Vec::as_slice);
    for (path, text) in tree.texts.iter().filter(|(path, _)| path.ends_with(".md")) {
        if covers(left_alone, path) {
            continue;
        }
        for (line, target) in targets(text) {
            if let Some(what) = broken(tree, path, &target) {
                found.push(Finding::new(path, Some(line), what, "correct the link, or remove it"));
            }
        }
    }
    found
}

fn broken(tree: &Tree, page: &str, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, heading) = target.split_once('#').map_or((target, None), |(file, heading)| (file, Some(heading)));
    let path = if file.is_empty() { page.to_owned() } else { resolve(page, file)? };
    let prefix = format!("{path}/");
    let there =
        tree.paths.contains(&path) || tree.paths.range(prefix.clone()..).next().is_some_and(|p| p.starts_with(&prefix));
    if !there {
        return Some(format!("`{target}` leads nowhere"));
    }
    let text = tree.texts.get(&path).filter(|_| path.ends_with(".md"))?;
    let heading = heading.filter(|heading| !headings(text).contains(*heading))?;
    Some(format!("{path} has no heading `#{heading}`"))
}

/// The path of `file` as seen from the folder of `page`; `None` when it leaves the project.
fn resolve(page: &str, file: &str) -> Option<String> {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    if file.starts_with('/') {
        parts.clear();
    }
    for part in file.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The targets of the inline links of a page, outside code.
fn targets(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        let mut rest = line.as_str();
        while let Some((_, after)) = rest.split_once("](") {
            if let Some((target, _)) = after.split_once(')') {
                let target = target.split_whitespace().next().unwrap_or_default();
                found.push((number, target.trim_matches(['<', '>']).to_owned()));
            }
            rest = after;
        }
    }
    found
}

/// The lines outside fenced code, with inline code removed.
fn prose(text: &str) -> Vec<(usize, String)> {
    let (mut fenced, mut found) = (false, Vec::new());
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            found.push((number + 1, line.split('`').step_by(2).collect()));
        }
    }
    found
}

/// The anchors that a page's headings get.
fn headings(text: &str) -> BTreeSet<String> {
    let mut fenced = false;
    let mut found = BTreeSet::new();
    for line in text.lines() {
        fenced ^= line.trim_start().starts_with("```");
        if !fenced && line.starts_with('#') {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            found.insert(kept.map(|c| if c == ' ' { '-' } else { c }).collect());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_resolved() {
        assert_eq!(resolve("docs/a.md", "../README.md").as_deref(), Some("README.md"));
        assert_eq!(resolve("docs/a.md", "./b/c.md").as_deref(), Some("docs/b/c.md"));
        assert_eq!(resolve("a.md", "../shared/x"), None);
    }

    #[test]
    fn code_holds_no_links() {
        let found = targets("[a](x.md) and `[b](y.md)` [c](<z.md> \"title\")\n```\n[d](w.md)\n```\n[e](v.md#h)");
        assert_eq!(found, [(1, "x.md".to_owned()), (1, "z.md".to_owned()), (5, "v.md#h".to_owned())]);
    }

    #[test]
    fn headings_become_anchors() {
        assert!(headings("## Where does a line go?\n").contains("where-does-a-line-go"));
    }
}
