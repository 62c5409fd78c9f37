//! Which service a folder is: what its manifest says, else what its `orlop` git remote says, else
//! its name.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

pub use api::manifest::FILE as MANIFEST;
use api::manifest::{self, Manifest};
use base::limits::MANIFEST_BYTES_MAX;
use base::{Problem, Result, ServiceName, TeamName};

/// A folder with code.
#[derive(Debug)]
pub struct Project {
    /// The folder that holds the manifest, else the one that holds `.git`, else the one asked for.
    pub root: PathBuf,
    manifest: Manifest,
    remote: Option<ServiceName>,
}

/// Finds the project that `folder` lies in.
pub fn find(folder: &Path) -> Result<Project> {
    let is_root = |f: &&Path| f.join(MANIFEST).is_file() || f.join(".git").exists();
    at(folder.ancestors().find(is_root).unwrap_or(folder))
}

/// The project that `folder` is the root of.
pub fn at(folder: &Path) -> Result<Project> {
    Ok(Project { root: folder.to_owned(), manifest: manifest(&folder.join(MANIFEST))?, remote: remote(folder) })
}

impl Project {
    /// The name of the service.
    pub fn service(&self) -> Result<ServiceName> {
        if let Some(name) = self.manifest.service.as_ref().or(self.remote.as_ref()) {
            return Ok(name.clone());
        }
        let folder = self.root.file_name().unwrap_or_default().to_string_lossy();
        fitted(&folder).ok_or_else(|| {
            Problem::invalid("no-service", format!("no service name can be made of the folder's name `{folder}`"))
                .hint(format!("name it in {MANIFEST}: service: my-service"))
        })
    }

    /// The team that the manifest names.
    pub fn team(&self) -> Option<&TeamName> {
        self.manifest.team.as_ref()
    }

    /// The commit that the working tree is based on, if there is one.
    pub fn commit(&self) -> Option<String> {
        let (own, common) = git_folders(&self.root)?;
        let head = small(&own.join("HEAD"))?;
        let commit = match head.trim().strip_prefix("ref: ") {
            None => head.trim().to_owned(),
            Some(name) => {
                small(&common.join(name)).map(|text| text.trim().to_owned()).or_else(|| packed(&common, name))?
            }
        };
        let is_id = matches!(commit.len(), 40 | 64) && commit.bytes().all(|b| b.is_ascii_hexdigit());
        is_id.then_some(commit)
    }
}

/// What the manifest says; an absent one says nothing. Its faults are found before anything is sent.
fn manifest(path: &Path) -> Result<Manifest> {
    let unreadable = |e: std::io::Error| {
        Problem::invalid("manifest-unreadable", format!("the service file cannot be read: {e}")).at(path.display())
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Manifest::default()),
        Err(e) => return Err(unreadable(e)),
    };
    let mut bytes = Vec::new();
    file.take(MANIFEST_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    manifest::parse_bytes(&bytes, &path.display().to_string())
}

/// A folder's name made to fit the grammar of service names.
fn fitted(folder: &str) -> Option<ServiceName> {
    let mut name = String::new();
    for c in folder.chars().map(|c| c.to_ascii_lowercase()) {
        match c {
            'a'..='z' => name.push(c),
            '0'..='9' if !name.is_empty() => name.push(c),
            _ if name.is_empty() || name.ends_with('-') => {}
            _ => name.push('-'),
        }
    }
    name.truncate(40);
    name.trim_end_matches('-').parse().ok()
}

/// The service that the remote called `orlop` pushes to: `…/git/<service>.git`.
fn remote(root: &Path) -> Option<ServiceName> {
    let (_, common) = git_folders(root)?;
    let config = small(&common.join("config"))?;
    let mut inside = false;
    for line in config.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line == r#"[remote "orlop"]"#;
        } else if let (true, Some((key, value))) = (inside, line.split_once('='))
            && key.trim().eq_ignore_ascii_case("url")
        {
            let name = value.trim().trim_end_matches('/').rsplit_once("/git/")?.1;
            return name.strip_suffix(".git").unwrap_or(name).parse().ok();
        }
    }
    None
}

