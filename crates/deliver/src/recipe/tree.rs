use std::collections::BTreeMap;

use base::{Problem, Result};

/// Names of the files whose content detection may want to read, wherever they are in the tree.
pub const INTERESTING: &[&str] = &[
    // Rust (`config.toml` only in `.cargo`)
    "Cargo.toml",
    "Cargo.lock",
    "config.toml",
    "rust-toolchain",
    "rust-toolchain.toml",
    // Node
    "package.json",
    "package-lock.json",
    "npm-shrinkwrap.json",
    "yarn.lock",
    ".yarnrc.yml",
    "pnpm-lock.yaml",
    ".node-version",
    ".nvmrc",
    // Python
    "requirements.txt",
    "base.txt",
    "common.txt",
    "prod.txt",
    "production.txt",
    "pyproject.toml",
    "Pipfile",
    ".python-version",
    "runtime.txt",
    "manage.py",
    "settings.py",
    "base.py",
    "common.py",
    "prod.py",
    "production.py",
    "wsgi.py",
    "asgi.py",
    "app.py",
    "main.py",
    "server.py",
    "application.py",
    "run.py",
    // Go
    "go.mod",
    "go.sum",
    "main.go",
    // anything
    "Procfile",
    "app.json",
    "index.html",
];

/// Largest file whose content is looked at, bytes.
pub const CONTENT_BYTES_MAX: u64 = 256 << 10;
/// Most content that a tree keeps, bytes. What is nearer to the root is kept first.
const TREE_BYTES_MAX: usize = 16 << 20;
/// Files deeper than this are not looked into, path segments.
const DEPTH_MAX: usize = 5;
/// Folders of other people's code and of results: what is in them says nothing about the service.
const FOREIGN: &[&str] = &["node_modules", "target", "vendor", ".git", ".venv", "venv", "__pycache__", "site-packages"];

/// One file of the source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// Length, bytes.
    pub size: u64,
    /// Whether it may be executed.
    pub executable: bool,
    /// The content, for files that [`Tree::wants`]; else `None`.
    pub content: Option<Vec<u8>>,
}

/// What detection may look at: the paths of the source (relative, `/` between segments) and the
/// content of small files with well-known names. Made from a listing by the caller; nothing here
/// reads a disk.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    files: BTreeMap<String, Entry>,
}

impl Tree {
    /// Takes a listing. Paths that are absolute, lead out of the tree, or have control characters
    /// in them are dropped; content beyond the bounds is forgotten, the deepest first.
    pub fn new(files: BTreeMap<String, Entry>) -> Self {
        let mut files: BTreeMap<String, Entry> =
            files.into_iter().filter_map(|(path, entry)| Some((clean(&path)?, entry))).collect();
        let mut by_depth: Vec<(&String, &mut Entry)> = files.iter_mut().collect();
        by_depth.sort_by_key(|(path, _)| path.matches('/').count());
        let mut left = TREE_BYTES_MAX;
        for (path, entry) in by_depth {
            let length = entry.content.as_ref().map_or(0, Vec::len);
            if !Self::wants(path, length as u64) || length > left {
                entry.content = None;
            } else {
                left -= length;
            }
        }
        Self { files }
    }

    /// Whether detection may want to read this file. The caller need not load any other.
    pub fn wants(path: &str, size: u64) -> bool {
        let mut segments = path.split('/');
        let name = segments.next_back().unwrap_or_default();
        size <= CONTENT_BYTES_MAX
            && INTERESTING.contains(&name)
            && path.split('/').count() <= DEPTH_MAX
            && !segments.any(|folder| FOREIGN.contains(&folder))
    }

    /// All paths, sorted.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// Whether there is such a file.
    pub fn has(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    /// Whether there is a file beneath this folder.
    pub fn has_folder(&self, folder: &str) -> bool {
        self.beneath(folder).next().is_some()
    }

    /// The paths beneath a folder, relative to it, sorted.
    pub fn beneath<'t>(&'t self, folder: &str) -> impl Iterator<Item = &'t str> + use<'t> {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        self.files.range(prefix.clone()..).map_while(move |(path, _)| path.strip_prefix(&prefix))
    }

