//! A service's code on somebody's machine: edited, committed, pushed, deployed.

use std::path::{Path, PathBuf};

use api::access::ServicePath;
use api::deliver::{ListBuilds, ListReleases, ListRollouts, Release, Rollout, RolloutQuery};
use api::{Page, PageQuery};
use base::{Problem, Result, ServiceName};

use crate::installation::Installation;
use crate::outcome::Outcome;

/// A folder with code, named after its service.
pub struct Source<'a> {
    place: &'a Installation,
    /// The service.
    pub service: ServiceName,
    /// The folder.
    pub folder: PathBuf,
}

/// The folder of a fixture.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

impl<'a> Source<'a> {
    /// A new folder with a copy of a fixture in it.
    pub fn of(place: &'a Installation, fixture_name: &str, service: &str) -> Result<Self> {
        let source = Self::at(place, service)?;
        copy(&fixture(fixture_name), &source.folder).map_err(|e| Problem::unavailable("fixture", e))?;
        Ok(source)
    }

    /// The folder of a service, with whatever is in it.
    pub fn at(place: &'a Installation, service: &str) -> Result<Self> {
        let folder = place.work().join(service);
        std::fs::create_dir_all(&folder).map_err(|e| Problem::unavailable("disk", e))?;
        Ok(Self { place, service: service.parse()?, folder })
    }

    /// Its host name in an environment.
    pub fn host(&self, environment: &str) -> String {
        format!("{}-{environment}.localhost", self.service)
    }

    /// Writes a file.
    pub fn write(&self, file: &str, text: impl AsRef<[u8]>) -> Result<&Self> {
        let path = self.folder.join(file);
        let parent = path.parent().unwrap_or(&self.folder);
        std::fs::create_dir_all(parent)
            .and_then(|()| std::fs::write(&path, text))
            .map_err(|e| Problem::unavailable("disk", e))?;
        Ok(self)
    }

    /// Puts one text in the place of another.
    pub fn edit(&self, file: &str, old: &str, new: &str) -> Result<&Self> {
        let path = self.folder.join(file);
        let text = std::fs::read_to_string(&path).map_err(|e| Problem::unavailable("disk", e))?;
        if !text.contains(old) {
            return Err(Problem::internal("fixture-changed", format!("{file} has no `{old}`")));
        }
        self.write(file, text.replacen(old, new, 1))
    }

    /// Takes all files away but what git keeps.
    pub fn clear(&self) -> Result<()> {
        let failed = |e| Problem::unavailable("disk", e);
        for entry in std::fs::read_dir(&self.folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            match path.is_dir() {
                true if path.ends_with(".git") => Ok(()),
                true => std::fs::remove_dir_all(&path),
                false => std::fs::remove_file(&path),
            }
            .map_err(failed)?;
        }
        Ok(())
    }

    /// Runs git in the folder.
    pub async fn git(&self, args: &[&str]) -> Result<crate::Finished> {
        self.place.program(&self.folder, "git", args).await
    }

    /// Commits everything and pushes it with the real git; waits for the end of the deploy.
    pub async fn push(&self) -> Result<Outcome> {
        if !self.folder.join(".git").exists() {
            self.git(&["init", "--quiet", "--initial-branch=main"]).await?.done()?;
        }
        self.git(&["add", "--all"]).await?.done()?;
        self.git(&["commit", "--quiet", "--allow-empty", "--message", "A change"]).await?.done()?;
        let client = &self.place.client;
        let remote = client.url().replacen("http://", &format!("http://e2e:{}@", client.token()), 1);
        let remote = format!("{remote}/git/{}.git", self.service);
        Ok(Outcome::of_push(self.git(&["push", "--quiet", &remote, "HEAD:refs/heads/main"]).await?))
    }

    /// Types `orlop deploy --json` in the folder.
    pub async fn deploy(&self) -> Result<Outcome> {
        let service = self.service.as_str();
        Ok(Outcome::of_deploy(self.orlop(&["deploy", "--json", "--service", service]).await?))
    }

    /// Types a command in the folder.
    pub async fn orlop(&self, args: &[&str]) -> Result<crate::Finished> {
        self.place.orlop_in(&self.folder, args).await
    }

    /// `{service}` in a path.
    pub fn path(&self) -> ServicePath {
        ServicePath { service: self.service.clone() }
    }

    /// Releases, newest first.
    pub async fn releases(&self) -> Result<Vec<Release>> {
        Ok(self.place.client.list::<ListReleases>(&self.path(), &PageQuery::default()).await?.items)
    }

    /// Rollouts, newest first.
    pub async fn rollouts(&self) -> Result<Vec<Rollout>> {
        Ok(self.place.client.list::<ListRollouts>(&self.path(), &RolloutQuery::default()).await?.items)
    }

    /// Builds, newest first.
    pub async fn builds(&self) -> Result<Vec<api::deliver::Build>> {
        let page: Page<_> = self.place.client.list::<ListBuilds>(&self.path(), &PageQuery::default()).await?;
        Ok(page.items)
    }

    /// All output of the service's processes, by `orlop logs`.
    pub async fn logs(&self, more: &[&str]) -> Result<String> {
        let args = [&["logs", "--tail", "10000", "--service", self.service.as_str()][..], more].concat();
        Ok(self.place.orlop(&args).await?.done()?.out)
    }

    /// Asks the service in `dev`.
    pub async fn ask(&self, path: &str) -> Result<crate::Answer> {
        self.place.client.ask(&self.host("dev"), path).await
    }

    /// Asks until the log has a text, for a few seconds: output reaches the log a moment after it is written.
    pub async fn logged(&self, text: &str, more: &[&str]) -> Result<()> {
        let mut seen = String::new();
        for _ in 0..50 {
            seen = self.logs(more).await?;
            if seen.contains(text) {
                return Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
        Err(Problem::internal("not-logged", format!("no `{text}` in the log of {}: {seen}", self.service)))
    }
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &target)?,
            false => drop(std::fs::copy(entry.path(), &target)?),
        }
    }
    Ok(())
}