/// The folder of this working tree's own state and that of the repository (gitrepository-layout):
/// `.git` is a folder, or, in a linked working tree, a file that names one.
fn git_folders(root: &Path) -> Option<(PathBuf, PathBuf)> {
    let git = root.join(".git");
    if git.is_dir() {
        return Some((git.clone(), git));
    }
    let own = root.join(small(&git)?.trim().strip_prefix("gitdir: ")?);
    let common = small(&own.join("commondir")).map_or_else(|| own.clone(), |c| own.join(c.trim()));
    Some((own, common))
}

fn packed(common: &Path, name: &str) -> Option<String> {
    let refs = fs::read_to_string(common.join("packed-refs")).ok()?;
    refs.lines().find_map(|line| line.split_once(' ').filter(|(_, n)| *n == name).map(|(id, _)| id.to_owned()))
}

/// A file of git that is small unless something is wrong.
fn small(path: &Path) -> Option<String> {
    let meta = fs::metadata(path).ok()?;
    if meta.is_file() && meta.len() <= 1 << 20 { fs::read_to_string(path).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(files: &[(&str, &str)], from: &str, service: Result<&str, &str>, root: &str) {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().join("My Shop_2");
        for (path, text) in files {
            let path = base.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        fs::create_dir_all(if from == "." { base.clone() } else { base.join(from) }).unwrap();
        let found = find(&if from == "." { base.clone() } else { base.join(from) });
        match (found, service) {
            (Ok(project), Ok(expect)) => {
                assert_eq!(project.service().unwrap().as_str(), expect);
                assert_eq!(project.root, base.join(root));
            }
            (found, Err(expect)) => {
                let problem = found.and_then(|p| p.service()).unwrap_err();
                assert!(problem.to_string().contains(expect), "{problem}");
            }
            (Err(problem), _) => panic!("{problem}"),
        }
    }

    const CONFIG: &str = "[core]\n\tbare = false\n[remote \"origin\"]\n\turl = https://x.example/git/wrong.git\n\
                          [remote \"orlop\"]\n\tfetch = x\n\turl = https://orlop.example/git/checkout.git\n";

    #[test]
    fn manifest_then_remote_then_folder() {
        check(&[], ".", Ok("my-shop-2"), "");
        check(&[(".git/config", CONFIG)], "src/deep", Ok("checkout"), "");
        check(&[(".git/config", CONFIG), ("orlop.yaml", "service: till\nrun: {stop: 5s}\n")], "src", Ok("till"), "");
        check(&[(".git/config", CONFIG), ("api/orlop.yaml", "")], "api/src", Ok("api"), "api");
        check(&[("orlop.yaml", "# nothing\n")], ".", Ok("my-shop-2"), "");
        check(&[("orlop.yaml", "service: Till")], ".", Err("orlop.yaml:1:10: "), "");
        check(&[("orlop.yaml", "service: [")], ".", Err("orlop.yaml:1:"), "");
    }

    #[test]
    fn folder_names_are_made_to_fit() {
        let cases = [("2-Fast_4 You", "fast-4-you"), ("a--b-", "a-b"), ("Ünicode", "nicode"), ("x.y", "x-y")];
        for (folder, name) in cases {
            assert_eq!(fitted(folder).unwrap().as_str(), name);
        }
        assert_eq!(fitted(&"abc-".repeat(30)).unwrap().as_str().len(), 39);
        assert!(fitted("42").is_none() && fitted("").is_none() && fitted("日本").is_none());
    }

    #[test]
    fn commits_are_found_loose_packed_and_detached() {
        let id = "0123456789abcdef0123456789abcdef01234567";
        let check = |files: &[(&str, String)], expect: Option<&str>| {
            let folder = tempfile::tempdir().unwrap();
            for (path, text) in files {
                let path = folder.path().join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            assert_eq!(at(folder.path()).unwrap().commit().as_deref(), expect);
        };
        let head = (".git/HEAD", "ref: refs/heads/main\n".to_owned());
        check(&[head.clone(), (".git/refs/heads/main", format!("{id}\n"))], Some(id));
        check(&[head.clone(), (".git/packed-refs", format!("# x\n{id} refs/heads/main\n"))], Some(id));
        check(&[(".git/HEAD", format!("{id}\n"))], Some(id));
        check(&[head], None);
        check(&[(".git", "gitdir: real\n".into()), ("real/HEAD", id.into())], Some(id));
        check(&[], None);
    }
}
