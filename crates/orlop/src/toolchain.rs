//! Finds the toolchains, interpreters and package settings of this machine, so that builds and
//! instances can use what `orlop up` itself could: nothing needs to be configured twice.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Where the system's own programs are; every instance sees these read-only anyway.
const SYSTEM: [&str; 7] = ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/ssl", "/opt/orlop"];
/// The path where `PATH` has nothing.
const PATH_DEFAULT: &str = "/usr/local/bin:/usr/bin:/bin";

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Toolchain {
    /// `PATH` of builds and instances.
    pub path: String,
    /// Programs on that path, and their libraries: builds and instances may read them.
    pub programs: Vec<PathBuf>,
    /// What only builds may read: toolchain homes, package settings (they may hold credentials).
    pub build_only: Vec<PathBuf>,
    /// Variables that builds need to use it.
    pub variables: BTreeMap<String, String>,
}

/// Looks at the environment of `orlop up`. `pass` are the patterns of variables handed to builds.
/// Nothing that holds or is beneath the data folder is lent.
pub(crate) fn find(env: &BTreeMap<String, String>, pass: &[String], path: &str, data: &Path) -> Toolchain {
    let home = env.get("HOME").map(PathBuf::from).unwrap_or_default();
    let named = if path.is_empty() { env.get("PATH").map_or(PATH_DEFAULT, String::as_str) } else { path };
    let folders: Vec<PathBuf> = named.split(':').filter(|p| p.starts_with('/')).map(PathBuf::from).collect();
    let folders: Vec<PathBuf> = folders.into_iter().map(|f| resolved(&f)).filter(|f| f.is_dir()).collect();
    let programs: BTreeSet<PathBuf> = folders.iter().map(|f| root_of(f)).filter(|f| is_lendable(f, data)).collect();
    let mut found = Found { data: data.to_owned(), ..Found::default() };
    found.variable("RUSTUP_HOME", env, &home.join(".rustup"));
    found.variable("PIP_CONFIG_FILE", env, &home.join(".config/pip/pip.conf"));
    found.variable("NPM_CONFIG_USERCONFIG", env, &home.join(".npmrc"));
    for (name, value) in env.iter().filter(|(name, _)| pass.iter().any(|pattern| matches(pattern, name))) {
        found.variables.insert(name.clone(), value.clone());
        if value.starts_with('/') {
            found.lend(Path::new(value));
        }
    }
    let mut seen = BTreeSet::new();
    let path: Vec<String> =
        folders.iter().map(|f| f.display().to_string()).filter(|f| seen.insert(f.clone())).collect();
    Toolchain {
        path: path.join(":"),
        programs: programs.into_iter().collect(),
        build_only: found.paths.into_iter().collect(),
        variables: found.variables,
    }
}

#[derive(Default)]
struct Found {
    data: PathBuf,
    paths: BTreeSet<PathBuf>,
    variables: BTreeMap<String, String>,
}

impl Found {
    fn lend(&mut self, path: &Path) {
        if is_lendable(path, &self.data) {
            self.paths.insert(path.to_owned());
        }
    }

    /// A variable that names a file or folder: the caller's, else the usual place if it is there.
    fn variable(&mut self, name: &str, env: &BTreeMap<String, String>, usual: &Path) {
        let path = env.get(name).map_or_else(|| usual.to_owned(), PathBuf::from);
        if path.is_absolute() && path.exists() {
            self.lend(&path);
            self.variables.insert(name.to_owned(), path.display().to_string());
        }
    }
}

/// Whether a path is there, is no part of the system that everybody sees anyway, and is nothing
/// that an engine would refuse to lend: the platform's own files, or everything.
fn is_lendable(path: &Path, data: &Path) -> bool {
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let private = |path: &Path| data.starts_with(path) || path.starts_with(data);
    let beneath = |folders: &[&str]| folders.iter().any(|folder| path.starts_with(folder) || real.starts_with(folder));
    let whole = [Path::new("/"), Path::new("/etc")];
    path.exists()
        && !beneath(&SYSTEM)
        && !beneath(&["/proc", "/sys", "/dev"])
        && !private(path)
        && !private(&real)
        && !whole.contains(&path)
        && !whole.contains(&real.as_path())
}

/// A folder of pyenv's shims stands for the version that is chosen there: shims are scripts that
/// need their owner's home.
fn resolved(folder: &Path) -> PathBuf {
    let Some(root) = folder
        .parent()
        .filter(|_| folder.ends_with("shims") && folder.parent().is_some_and(|p| p.join("versions").is_dir()))
    else {
        return folder.to_owned();
    };
    let chosen = std::fs::read_to_string(root.join("version")).unwrap_or_default();
    let versions = chosen.lines().map(|line| root.join("versions").join(line.trim()).join("bin"));
    versions.into_iter().find(|bin| bin.is_dir()).unwrap_or_else(|| folder.to_owned())
}

/// What a folder of programs belongs to: interpreters find their library beside `bin`.
fn root_of(folder: &Path) -> PathBuf {
    match folder.parent() {
        Some(parent) if folder.ends_with("bin") && parent.join("lib").is_dir() => parent.to_owned(),
        _ => folder.to_owned(),
    }
}

/// `NAME`, or `PREFIX*`.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => pattern == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &Path)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), v.display().to_string())).collect()
    }

    #[test]
    fn lends_what_is_outside_the_system_and_passes_only_what_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let tool = dir.path().join("tool");
        std::fs::create_dir_all(tool.join("bin")).unwrap();
        std::fs::create_dir_all(tool.join("lib")).unwrap();
        std::fs::create_dir_all(dir.path().join("wheels")).unwrap();
        let path = format!("{}:/usr/bin:/nowhere:relative", tool.join("bin").display());
        let mut env =
            env(&[("PATH", Path::new(&path)), ("PIP_FIND_LINKS", &dir.path().join("wheels")), ("HOME", dir.path())]);
        env.insert("AWS_SECRET_ACCESS_KEY".into(), "x".into());
        let data = dir.path().join("data");
        let found = find(&env, &["PIP_*".into()], "", &data);
        assert_eq!(found.path, format!("{}:/usr/bin", tool.join("bin").display()));
        assert_eq!(found.programs, [tool]);
        assert_eq!(found.build_only, [dir.path().join("wheels")]);
        assert_eq!(found.variables.keys().collect::<Vec<_>>(), ["PIP_FIND_LINKS"]);
        let inside = find(&env, &[], "", &dir.path().join("tool/data"));
        assert!(inside.programs.is_empty(), "a folder that holds the data folder is not lent");
    }

    #[test]
    fn shims_of_pyenv_become_the_chosen_version() {
        let dir = tempfile::tempdir().unwrap();
        let bin = dir.path().join("versions/3.11.7/bin");
        std::fs::create_dir_all(&bin).unwrap();
        std::fs::create_dir_all(dir.path().join("shims")).unwrap();
        std::fs::write(dir.path().join("version"), "3.11.7\n").unwrap();
        assert_eq!(resolved(&dir.path().join("shims")), bin);
        assert_eq!(resolved(&bin), bin);
    }
}
