//! The project as its rules see it: texts by path, Rust files taken apart, manifests parsed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::command;
use crate::rules::Rules;
use crate::source::Source;

/// Larger files are data, not text that somebody reads.
const TEXT_BYTES_MAX: u64 = 2 << 20;

/// Crates that never ship: all of them is test code.
pub const TEST_CRATES: [&str; 4] = ["sim", "e2e", "bench", "fuzz"];

/// Every file of the project.
pub struct Tree {
    /// What `xtask/rules.toml` says.
    pub rules: Rules,
    /// All paths, with `/` and relative to the root.
    pub paths: BTreeSet<String>,
    /// Those that are text.
    pub texts: BTreeMap<String, String>,
    /// The Rust files, taken apart.
    pub sources: BTreeMap<String, Source>,
    /// The workspace's crates, xtask included.
    pub crates: Vec<Crate>,
}

/// A member of the workspace.
pub struct Crate {
    /// The package's name.
    pub name: String,
    /// Its folder, relative to the root.
    pub dir: String,
    /// Its manifest.
    pub manifest: toml::Table,
}

impl Tree {
    /// Reads the project at `root`, leaving out what git ignores.
    ///
    /// # Errors
    /// Says which of the files that describe the rules cannot be read.
    pub fn read(root: &Path) -> Result<Self, String> {
        let paths = listed(root);
        let mut texts = BTreeMap::new();
        for path in &paths {
            let file = root.join(path);
            let small = file.metadata().is_ok_and(|meta| meta.is_file() && meta.len() <= TEXT_BYTES_MAX);
            if let Some(text) = small.then(|| std::fs::read_to_string(&file).ok()).flatten() {
                texts.insert(path.clone(), text);
            }
        }
        let paths = paths.into_iter().filter(|path| root.join(path).exists()).collect();
        Self::new(paths, texts)
    }

    /// A tree of the given texts; what the rules are tried on.
    ///
    /// # Errors
    /// As [`Tree::read`].
    pub fn new(paths: BTreeSet<String>, texts: BTreeMap<String, String>) -> Result<Self, String> {
        let rules = texts.get("xtask/rules.toml").ok_or("xtask/rules.toml is missing")?;
        let rules = toml::from_str(rules).map_err(|why| format!("xtask/rules.toml: {why}"))?;
        let mut sources = BTreeMap::new();
        let mut crates = Vec::new();
        for (path, text) in &texts {
            if path.ends_with(".rs") {
                sources.insert(path.clone(), Source::parse(text));
            }
            if let Some(dir) = path.strip_suffix("/Cargo.toml").filter(|dir| is_member(dir)) {
                let manifest: toml::Table = toml::from_str(text).map_err(|why| format!("{path}: {why}"))?;
                let name = manifest.get("package").and_then(|package| package.get("name"));
                let name = name.and_then(toml::Value::as_str).unwrap_or_default().to_owned();
                crates.push(Crate { name, dir: dir.to_owned(), manifest });
            }
        }
        Ok(Self { rules, paths, texts, sources, crates })
    }

    /// The Rust files of `dir`.
    pub fn sources_in(&self, dir: &str) -> impl Iterator<Item = (&String, &Source)> {
        let prefix = format!("{dir}/");
        self.sources.iter().filter(move |(path, _)| path.starts_with(&prefix))
    }
}

impl Crate {
    /// The names in a dependency table (`dependencies`, `dev-dependencies`, `build-dependencies`),
    /// with what the manifest says of each.
    pub fn dependencies(&self, table: &str) -> Vec<(&String, &toml::Value)> {
        self.manifest.get(table).and_then(toml::Value::as_table).map(|table| table.iter().collect()).unwrap_or_default()
    }
}

/// Whether a path holds tests or their helpers only.
pub fn is_test_path(path: &str) -> bool {
    path.contains("/tests/")
        || path.ends_with("/tests.rs")
        || path.contains("/benches/")
        || path.starts_with("crates/e2e/")
        || path.starts_with("crates/bench/")
}

fn is_member(dir: &str) -> bool {
    dir == "xtask" || dir.strip_prefix("crates/").is_some_and(|name| !name.contains('/'))
}

/// The files of the project: what git knows or would add, or all of them where there is no git.
fn listed(root: &Path) -> BTreeSet<String> {
    if root.join(".git").exists()
        && let Some(list) = command::output(root, "git", &["ls-files", "-z", "-co", "--exclude-standard"])
    {
        return list.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect();
    }
    let mut found = BTreeSet::new();
    walk(root, root, &mut found);
    found
}

fn walk(root: &Path, dir: &Path, found: &mut BTreeSet<String>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if matches!(name.to_str(), Some(".git" | "target" | "node_modules" | "__pycache__")) {
            continue;
        }
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(root, &path, found);
        } else if let Some(path) = path.strip_prefix(root).ok().and_then(Path::to_str) {
            found.insert(path.to_owned());
        }
    }
}
