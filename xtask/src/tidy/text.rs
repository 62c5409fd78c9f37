//! Text as text: white space, and traces of the machine it was written on.

use super::Finding;
use crate::rules::covers;
use crate::tree::Tree;

/// Files in which a tab is an accident.
const NO_TABS: [&str; 7] = [".rs", ".toml", ".md", ".yaml", ".yml", ".json", ".sql"];

/// No white space at line ends, no tabs where spaces are meant, one line end of one kind at the end.
pub fn whitespace(tree: &Tree) -> Vec<Finding> {
    const FIX: &str = "let the editor strip it; `cargo fmt` does for Rust";
    let left_alone = tree.rules.left_alone.get("whitespace").map_or(&[][..], Vec::as_slice);
    let mut found = Vec::new();
    for (path, text) in tree.texts.iter().filter(|(path, _)| !path.ends_with(".snap") && !covers(left_alone, path)) {
        let mut say = |line: usize, what: &str| found.push(Finding::new(path, Some(line), what, FIX));
        let tabs_matter = NO_TABS.iter().any(|ending| path.ends_with(ending));
        for (number, line) in text.split('\n').enumerate() {
            if line.ends_with('\r') {
                say(number + 1, "a carriage return at the end of the line");
            } else if line.ends_with([' ', '\t']) {
                say(number + 1, "white space at the end of the line");
            }
            if tabs_matter && line.contains('\t') {
                say(number + 1, "a tab");
            }
        }
        if !text.is_empty() && (!text.ends_with('\n') || text.ends_with("\n\n")) {
            say(text.lines().count(), "the file does not end with exactly one line end");
        }
    }
    found
}

/// No absolute path of the machine the text was written on, and no host of a package registry: an
/// installation names its own mirrors.
pub fn machine_paths(tree: &Tree) -> Vec<Finding> {
    let folders = ["work", "root"].map(|name| format!("/{name}"));
    let hosts = [
        ["index.crates", "io"],
        ["static.crates", "io"],
        ["pypi", "org"],
        ["files.pythonhosted", "org"],
        ["registry.npmjs", "org"],
        ["deb.debian", "org"],
        ["security.debian", "org"],
        ["proxy.golang", "org"],
    ]
    .map(|parts| parts.join("."));
    let left_alone = tree.rules.left_alone.get("machine-paths").map_or(&[][..], Vec::as_slice);
    let mut found = Vec::new();
    for (path, text) in tree.texts.iter().filter(|(path, _)| !covers(left_alone, path)) {
        for (number, line) in text.lines().enumerate() {
            if let Some(folder) = folders.iter().find(|folder| names_folder(line, folder)) {
                let fix = "use a path relative to the project, or a temporary directory";
                found.push(Finding::new(path, Some(number + 1), format!("`{folder}` is a folder of one machine"), fix));
            }
            if let Some(host) = hosts.iter().find(|host| line.contains(host.as_str())) {
                let fix = "leave the choice of registry to the tools' own configuration";
                found.push(Finding::new(path, Some(number + 1), format!("the registry host {host} is named"), fix));
            }
        }
    }
    found
}

/// Whether a line holds `folder` as the first part of an absolute path.
fn names_folder(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + folder.len()..].chars().next();
        let starts = before.is_none_or(|c| !(c.is_alphanumeric() || "_-./*}>~$)".contains(c)));
        // `/work` alone may be a route of an API; what names a machine goes on below it.
        starts && after == Some('/')
    })
}

#[cfg(test)]
mod tests {
    use super::names_folder;

    fn check(line: &str, expect: bool) {
        let folder = format!("/{}", "work");
        let line = line.replace('~', &folder);
        assert_eq!(names_folder(&line, &folder), expect, "{line}");
    }

    #[test]
    fn folders_of_a_machine_are_told_from_rooms() {
        check("see ~/main", true);
        check("\"~/x\"", true);
        check("cd ~/y", true);
        check("crates/deliver/src~/mod.rs", false);
        check("<capability>~/", false);
        check("GET ~", false);
        check("~ers", false);
    }
}
