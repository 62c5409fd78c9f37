use serde::{Deserialize, Serialize};

/// What of the workspace becomes `/app`. The collector asks [`Output::place`] for every path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "is")]
pub enum Output {
    /// A folder with all that is in it.
    #[serde(rename_all = "camelCase")]
    Folder {
        /// Relative to the workspace; empty for the workspace itself.
        from: String,
        /// What stays out, the last line that matches decides: `a/b` that path, `**/b` that name
        /// wherever it is, `*` within a name for any text, `!` in front: stays in after all.
        /// What is beneath something left out is left out.
        leave_out: Vec<String>,
    },
    /// These files and folders alone.
    Copies {
        /// Each with its new place.
        copies: Vec<Placed>,
    },
}

/// One file or folder that goes into the artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    /// Relative to the workspace.
    pub from: String,
    /// Relative to `/app`.
    pub to: String,
}

impl Output {
    /// Where a path of the workspace (relative, file or folder) comes to be, relative to `/app`;
    /// `None`: it stays out. The folder that becomes `/app` itself is placed at the empty path.
    pub fn place(&self, path: &str) -> Option<String> {
        match self {
            Self::Folder { from, leave_out } => {
                let rest = beneath(path, from)?;
                (!left_out(rest, leave_out)).then(|| rest.to_owned())
            }
            Self::Copies { copies } => copies.iter().find_map(|copy| {
                let rest = beneath(path, &copy.from)?;
                Some(if rest.is_empty() { copy.to.clone() } else { format!("{}/{rest}", copy.to) })
            }),
        }
    }

    /// What has to be there after the build, relative to the workspace.
    pub fn expected(&self) -> Vec<&str> {
        match self {
            Self::Folder { from, .. } => vec![from],
            Self::Copies { copies } => copies.iter().map(|copy| copy.from.as_str()).collect(),
        }
    }
}

/// The part of `path` beneath `folder`; empty if it is the folder.
fn beneath<'p>(path: &'p str, folder: &str) -> Option<&'p str> {
    if folder.is_empty() {
        return Some(path);
    }
    let rest = path.strip_prefix(folder)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
}

fn left_out(path: &str, patterns: &[String]) -> bool {
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    ends.filter_map(|end| path.get(..end)).filter(|part| !part.is_empty()).any(|part| {
        let deciding = patterns.iter().rev().find(|pattern| matches(part, pattern.trim_start_matches('!')));
        deciding.is_some_and(|pattern| !pattern.starts_with('!'))
    })
}

fn matches(path: &str, pattern: &str) -> bool {
    match pattern.strip_prefix("**/") {
        Some(name) => glob(path.rsplit('/').next().unwrap_or(path), name),
        None => path.matches('/').count() == pattern.matches('/').count() && glob(path, pattern),
    }
}

/// `*` stands for any text; here never across a `/` because both sides have as many of them.
fn glob(text: &str, pattern: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else { return text == pattern };
    let Some(mut rest) = text.strip_prefix(head) else { return false };
    let mut parts: Vec<&str> = tail.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = rest.get(at.saturating_add(part.len())..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(output: &Output, kept: &[(&str, &str)], out: &[&str]) {
        for (from, to) in kept {
            assert_eq!(output.place(from).as_deref(), Some(*to), "{from}");
        }
        for path in out {
            assert_eq!(output.place(path), None, "{path}");
        }
    }

    #[test]
    fn folders() {
        let leave_out = ["target", "**/.*", "!.well-known", "**/*.pyc", "a/b"].map(str::to_owned).to_vec();
        check(
            &Output::Folder { from: String::new(), leave_out: leave_out.clone() },
            &[("", ""), ("x", "x"), ("x/target", "x/target"), (".well-known/y", ".well-known/y"), ("a/bc", "a/bc")],
            &["target", "target/x", ".git", ".git/config", "x/.env", "x/y.pyc", "a/b", "a/b/c", "x/.well-known"],
        );
        check(
            &Output::Folder { from: "web/dist".to_owned(), leave_out },
            &[("web/dist", ""), ("web/dist/index.html", "index.html")],
            &["web", "web/distx", "index.html", "web/dist/target", "web/dist/.env"],
        );
    }

    #[test]
    fn copies() {
        let placed = |from: &str, to: &str| Placed { from: from.to_owned(), to: to.to_owned() };
        check(
            &Output::Copies { copies: vec![placed(".orlop/out/shop", "shop"), placed("crates/web/static", "static")] },
            &[(".orlop/out/shop", "shop"), ("crates/web/static", "static"), ("crates/web/static/a/b", "static/a/b")],
            &["", "shop", ".orlop/out/shopper", "crates/web", "static/a"],
        );
    }

    #[test]
    fn globs() {
        for (text, pattern, expect) in [
            ("abc", "abc", true),
            ("abc", "a*", true),
            ("abc", "*c", true),
            ("abc", "a*c", true),
            ("abbc", "a*b*c", true),
            ("ac", "a*b*c", false),
            ("ab", "ab*b", false),
            ("", "*", true),
            ("x", "**", true),
        ] {
            assert_eq!(glob(text, pattern), expect, "{text} {pattern}");
        }
    }
}
