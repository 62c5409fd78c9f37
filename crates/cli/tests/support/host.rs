use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use base::Time;
use cli::{Host, Stream, System};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tempfile::TempDir;

/// 2026-09-21 14:13:20 UTC.
pub const NOW: Time = Time::from_micros(1_790_000_000_000_000);

/// A machine of its own: a folder called `shop`, a home, no terminal, a clock that stands.
pub struct TestHost {
    root: TempDir,
    pub variables: BTreeMap<String, String>,
    pub input: Vec<u8>,
    pub typed: Option<String>,
    pub terminal: bool,
    pub interrupt: bool,
    pub pages: Mutex<Vec<String>>,
    said: Mutex<(Vec<u8>, Vec<u8>)>,
    calls: AtomicU64,
}

impl TestHost {
    pub fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("shop")).unwrap();
        let home = root.path().join("home").display().to_string();
        Self {
            root,
            variables: BTreeMap::from([("HOME".to_owned(), home)]),
            input: Vec::new(),
            typed: None,
            terminal: false,
            interrupt: false,
            pages: Mutex::default(),
            said: Mutex::default(),
            calls: AtomicU64::new(0),
        }
    }

    /// Signed in to a server by its environment.
    pub fn with(server: &super::Server) -> Self {
        let mut host = Self::new();
        host.set("ORLOP_URL", &server.url);
        host.set("ORLOP_TOKEN", "orlop_secret_token");
        host
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_owned(), value.to_owned());
    }

    /// The folder that commands start in.
    pub fn shop(&self) -> PathBuf {
        self.root.path().join("shop")
    }

    pub fn home(&self) -> PathBuf {
        self.root.path().join("home")
    }

    /// Writes a file of the folder.
    pub fn file(&self, path: &str, text: &str) -> PathBuf {
        let path = self.shop().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Leaves a one-time code as `orlop up` does.
    pub fn local_sign_in(&self, url: &str, expires: Time) -> PathBuf {
        let path = self.home().join(".local/share/orlop/run/sign-in.json");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, format!(r#"{{"url":"{url}","code":"one-time","expires":"{expires}"}}"#)).unwrap();
        path
    }

    pub fn credentials(&self) -> PathBuf {
        self.home().join(".config/orlop/credentials.json")
    }

    pub fn take_said(&self) -> (String, String) {
        let (out, err) = std::mem::take(&mut *self.said.lock().unwrap());
        let root = self.root.path().display().to_string();
        let text = |bytes| String::from_utf8(bytes).unwrap().replace(&root, "FOLDER");
        (text(out), text(err))
    }
}

impl Host for TestHost {
    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    fn folder(&self) -> io::Result<PathBuf> {
        Ok(self.shop())
    }

    fn now(&self) -> Time {
        NOW
    }

    fn random(&self) -> [u8; 16] {
        u128::from(self.calls.fetch_add(1, Ordering::Relaxed)).to_be_bytes()
    }

    fn machine(&self) -> String {
        "workbench".to_owned()
    }

    fn is_terminal(&self, _: Stream) -> bool {
        self.terminal
    }

    fn is_interactive(&self) -> bool {
        self.typed.is_some()
    }

    fn columns(&self) -> usize {
        80
    }

    fn write(&self, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        let mut said = self.said.lock().unwrap();
        match stream {
            Stream::Out => said.0.extend_from_slice(bytes),
            Stream::Err => said.1.extend_from_slice(bytes),
        }
        Ok(())
    }

    fn read_all(&self, max: usize) -> io::Result<Vec<u8>> {
        Ok(self.input.iter().copied().take(max + 1).collect())
    }

    fn read_line(&self, _: bool) -> io::Result<String> {
        Ok(self.typed.clone().unwrap_or_default())
    }

    fn interrupted(&self) -> BoxFuture<'_, ()> {
        if self.interrupt {
            tokio::time::sleep(std::time::Duration::from_millis(300)).boxed()
        } else {
            std::future::pending().boxed()
        }
    }

    fn pause_ms(&self) -> u64 {
        1
    }

    fn git(&self, folder: &Path, args: &[&str]) -> base::Result<String> {
        System::new().git(folder, args)
    }

    fn browse(&self, url: &str) -> bool {
        self.pages.lock().unwrap().push(url.to_owned());
        true
    }
}