    /// The text of a file that must be understood; `None` where there is no such file.
    ///
    /// # Errors
    /// `file-too-large` and `not-text`, each naming the file.
    pub fn text(&self, path: &str) -> Result<Option<&str>> {
        let Some(entry) = self.files.get(path) else { return Ok(None) };
        let content = entry.content.as_deref().ok_or_else(|| {
            Problem::unprocessable(
                "file-too-large",
                format!("{path} has {} bytes; at most {CONTENT_BYTES_MAX} are read", entry.size),
            )
            .at(path)
            .hint("make the file smaller, or name another recipe with `build.recipe` in orlop.yaml")
        })?;
        let text = std::str::from_utf8(content).ok().filter(|text| !text.contains('\0'));
        text.map(|text| Some(text.strip_prefix('\u{feff}').unwrap_or(text))).ok_or_else(|| {
            Problem::unprocessable("not-text", format!("{path} is not UTF-8 text"))
                .at(path)
                .hint("save the file as UTF-8 text")
        })
    }

    /// The text of a file that is only a clue; `None` where it is absent, too large or no text.
    pub fn clue(&self, path: &str) -> Option<&str> {
        self.text(path).ok().flatten()
    }
}

/// `./a//b` → `a/b`; `None` for what is not a path inside of the tree.
fn clean(path: &str) -> Option<String> {
    if path.starts_with('/') || path.len() > 4096 || path.chars().any(char::is_control) {
        return None;
    }
    let segments: Vec<&str> = path.split('/').filter(|s| !s.is_empty() && *s != ".").collect();
    (!segments.is_empty() && !segments.contains(&"..")).then(|| segments.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(content: &[u8]) -> Entry {
        Entry { size: content.len() as u64, executable: false, content: Some(content.to_vec()) }
    }

    fn tree(files: &[(&str, &[u8])]) -> Tree {
        Tree::new(files.iter().map(|(path, content)| ((*path).to_owned(), entry(content))).collect())
    }

    #[test]
    fn paths_that_lead_out_are_dropped() {
        let t =
            tree(&[("./a//b", b""), ("../x", b""), ("/etc/passwd", b""), ("a/../../x", b""), ("x\ny", b""), ("", b"")]);
        assert_eq!(t.paths().collect::<Vec<_>>(), ["a/b"]);
    }

    #[test]
    fn folders_are_told_from_files_with_a_similar_name() {
        let t = tree(&[("static-x/a", b""), ("static.css", b""), ("b/static/x", b"")]);
        assert!(!t.has_folder("static") && t.has_folder("b/static") && t.has_folder(""));
        assert_eq!(t.beneath("b").collect::<Vec<_>>(), ["static/x"]);
        assert_eq!(t.beneath("").count(), 3);
    }

    #[test]
    fn content_is_bounded() {
        let big = vec![b'x'; 250 << 10];
        let files: Vec<(String, Entry)> = (0..200)
            .map(|n| (format!("d{n}/Cargo.toml"), entry(&big)))
            .chain([("Cargo.toml".into(), entry(&big))])
            .collect();
        let t = Tree::new(files.into_iter().collect());
        let kept: usize = t.files.values().filter_map(|e| e.content.as_ref()).map(Vec::len).sum();
        assert!(kept <= TREE_BYTES_MAX && kept > TREE_BYTES_MAX / 2, "{kept}");
        assert!(t.text("Cargo.toml").unwrap().is_some(), "the root comes first");
        assert_eq!(t.text("d99/Cargo.toml").unwrap_err().code, "file-too-large");
    }

    #[test]
    fn only_what_says_something_is_read() {
        for path in ["package.json", "a/b/c/d/package.json"] {
            assert!(Tree::wants(path, 10), "{path}");
        }
        for path in ["node_modules/x/package.json", "a/b/c/d/e/package.json", "package.jso", "x/package.json/y"] {
            assert!(!Tree::wants(path, 10), "{path}");
        }
        assert!(!Tree::wants("package.json", CONTENT_BYTES_MAX + 1));
    }

    #[test]
    fn text_is_utf8_without_nul() {
        let t = tree(&[("Procfile", b"web: \xff"), ("app.json", b"a\0b"), ("go.mod", b"\xef\xbb\xbfmodule x")]);
        assert_eq!(t.text("Procfile").unwrap_err().code, "not-text");
        assert_eq!(t.text("app.json").unwrap_err().code, "not-text");
        assert_eq!(t.text("go.mod").unwrap(), Some("module x"));
        assert_eq!(t.text("main.go").unwrap(), None);
        assert_eq!(t.clue("Procfile"), None);
    }
}
